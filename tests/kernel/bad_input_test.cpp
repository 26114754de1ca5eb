// SPDX-License-Identifier: GPL-2.0-or-later
// What people and programs get wrong: each is told what was wrong, and nothing has changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>

#include "bus_client.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/temporary_directory.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Pair;

auto error(const std::string& name, const testing::Matcher<std::string>& message) {
    return Pair("org.porthole.Gateway1.Error." + name, message);
}

class BadRequest : public testing::Test {
  protected:
    BadRequest() {
        client.reserve("192.168.2.2", "udp", 51820, {{"settle", true}});
        before = state();
    }
    // Everything that a bad request could have changed.
    [[nodiscard]] std::string state() {
        const auto list = [this] {
            auto listed = porthole.ctl({"--json", "list"});
            EXPECT_EQ(listed.status, 0) << listed.errors;
            return listed;
        };
        // After a start, rows are settling for a moment.
        auto listed = list();
        const lab::Deadline deadline(lab::Duration(5000));
        while (listed.output.find("settling") != std::string::npos && !deadline.passed()) {
            listed = list();
        }
        return listed.output +
               lab::output_of(sites.gateway_a, {"nft", "list", "table", "inet", "porthole"});
    }
    void TearDown() override {
        EXPECT_EQ(state(), before);
        porthole.restart();
        EXPECT_EQ(state(), before) << "after a restart";
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a};
    std::string before;
    BusClient client = started();

  private:
    BusClient started() {
        porthole.start();
        return BusClient(porthole);
    }
};

struct BadReserve {
    const char* name;
    const char* host;
    const char* protocol;
    std::uint16_t port;
    dbus::Dictionary options;
    const char* error;
    std::vector<std::string> message;  // all of these are in it
};

TEST_F(BadRequest, ForOneReservation) {
    const std::string long_comment(129, 'x');
    const std::vector<BadReserve> cases{
        {"unknown host",
         "printer",
         "udp",
         1,
         {},
         "InvalidArgument",
         {"host \"printer\"", "IPv4, IPv6 or MAC"}},
        {"no host", "", "udp", 1, {}, "InvalidArgument", {"host \"\""}},
        {"host outside every LAN",
         "10.1.2.3",
         "udp",
         1,
         {},
         "InvalidArgument",
         {"host \"10.1.2.3\"", "192.168.2.0/24"}},
        {"public host", "203.0.113.9", "udp", 1, {}, "InvalidArgument", {"host \"203.0.113.9\""}},
        {"the gateway itself",
         "192.168.2.1",
         "udp",
         1,
         {},
         "InvalidArgument",
         {"192.168.2.1", "gateway's own"}},
        {"broadcast address", "192.168.2.255", "udp", 1, {}, "InvalidArgument", {"broadcast"}},
        {"IPv6 host", "fd00::2", "udp", 1, {}, "InvalidArgument", {"fd00::2", "IPv6"}},
        {"protocol",
         "192.168.2.3",
         "icmp",
         1,
         {},
         "InvalidArgument",
         {"protocol \"icmp\"", "\"udp\" or \"tcp\""}},
        {"port 0",
         "192.168.2.3",
         "udp",
         0,
         {},
         "InvalidArgument",
         {"internal-port \"0\"", "1 to 65535"}},
        {"external port 0",
         "192.168.2.3",
         "udp",
         1,
         {{"external-port", std::uint16_t{0}}},
         "InvalidArgument",
         {"external-port \"0\"", "1 to 65535"}},
        {"port taken",
         "192.168.2.3",
         "udp",
         51820,
         {},
         "PortTaken",
         {"51820/udp", "192.168.2.2", "reservation 1", "api"}},
        {"unknown option",
         "192.168.2.3",
         "udp",
         1,
         {{"colour", std::string("red")}},
         "InvalidArgument",
         {"\"colour\"", "external-port"}},
        {"option of another type",
         "192.168.2.3",
         "udp",
         1,
         {{"external-port", std::string("1")}},
         "InvalidArgument",
         {"external-port", "\"q\"", "\"s\""}},
        {"on-conflict",
         "192.168.2.3",
         "udp",
         1,
         {{"on-conflict", std::string("steal")}},
         "InvalidArgument",
         {"on-conflict \"steal\"", "\"fail\" or \"next\""}},
        {"filtering",
         "192.168.2.3",
         "udp",
         1,
         {{"filtering", std::string("loose")}},
         "InvalidArgument",
         {"filtering \"loose\"", "address-dependent"}},
        {"long comment",
         "192.168.2.3",
         "udp",
         1,
         {{"comment", long_comment}},
         "InvalidArgument",
         {"comment", "at most 128 bytes"}},
        {"comment that drives terminals",
         "192.168.2.3",
         "udp",
         1,
         {{"comment", std::string("\x1b[2J")}},
         "InvalidArgument",
         {"comment", "control"}},
        {"stale generation",
         "192.168.2.3",
         "udp",
         1,
         {{"if-generation", std::uint64_t{0}}},
         "StaleGeneration",
         {"if-generation 0", "generation 1"}},
    };
    for (const auto& bad : cases) {
        SCOPED_TRACE(bad.name);
        const auto answer =
            error_of([&] { client.reserve(bad.host, bad.protocol, bad.port, bad.options); });
        EXPECT_EQ(answer.first, std::string("org.porthole.Gateway1.Error.") + bad.error);
        for (const auto& part : bad.message) EXPECT_THAT(answer.second, HasSubstr(part));
    }
}

TEST_F(BadRequest, ForManyReservationsOfWhichOneIsBad) {
    const dbus::RequestRow good("192.168.2.3", "udp", 1000, 0, "", "");
    const auto with = [&good](const dbus::RequestRow& bad) {
        return std::vector<dbus::RequestRow>{good, good, bad, good};
    };
    const auto answer = [this](const std::vector<dbus::RequestRow>& rows) {
        return error_of([&] { client.reserve_many(rows); });
    };
    EXPECT_THAT(
        answer(with({"192.168.2.3", "udp", 0, 0, "", ""})),
        error("InvalidArgument", AllOf(HasSubstr("rows[2]: "), HasSubstr("internal-port \"0\""))));
    EXPECT_THAT(
        answer(with({"192.168.9.3", "udp", 1, 0, "", ""})),
        error("InvalidArgument", AllOf(HasSubstr("rows[2]: "), HasSubstr("host \"192.168.9.3\""))));
    EXPECT_THAT(answer(with({"192.168.2.3", "udp", 1, 51820, "", ""})),
                error("PortTaken", AllOf(HasSubstr("rows[2]: "), HasSubstr("192.168.2.2"))));
    EXPECT_THAT(answer(with({"192.168.2.2", "udp", 1, 1000, "", ""})),
                error("PortTaken", AllOf(HasSubstr("rows[2]: "), HasSubstr("192.168.2.3"))));
    EXPECT_THAT(answer(with({"192.168.2.3", "udp", 1, 0, "", std::string(129, 'x')})),
                error("InvalidArgument", AllOf(HasSubstr("rows[2]: "), HasSubstr("comment"))));
}

TEST_F(BadRequest, ToChangeOrReleaseWhatIsNotThere) {
    EXPECT_THAT(error_of([&] {
                    client.change(77, {{"comment", std::string("x")}});
                }),
                error("NoSuchReservation", HasSubstr("77")));
    EXPECT_THAT(error_of([&] {
                    client.release({1, 77});
                }),
                error("NoSuchReservation", HasSubstr("77")));
    EXPECT_THAT(error_of([&] {
                    client.change(1, {{"colour", std::string("x")}});
                }),
                error("InvalidArgument", HasSubstr("\"colour\"")));
}

TEST_F(BadRequest, ToListMoreThanAPage) {
    EXPECT_THAT(error_of([&] { client.list({}, 0, 501); }),
                error("InvalidArgument", HasSubstr("500")));
    EXPECT_THAT(error_of([&] {
                    client.list({{"sort", std::string("colour")}});
                }),
                error("InvalidArgument", HasSubstr("sort \"colour\"")));
}

TEST_F(BadRequest, OnTheCommandLine) {
    const auto fails = [this](std::vector<std::string> arguments, int status,
                              const std::string& part) {
        const auto result = porthole.ctl(std::move(arguments));
        EXPECT_EQ(result.status, status) << result.output << result.errors;
        EXPECT_THAT(result.errors, HasSubstr(part));
    };
    fails({"reserve", "192.168.2.3", "udp", "0"}, 2, "1 to 65535");
    fails({"reserve", "192.168.2.3", "udp", "70000"}, 2, "70000");
    fails({"reserve", "192.168.2.3", "icmp", "1"}, 1, "icmp");
    fails({"reserve", "192.168.2.3", "udp", "51820"}, 1, "192.168.2.2");
    fails({"reserve", "192.168.2.3", "udp", "1", "--colour", "red"}, 2, "--colour");
    fails({"reserve", "192.168.2.3"}, 2, "");
    fails({"release", "udp:1"}, 1, "");
    fails({"explode"}, 2, "explode");
}

// One user may look, another may change.
TEST_F(BadRequest, OfSomebodyWhoMayNotChangeAnything) {
    constexpr uid_t nobody = 65534;
    const lab::Setting outsider{.before_exec = lab::as_user(nobody, nobody)};
    EXPECT_EQ(porthole.ctl({"list"}, outsider).status, 0);
    for (const auto& arguments :
         std::vector<std::vector<std::string>>{{"reserve", "192.168.2.3", "udp", "1"},
                                               {"change", "1", "--comment", "x"},
                                               {"release", "1"}}) {
        const auto result = porthole.ctl(arguments, outsider);
        EXPECT_EQ(result.status, 1);
        EXPECT_THAT(result.errors, HasSubstr("group \"porthole\""));
    }
}

class BadStart : public testing::Test {
  protected:
    // Starts the service as it must not start, and says what it printed.
    [[nodiscard]] std::string refusal(std::vector<std::string> arguments,
                                      const lab::Setting& setting = {}) {
        const auto result = porthole.run(std::move(arguments), setting);
        EXPECT_EQ(result.status, 1);
        return result.errors;
    }
    [[nodiscard]] std::vector<std::string> usual() const {
        return {"--config", porthole.configuration_file(), "--state", porthole.state_directory()};
    }
    [[nodiscard]] bool table_exists() const {
        return lab::command(sites.gateway_a, {"nft", "list", "table", "inet", "porthole"}).status ==
               0;
    }
    [[nodiscard]] std::filesystem::path database() const {
        return porthole.state_directory() / "porthole.db";
    }
    [[nodiscard]] std::string kept_aside() const {
        for (const auto& entry : std::filesystem::directory_iterator(porthole.state_directory())) {
            const auto name = entry.path().filename().string();
            if (name.starts_with("porthole.db.unusable-") && !name.ends_with("-wal")) {
                return lab::read_file(entry.path());
            }
        }
        return "nothing was kept aside";
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a};
};

TEST_F(BadStart, AForeignFileInThePlaceOfTheDatabase) {
    const std::string letter = "Dear database,\nI am a letter.\n";
    std::filesystem::create_directories(porthole.state_directory());
    lab::write_file(database(), letter);
    porthole.start();
    EXPECT_EQ(kept_aside(), letter);
    EXPECT_THAT(porthole.log(), AllOf(HasSubstr("database-kept-aside"), HasSubstr("unusable-")));
    EXPECT_EQ(porthole.ctl({"reserve", "192.168.2.2", "udp", "51820"}).status, 0);
}

TEST_F(BadStart, ADamagedDatabase) {
    porthole.start();
    ASSERT_EQ(porthole.ctl({"reserve", "192.168.2.2", "udp", "51820"}).status, 0);
    porthole.stop();
    auto bytes = lab::read_file(database());
    for (std::size_t i = 4096; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
    lab::write_file(database(), bytes);
    porthole.start();
    EXPECT_EQ(kept_aside(), bytes);
    EXPECT_THAT(porthole.log(), HasSubstr("database-kept-aside"));
}

TEST_F(BadStart, ADatabaseOfANewerVersion) {
    porthole.start();
    porthole.stop();
    sqlite3* handle = nullptr;
    ASSERT_EQ(sqlite3_open(database().c_str(), &handle), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(handle, "PRAGMA user_version = 99", nullptr, nullptr, nullptr),
              SQLITE_OK);
    sqlite3_close(handle);
    const auto bytes = lab::read_file(database());
    EXPECT_THAT(refusal(usual()), AllOf(HasSubstr("99"), HasSubstr("newer")));
    EXPECT_EQ(lab::read_file(database()), bytes);
}

TEST_F(BadStart, AStateDirectoryThatCannotBeWritten) {
    std::filesystem::create_directories(porthole.state_directory());
    const auto directory = porthole.state_directory().string();
    const lab::Setting read_only{.before_exec = [path = directory.c_str()] {
        if (unshare(CLONE_NEWNS) != 0 ||
            mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            mount(path, path, nullptr, MS_BIND, nullptr) != 0 ||
            mount(nullptr, path, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
            _exit(99);
        }
    }};
    EXPECT_THAT(refusal(usual(), read_only), HasSubstr(directory));
    EXPECT_FALSE(table_exists());
}

TEST_F(BadStart, WithoutTheCapability) {
    const lab::Setting powerless{.before_exec = lab::without_capability(CAP_NET_ADMIN)};
    EXPECT_THAT(refusal(usual(), powerless),
                AllOf(HasSubstr("not permitted"), HasSubstr("CAP_NET_ADMIN")));
}

TEST_F(BadStart, WithoutABus) {
    const lab::Setting nowhere{
        .environment = {"DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent/bus"}};
    EXPECT_THAT(refusal(usual(), nowhere), HasSubstr("bus"));
    EXPECT_FALSE(table_exists());
    const auto ctl = porthole.ctl({"list"}, nowhere);
    EXPECT_EQ(ctl.status, 3);
    EXPECT_NE(ctl.errors, "");
}

TEST_F(BadStart, NoServiceForTheClient) {
    const auto ctl = porthole.ctl({"--json", "list"});
    EXPECT_EQ(ctl.status, 3);
    EXPECT_THAT(ctl.output, HasSubstr("\"error\""));
}

// It stops before it touches the kernel or the store.
TEST_F(BadStart, ASecondDaemon) {
    porthole.start();
    ASSERT_EQ(porthole.ctl({"reserve", "192.168.2.2", "udp", "51820"}).status, 0);
    const auto table =
        lab::output_of(sites.gateway_a, {"nft", "-a", "list", "table", "inet", "porthole"});
    const lab::TemporaryDirectory elsewhere;
    EXPECT_THAT(refusal({"--config", porthole.configuration_file(), "--state", elsewhere.path()}),
                HasSubstr("org.porthole.Gateway1"));
    EXPECT_EQ(lab::output_of(sites.gateway_a, {"nft", "-a", "list", "table", "inet", "porthole"}),
              table);
    EXPECT_EQ(porthole.ctl({"list"}).status, 0);

    // On another bus, but with the same state directory.
    const lab::Porthole second(sites.gateway_a);
    const auto result = second.run(usual());
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.errors, HasSubstr("another portholed"));
    EXPECT_EQ(lab::output_of(sites.gateway_a, {"nft", "-a", "list", "table", "inet", "porthole"}),
              table);
}

TEST_F(BadStart, AConfigurationWithErrorsIsReportedAsAWhole) {
    lab::write_file(porthole.configuration_file(), R"([wan]
interfaces = "wan"
[nat]
masquerade = 1
colour = "red"
[[reservation]]
host = "192.168.2.2"
protocol = "icmp"
port = 0
)");
    for (const auto& arguments :
         {usual(),
          std::vector<std::string>{"--config", porthole.configuration_file(), "--check-config"}}) {
        const auto text = refusal(arguments);
        const auto file = porthole.configuration_file().string();
        EXPECT_THAT(text, HasSubstr(file + ":2:14: wan.interfaces: expected an array"));
        EXPECT_THAT(
            text,
            HasSubstr(file + ":4:14: nat.masquerade: expected true or false, found an integer"));
        EXPECT_THAT(text,
                    HasSubstr(file + ":5:1: nat.colour: unknown key; allowed here: masquerade"));
        EXPECT_THAT(text, HasSubstr(file + ":8:12: reservation[0].protocol: invalid \"icmp\""));
        EXPECT_THAT(text, HasSubstr(file + ":9:8: reservation[0].port: invalid \"0\""));
    }
    EXPECT_FALSE(table_exists());
    lab::write_file(porthole.configuration_file(), "[nat]\nmasquerade = true\n");
    EXPECT_EQ(porthole.run({"--config", porthole.configuration_file(), "--check-config"}).status,
              0);
}

}  // namespace
}  // namespace porthole
