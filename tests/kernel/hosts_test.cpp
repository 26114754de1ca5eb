// SPDX-License-Identifier: GPL-2.0-or-later
// Hosts that are known by their MAC addresses, and keep their ports wherever they are.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "bus_client.hpp"
#include "lab/conntrack.hpp"
#include "lab/deadline.hpp"
#include "lab/links.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/temporary_directory.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::comes_true;
using lab::UdpSocket;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint16_t wireguard = 51820;
const auto remote_end = at(addresses::outside, wireguard);
const auto owned = at(addresses::a_wan, wireguard);
constexpr auto a1_moved = "192.168.2.77";
constexpr auto a1_mac = "02:00:5e:10:00:01";
constexpr auto a2_mac = "02:00:5e:10:00:02";

using HostRow = dbus::HostRow;

class HostsTest : public testing::Test {
  protected:
    HostsTest() : HostsTest("") {}
    explicit HostsTest(const std::string& configuration, const char* lease_file = "dhcp.leases")
        : leases(directory / lease_file),
          porthole(sites.gateway_a, configuration + "\n[auto]\nenabled = false\n" +
                                        "[hosts]\nlease-files = [\"" + leases.string() + "\"]\n") {
        lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
        set_mac(sites.a1, a1_mac);
        set_mac(sites.a2, a2_mac);
    }
    void start() {
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
    }
    static void set_mac(const lab::Namespace& host, const std::string& mac) {
        lab::output_of(host, {"ip", "link", "set", "eth0", "address", mac});
        // The change of the address has taken the route with it.
        lab::output_of(host, {"ip", "route", "replace", "default", "via", "192.168.2.1"});
    }
    /// As a host does that gets another address: the old one is gone.
    static void move(const lab::Namespace& host, std::string_view from, std::string_view to) {
        lab::delete_address(host, "eth0", std::string(from) + "/24");
        lab::add_address(host, "eth0", std::string(to) + "/24");
        lab::output_of(host, {"ip", "route", "replace", "default", "via", "192.168.2.1"});
    }
    dbus::Row row_of(std::uint64_t id) {
        const auto [rows, total, generation] = client->list();
        const auto found = std::ranges::find_if(
            rows, [id](const auto& row) { return row.template get<0>() == id; });
        return found != rows.end() ? *found : dbus::Row();
    }
    /// The row, once its host is at this address and it is settled.
    bool is_at(std::uint64_t id, std::string_view address) {
        return comes_true([&] {
            const auto row = row_of(id);
            const auto& extras = row.get<11>();
            const auto found = extras.find("address");
            return row.get<7>() == "active" && found != extras.end() &&
                   found->second.get<std::string>() == address;
        });
    }
    /// The host of this MAC address, as soon as `condition` holds for it.
    template <typename Condition>
    bool host_becomes(std::string_view mac, Condition condition) {
        return comes_true([&] {
            const auto rows = client->hosts();
            return std::ranges::any_of(
                rows, [&](const HostRow& row) { return row.get<0>() == mac && condition(row); });
        });
    }

    bool is_named(std::string_view mac, std::string_view name) {
        return host_becomes(mac, [name](const dbus::HostRow& row) { return row.get<1>() == name; });
    }

    lab::TwoSites sites;
    lab::TemporaryDirectory directory;
    std::filesystem::path leases;
    lab::Porthole porthole;
    std::unique_ptr<BusClient> client;
    UdpSocket remote{sites.outside, wireguard};
};

TEST_F(HostsTest, HaveTheirPortByTheirMacAddress) {
    start();
    const UdpSocket a1(sites.a1, wireguard);
    lab::exchange(a1, remote, remote_end);  // the gateway knows it as a neighbour
    const auto row = client->reserve(a1_mac, "udp", wireguard);
    EXPECT_EQ(row.get<1>(), a1_mac);
    ASSERT_TRUE(is_at(row.get<0>(), addresses::a1)) << porthole.log();
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), owned);
    const UdpSocket a2(sites.a2, wireguard);
    EXPECT_NE(lab::exchange(a2, remote, remote_end), owned);
}

TEST_F(HostsTest, HaveTheirPortAsSoonAsTheyShowUp) {
    start();
    const auto row = client->reserve(a1_mac, "udp", wireguard);
    EXPECT_EQ(row.get<7>(), "waiting");
    const UdpSocket a1(sites.a1, wireguard);
    a1.send_to(remote_end, "here I am");
    ASSERT_TRUE(is_at(row.get<0>(), addresses::a1)) << porthole.log();
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), owned);
}

// Nobody says that it has moved but its own packets: the old address is asked, and does not answer.
TEST_F(HostsTest, TakeTheirPortAlongToAnotherAddress) {
    start();
    const auto id = client->reserve(a1_mac, "udp", wireguard).get<0>();
    const UdpSocket a1(sites.a1, wireguard);
    lab::exchange(a1, remote, remote_end);
    ASSERT_TRUE(is_at(id, addresses::a1)) << porthole.log();
    move(sites.a1, addresses::a1, a1_moved);
    a1.send_to(remote_end, "from elsewhere");
    ASSERT_TRUE(is_at(id, a1_moved)) << porthole.log();
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), owned);
    EXPECT_THAT(lab::flows_from(sites.gateway_a, addresses::a1, wireguard), IsEmpty());
}

// With a lease there is nothing to ask: it takes milliseconds.
TEST_F(HostsTest, TakeTheirPortAlongAtOnceWithALease) {
    const auto lease = [&](std::string_view address) {
        lab::write_file(
            leases, "0 " + std::string(a1_mac) + " " + std::string(address) + " annas-laptop *\n");
    };
    lease(addresses::a1);
    start();
    const auto id = client->reserve(a1_mac, "udp", wireguard).get<0>();
    ASSERT_TRUE(is_at(id, addresses::a1)) << porthole.log();
    const UdpSocket a1(sites.a1, wireguard);
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), owned);
    EXPECT_EQ(row_of(id).get<11>().at("host-name").get<std::string>(), "annas-laptop");

    lease(a1_moved);
    move(sites.a1, addresses::a1, a1_moved);
    const lab::Deadline soon(lab::Duration(2'500));  // asking would take longer
    a1.send_to(remote_end, "from elsewhere");
    ASSERT_TRUE(is_at(id, a1_moved)) << porthole.log();
    EXPECT_FALSE(soon.passed());
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), owned);
}

// Of two addresses that are in use one has the port, and it does not jump.
TEST_F(HostsTest, StayWhereTheyAreWhileTheyAnswerThere) {
    start();
    const auto id = client->reserve(a1_mac, "udp", wireguard).get<0>();
    const UdpSocket a1(sites.a1, at(addresses::a1, wireguard));
    lab::exchange(a1, remote, remote_end);
    ASSERT_TRUE(is_at(id, addresses::a1)) << porthole.log();
    lab::add_address(sites.a1, "eth0", std::string(a1_moved) + "/24");
    const UdpSocket other(sites.a1, at(a1_moved, wireguard));
    const auto seen_at = lab::exchange(other, remote, remote_end);
    ASSERT_TRUE(host_becomes(a1_mac, [](const HostRow& row) { return row.get<3>().size() >= 2; }));
    EXPECT_NE(seen_at, owned);
    EXPECT_TRUE(is_at(id, addresses::a1));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), owned);
}

// Away for as long as it likes: others neither leave from its port nor get it.
TEST_F(HostsTest, KeepTheirPortWhileTheyAreAway) {
    start();
    client->reserve(a1_mac, "udp", wireguard);
    const UdpSocket a2(sites.a2, wireguard);
    const UdpSocket second(sites.a2, 40000);
    EXPECT_NE(lab::exchange(a2, remote, remote_end), owned);
    EXPECT_THAT(error_of([&] { client->reserve(a2_mac, "udp", wireguard); }).first,
                HasSubstr("PortTaken"));
    // Nor is it open to strangers: their entry would be in its way when it comes back.
    remote.send_to(owned, "is anybody there?");
    const UdpSocket a1(sites.a1, wireguard);
    a1.send_to(remote_end, "back");
    const auto [rows, total, generation] = client->list();
    ASSERT_TRUE(is_at(rows.at(0).get<0>(), addresses::a1)) << porthole.log();
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), owned);
}

// When somebody else has the address of a host that went, he gets nothing of what was the host's.
TEST_F(HostsTest, LeaveNothingToWhoHasTheirAddressNow) {
    start();
    const auto id = client->reserve(a1_mac, "udp", wireguard).get<0>();
    const UdpSocket a1(sites.a1, wireguard);
    lab::exchange(a1, remote, remote_end);
    ASSERT_TRUE(is_at(id, addresses::a1)) << porthole.log();
    lab::set_link(sites.a1, "eth0", false);
    move(sites.a2, addresses::a2, addresses::a1);
    // What goes to it lets the gateway ask who has the address now.
    const UdpSocket a2(sites.a2, wireguard);
    ASSERT_TRUE(comes_true([&] {
        a2.send_to(remote_end, "a2");
        return row_of(id).get<7>() == "waiting";
    })) << porthole.log();
    EXPECT_NE(lab::exchange(a2, remote, remote_end), owned);
    EXPECT_THAT(error_of([&] { client->reserve(a2_mac, "udp", wireguard); }).first,
                HasSubstr("PortTaken"));
}

TEST_F(HostsTest, HaveTheirPortRightAfterARestart) {
    start();
    const auto id = client->reserve(a1_mac, "udp", wireguard).get<0>();
    const UdpSocket a1(sites.a1, wireguard);
    lab::exchange(a1, remote, remote_end);
    ASSERT_TRUE(is_at(id, addresses::a1)) << porthole.log();
    client.reset();
    porthole.kill();
    lab::output_of(sites.gateway_a, {"nft", "flush", "ruleset"});
    lab::output_of(sites.gateway_a, {"ip", "neighbour", "flush", "dev", "lan"});
    lab::output_of(sites.gateway_a, {"conntrack", "-F"});
    lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
    start();
    const UdpSocket a2(sites.a2, wireguard);
    EXPECT_NE(lab::exchange(a2, remote, remote_end), owned);
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), owned);
}

TEST_F(HostsTest, AreListedWithNamesAndAddresses) {
    lab::write_file(leases, "0 " + std::string(a1_mac) + " " + std::string(addresses::a1) +
                                " annas-laptop *\n");
    sites.add_ipv6();
    const UdpSocket a1(sites.a1, wireguard);
    lab::exchange(a1, remote, remote_end);
    lab::output_of(sites.a1, {"ping", "-c1", "-W5", std::string(lab::address6::a_lan)});
    start();
    ASSERT_TRUE(host_becomes(a1_mac, [](const HostRow& row) {
        const auto& addresses_of = row.get<3>();
        const auto has = [&](std::string_view address) {
            return std::ranges::count(addresses_of, address) == 1;
        };
        return row.get<1>() == "annas-laptop" && has(addresses::a1) && has(lab::address6::a1) &&
               row.get<4>() != 0 && row.get<5>().at("interface").get<std::string>() == "lan";
    })) << porthole.ctl({"hosts"}).output;
    const auto listed = porthole.ctl({"hosts"});
    EXPECT_EQ(listed.status, 0);
    EXPECT_THAT(listed.output, HasSubstr(std::string(a1_mac) + "  annas-laptop  lan"));
    EXPECT_THAT(porthole.ctl({"--json", "hosts"}).output,
                HasSubstr("\"key\": \"02:00:5e:10:00:01\""));
    // The remote is no neighbour of a LAN.
    for (const auto& row : client->hosts())
        EXPECT_THAT(row.get<3>(), testing::Not(Contains(addresses::outside)));
}

std::string lease_of(std::string_view mac, std::string_view address, std::string_view name) {
    return "0 " + std::string(mac) + " " + std::string(address) + " " + std::string(name) + " *\n";
}

// Whoever could write it could send somebody's port where he likes.
TEST_F(HostsTest, AreNotReadFromAFileThatAnybodyCanWrite) {
    lab::write_file(leases, lease_of(a1_mac, addresses::a1, "annas-laptop"));
    std::filesystem::permissions(leases, std::filesystem::perms::all);
    const UdpSocket a1(sites.a1, wireguard);
    lab::exchange(a1, remote, remote_end);
    start();
    EXPECT_TRUE(is_named(a1_mac, ""));
    EXPECT_THAT(porthole.log(), HasSubstr("leases-unreadable: " + leases.string()));
}

TEST_F(HostsTest, AreReadFromTheEndOfALongFile) {
    std::string text;
    while (text.size() < 5'000'000) text += lease_of("02:00:5e:10:01:00", "10.0.0.2", "old");
    lab::write_file(leases, text + lease_of(a1_mac, addresses::a1, "annas-laptop"));
    start();
    EXPECT_TRUE(is_named(a1_mac, "annas-laptop"));
    EXPECT_TRUE(is_named("02:00:5e:10:01:00", "old"));
}

// Nothing ever writes there, and nobody waits for it.
TEST_F(HostsTest, AreNotReadFromAPipe) {
    ASSERT_EQ(mkfifo(leases.c_str(), S_IRUSR | S_IWUSR), 0);
    start();
    EXPECT_TRUE(
        comes_true([&] { return porthole.log().find("leases-unreadable") != std::string::npos; }));
    EXPECT_THAT(client->hosts(), IsEmpty());
}

class KeaHostsTest : public HostsTest {
  protected:
    KeaHostsTest() : HostsTest("", "kea-leases4.csv") {}
};

// It has put its file aside, and goes on with another one.
TEST_F(KeaHostsTest, AreReadFromAllPartsOfTheFile) {
    const std::string header = "address,hwaddr,valid_lifetime,expire,hostname,state\n";
    const auto row = [](std::string_view address, std::string_view mac, std::string_view name) {
        return std::string(address) + "," + std::string(mac) + ",3600,4102444800," +
               std::string(name) + ",0\n";
    };
    lab::write_file(leases.string() + ".2", header + row(addresses::a1, a1_mac, "annas-laptop") +
                                                row(addresses::a2, a2_mac, "old-name"));
    lab::write_file(leases, header + row(addresses::a2, a2_mac, "bens-phone"));
    start();
    EXPECT_TRUE(is_named(a1_mac, "annas-laptop"));
    EXPECT_TRUE(is_named(a2_mac, "bens-phone"));
}

TEST_F(HostsTest, AreAnnouncedWhenTheyCome) {
    start();
    bool announced = false;
    client->proxy()
        .uponSignal("Changed")
        .onInterface("org.porthole.Gateway1.Hosts")
        .call([&announced] { announced = true; });
    client->proxy().finishRegistration();
    client->reserve(a1_mac, "udp", wireguard);  // so that neighbours are followed at once
    const UdpSocket a1(sites.a1, wireguard);
    a1.send_to(remote_end, "here I am");
    EXPECT_TRUE(comes_true([&] {
        while (client->connection().processPendingRequest()) {
        }
        return announced;
    }));
}

class ConfiguredHostsTest : public HostsTest {
  protected:
    ConfiguredHostsTest()
        : HostsTest("[[reservation]]\nhost = \"" + std::string(a1_mac) +
                    "\"\nprotocol = \"udp\"\nport = 51820\n") {}
};

TEST_F(ConfiguredHostsTest, HaveTheirPort) {
    start();
    const UdpSocket a1(sites.a1, wireguard);
    a1.send_to(remote_end, "here I am");
    const auto [rows, total, generation] = client->list();
    ASSERT_THAT(rows, SizeIs(1));
    EXPECT_EQ(rows[0].get<6>(), "static");
    ASSERT_TRUE(is_at(rows[0].get<0>(), addresses::a1)) << porthole.log();
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), owned);
}

}  // namespace
}  // namespace porthole
