// SPDX-License-Identifier: GPL-2.0-or-later
// The service as its clients see it: what it answers, announces, keeps and follows.
#include <algorithm>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <pugixml.hpp>
#include <sched.h>
#include <sys/mount.h>

#include "bus_client.hpp"
#include "lab/deadline.hpp"
#include "lab/links.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/temporary_directory.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class Daemon : public testing::Test {
  protected:
    [[nodiscard]] json ctl(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), "--json");
        const auto result = porthole.ctl(std::move(arguments));
        EXPECT_EQ(result.status, 0) << result.errors;
        return json::parse(result.output);
    }
    [[nodiscard]] std::string table() const {
        return lab::output_of(sites.gateway_a, {"nft", "list", "table", "inet", "porthole"});
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a};
};

// One line for each interface, member, argument and annotation. Left out: standard interfaces, and
// what only the generator reads.
void describe(const pugi::xml_node& node, const std::string& path,
              std::vector<std::string>& lines) {
    int place = 0;
    for (const auto& child : node.children()) {
        if (child.type() != pugi::node_element) continue;
        const std::string name = child.attribute("name").value();
        if (name.starts_with("org.freedesktop.DBus.") && node.name() == std::string("node"))
            continue;
        if (name == "org.freedesktop.DBus.Method.Async") continue;
        auto line = path + "/" + child.name() + " " + name;
        if (child.name() == std::string("arg")) {
            const std::string direction = child.attribute("direction").value();
            const bool signal = node.name() == std::string("signal");
            line += fmt::format(" #{} {} {}", place++, child.attribute("type").value(),
                                direction.empty() ? (signal ? "out" : "in") : direction);
        } else {
            for (const auto* const key : {"type", "access", "value"}) {
                line += fmt::format(" {}", child.attribute(key).value());
            }
        }
        lines.push_back(line);
        describe(child, path + "/" + name, lines);
    }
}

std::vector<std::string> normalised(const std::string& xml) {
    pugi::xml_document document;
    EXPECT_TRUE(document.load_string(xml.c_str()));
    std::vector<std::string> lines;
    describe(document.child("node"), "", lines);
    std::ranges::sort(lines);
    return lines;
}

TEST_F(Daemon, IntrospectsAsItsContractSays) {
    porthole.start();
    const auto contract =
        normalised(lab::read_file(PORTHOLE_SOURCE_DIR "/dbus/org.porthole.Gateway1.xml"));
    EXPECT_THAT(contract, testing::Contains("/org.porthole.Gateway1.Reservations/Reserve/arg "
                                            "internal_port #2 q in"));
    EXPECT_EQ(normalised(BusClient(porthole).introspect()), contract);
}

TEST_F(Daemon, AnswersWithTheRowAndAnnouncesIt) {
    porthole.start();
    BusClient client(porthole);
    struct Announcement {
        std::uint64_t generation = 0;
        std::vector<dbus::Row> changed;
        std::vector<std::uint64_t> removed;
    };
    std::vector<Announcement> heard;
    client.proxy()
        .uponSignal("Changed")
        .onInterface(BusClient::reservations)
        .call([&heard](std::uint64_t generation, const std::vector<dbus::Row>& changed,
                       const std::vector<std::uint64_t>& removed) {
            heard.push_back({generation, changed, removed});
        });
    client.proxy().finishRegistration();
    const auto wait_for_announcement = [&] {
        const lab::Deadline deadline(lab::Duration(5000));
        const auto count = heard.size();
        while (heard.size() == count && !deadline.passed()) {
            if (client.connection().processPendingRequest()) continue;
            const auto wanted = client.connection().getEventLoopPollData();
            pollfd descriptor{wanted.fd, wanted.events, 0};
            poll(&descriptor, 1, 100);
        }
        return heard.size() == count + 1;
    };

    const auto row = client.reserve("192.168.2.2", "udp", 51820,
                                    {{"comment", std::string("laptop")}, {"lifetime", 3600U}});
    EXPECT_EQ(std::get<0>(row), 1U);
    EXPECT_EQ(std::get<1>(row), "192.168.2.2");
    EXPECT_EQ(std::get<4>(row), 51820);
    EXPECT_EQ(std::get<5>(row), "address-dependent");
    EXPECT_EQ(std::get<6>(row), "api");
    EXPECT_EQ(std::get<7>(row), "settling");
    EXPECT_EQ(std::get<8>(row), "laptop");
    EXPECT_GT(std::get<9>(row), 1'700'000'000);

    // The change at once, and that it is settled at most 50 ms after it.
    ASSERT_TRUE(wait_for_announcement());
    ASSERT_EQ(heard[0].changed.size(), 1U);
    EXPECT_EQ(std::get<7>(heard[0].changed[0]), "settling");
    EXPECT_EQ(std::get<8>(heard[0].changed[0]), "laptop");
    EXPECT_EQ(heard[0].generation, 1U);
    ASSERT_TRUE(wait_for_announcement());
    ASSERT_EQ(heard[1].changed.size(), 1U);
    EXPECT_EQ(std::get<7>(heard[1].changed[0]), "active");
    EXPECT_EQ(heard[1].generation, 1U);

    // Changes soon after an announcement wait for one another.
    client.reserve("192.168.2.3", "udp", 1, {{"settle", true}});
    client.change(1, {{"comment", std::string("phone")}});
    client.release({2});
    while (heard.back().generation < 4) ASSERT_TRUE(wait_for_announcement());
    EXPECT_LE(heard.size(), 5U);
    // In the last announcement or, where that came in between, in the one before.
    EXPECT_TRUE(std::ranges::any_of(heard, [](const Announcement& announcement) {
        return std::ranges::any_of(announcement.changed, [](const dbus::Row& changed) {
            return std::get<8>(changed) == "phone";
        });
    }));
}

TEST_F(Daemon, ListsInPagesWhatWasReservedInOneCall) {
    porthole.start();
    BusClient client(porthole);
    std::vector<dbus::RequestRow> rows;
    for (std::uint16_t i = 0; i < 1200; ++i) {
        rows.emplace_back("192.168.2." + std::to_string(2 + i % 200), "udp",
                          static_cast<std::uint16_t>(10000 + i), std::uint16_t{0}, "", "");
    }
    const auto reserved = client.reserve_many(rows);
    ASSERT_EQ(reserved.size(), rows.size());
    EXPECT_EQ(std::get<1>(reserved[7]), 10007);
    const auto [page, total, generation] = client.list({}, 1000, 500);
    EXPECT_EQ(page.size(), 200U);
    EXPECT_EQ(total, 1200U);
    EXPECT_EQ(generation, 1U);
    EXPECT_EQ(ctl({"list"})["reservations"].size(), 1200U);
    const auto [found, matches, same] = client.list({{"port", std::uint16_t{10042}}});
    ASSERT_EQ(matches, 1U);
    EXPECT_EQ(std::get<1>(found[0]), "192.168.2.44");
}

TEST_F(Daemon, ReleasesWhatHasRunOut) {
    porthole.start();
    BusClient client(porthole);
    client.reserve("192.168.2.2", "udp", 51820, {{"lifetime", 1U}});
    EXPECT_THAT(table(), HasSubstr("192.168.2.2"));
    std::uint32_t count = 1;
    const lab::Deadline deadline(lab::Duration(5000));
    while (count > 0 && !deadline.passed()) count = std::get<1>(client.list());
    EXPECT_EQ(count, 0U);
    EXPECT_THAT(table(), testing::Not(HasSubstr("192.168.2.2")));
}

// Which interface is what is found out at the start and again whenever something changes.
TEST_F(Daemon, FollowsTheInterfaces) {
    porthole.start();
    BusClient client(porthole);
    const auto names = [&client](const char* side) {
        std::vector<std::string> found;
        for (auto& interface : client.status()[side].get<std::vector<dbus::Dictionary>>()) {
            found.push_back(interface["interface"].get<std::string>());
        }
        return found;
    };
    const auto becomes = [&](const char* side, const std::vector<std::string>& expected) {
        const lab::Deadline deadline(lab::Duration(5000));
        while (names(side) != expected && !deadline.passed()) {
        }
        return names(side) == expected;
    };
    using Names = std::vector<std::string>;
    EXPECT_EQ(names("wans"), Names{"wan"});
    EXPECT_EQ(names("lans"), Names{"lan"});

    const auto ip = [this](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), "ip");
        lab::output_of(sites.gateway_a, std::move(arguments));
    };
    ip({"route", "del", "default"});
    EXPECT_TRUE(becomes("wans", {}));
    ip({"link", "add", "guests", "type", "bridge"});
    ip({"address", "add", "10.7.0.1/24", "dev", "guests"});
    EXPECT_TRUE(becomes("lans", {"guests", "lan"}));
    EXPECT_THAT(table(), HasSubstr("elements = { 10.7.0.0/24, 192.168.2.0/24 }"));
    ip({"route", "add", "default", "via", "203.0.113.254"});
    EXPECT_TRUE(becomes("wans", {"wan"}));
    ip({"link", "del", "guests"});
    EXPECT_TRUE(becomes("lans", {"lan"}));
    EXPECT_THAT(table(), HasSubstr("elements = { 192.168.2.0/24 }"));
}

TEST_F(Daemon, SaysWhenTheGatewayDoesNotForward) {
    porthole.start();
    BusClient client(porthole);
    const auto says_so = [&] {
        const auto warnings = client.status()["warnings"].get<std::vector<std::string>>();
        return std::ranges::any_of(warnings, [](const auto& warning) {
            return warning.find("net.ipv4.ip_forward is off") != std::string::npos;
        });
    };
    EXPECT_FALSE(says_so());
    sites.gateway_a.set_sysctl("net/ipv4/ip_forward", "0");
    const lab::Deadline off(lab::Duration(10'000));
    while (!says_so()) ASSERT_FALSE(off.passed());
    sites.gateway_a.set_sysctl("net/ipv4/ip_forward", "1");
    const lab::Deadline on(lab::Duration(10'000));
    while (says_so()) ASSERT_FALSE(on.passed());
}

TEST_F(Daemon, TakesOverAChangedConfigurationOrKeepsTheOldOne) {
    const auto row = [](int port) {
        return fmt::format(
            "[[reservation]]\nhost = \"192.168.2.2\"\nprotocol = \"udp\"\nport = {}\n", port);
    };
    lab::write_file(porthole.configuration_file(), row(1000));
    porthole.start();
    BusClient client(porthole);
    client.reserve("192.168.2.3", "udp", 2000);
    EXPECT_THAT(error_of([&] { client.release({1}); }).first, HasSubstr("ReadOnly"));

    lab::write_file(porthole.configuration_file(),
                    row(1000) + row(1001) + "[nat]\nmasquerade = true\n");
    client.reload();
    EXPECT_EQ(std::get<1>(client.list({{"origin", std::string("static")}})), 2U);
    EXPECT_THAT(table(), HasSubstr("udp . 192.168.2.2 . 1001 : 1001"));
    EXPECT_EQ(client.status()["masquerade"].get<bool>(), true);
    const auto before = table();

    lab::write_file(porthole.configuration_file(), row(0));
    EXPECT_THAT(error_of([&] { client.reload(); }).second, HasSubstr("reservation[0].port"));
    lab::write_file(porthole.configuration_file(), row(2000));
    EXPECT_THAT(error_of([&] { client.reload(); }).second, HasSubstr("192.168.2.3"));
    EXPECT_EQ(table(), before);

    // A start has no old configuration to keep: what can be had is in force, the rest is reported.
    lab::write_file(porthole.configuration_file(), row(2000) + row(1001));
    porthole.restart();
    BusClient again(porthole);
    EXPECT_EQ(std::get<1>(again.list({{"origin", std::string("static")}})), 1U);
    EXPECT_THAT(again.status()["warnings"].get<std::vector<std::string>>(),
                testing::ElementsAre(HasSubstr("192.168.2.3")));
}

TEST_F(Daemon, ReadsItsConfigurationAgainOnSighup) {
    porthole.start();
    lab::write_file(porthole.configuration_file(), "[nat]\nmasquerade = true\n");
    BusClient client(porthole);
    porthole.process()->signal(SIGHUP);
    const lab::Deadline deadline(lab::Duration(5000));
    while (!client.status()["masquerade"].get<bool>() && !deadline.passed()) {
    }
    EXPECT_TRUE(client.status()["masquerade"].get<bool>());
}

// The group is looked up in /etc/group as the daemon sees it: here one that only it sees.
TEST_F(Daemon, LetsMembersOfItsGroupChangeThings) {
    constexpr uid_t nobody = 65534;
    constexpr gid_t group = 65532;
    const lab::TemporaryDirectory directory;
    const auto groups = (directory / "group").string();
    lab::write_file(groups, fmt::format("root:x:0:\nporthole:x:{}:\n", group));
    porthole.start({.before_exec = [path = groups.c_str()] {
        if (unshare(CLONE_NEWNS) != 0 ||
            mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            mount(path, "/etc/group", nullptr, MS_BIND, nullptr) != 0) {
            _exit(99);
        }
    }});
    const std::vector<std::string> request{"reserve", "192.168.2.2", "udp", "51820"};
    EXPECT_EQ(porthole.ctl(request, {.before_exec = lab::as_user(nobody, nobody)}).status, 1);
    const auto allowed = porthole.ctl(request, {.before_exec = lab::as_user(nobody, group)});
    EXPECT_EQ(allowed.status, 0) << allowed.errors;
}

TEST_F(Daemon, ShowsAndMonitorsOnTheCommandLine) {
    porthole.start();
    lab::Process monitor(sites.gateway_a, {PORTHOLECTL, "--json", "monitor"},
                         {.environment = {porthole.bus().environment()}});
    // The monitor has subscribed once it hears something; until then, make changes.
    const auto heard = [&](const std::string& text, auto&& change) {
        const lab::Deadline deadline(lab::Duration(10'000));
        while (!deadline.passed()) {
            change();
            if (monitor.wait_for_output(text, lab::Duration(200))) return true;
        }
        return false;
    };
    int port = 1000;
    EXPECT_TRUE(heard("192.168.2.2", [&] {
        EXPECT_EQ(porthole.ctl({"reserve", "192.168.2.2", "udp", std::to_string(port++)}).status,
                  0);
    })) << monitor.errors();

    const auto row = ctl({"reserve", "192.168.2.3", "udp", "1000", "--on-conflict", "next"});
    EXPECT_EQ(row["host"], "192.168.2.3");
    EXPECT_EQ(row["internal-port"], 1000);
    EXPECT_EQ(row["external-port"], port);
    EXPECT_EQ(row["state"], "active");
    const auto changed =
        ctl({"change", std::to_string(row["id"].get<int>()), "--comment", "camera"});
    EXPECT_EQ(changed["comment"], "camera");
    const auto status = porthole.ctl({"status", "--all"});
    EXPECT_EQ(status.status, 0);
    EXPECT_THAT(status.output, testing::AllOf(HasSubstr("wan"), HasSubstr("default route")));
    const auto listed = porthole.ctl({"list"});
    EXPECT_THAT(listed.output, testing::AllOf(HasSubstr("EXTERNAL"), HasSubstr("camera")));
    EXPECT_EQ(porthole.ctl({"release", fmt::format("udp:{}", port)}).status, 0);
    EXPECT_THAT(porthole.ctl({"list"}).output, testing::Not(HasSubstr("camera")));
}

// Of the pages of its files, those that only the start went through.
TEST_F(Daemon, GivesBackWhatOnlyItsStartNeeded) {
    porthole.start();
    const auto after_start = porthole.memory("RssFile");
    const auto half_is_enough = [&] { return porthole.memory("RssFile") < after_start / 2; };
    EXPECT_TRUE(lab::comes_true(half_is_enough));
    EXPECT_EQ(ctl({"reserve", "192.168.2.2", "udp", "51820"})["state"], "active");
}

}  // namespace
}  // namespace porthole
