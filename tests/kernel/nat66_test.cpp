// SPDX-License-Identifier: GPL-2.0-or-later
// NAT66: IPv6 hosts with private addresses (RFC 4193) whose packets show the WAN's address, and
// keep their ports as over IPv4.
#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
namespace addresses6 = lab::address6;
using lab::at;
using lab::TcpListener;
using lab::TcpSocket;
using lab::UdpSocket;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::uint16_t wireguard = 51820;
constexpr std::uint16_t first_of_pool = 61440;
constexpr auto silence = lab::Duration(100);
const std::string a1_address = "fd00:2::2";
const std::string a1_other = "fd00:2::22";
const std::string a2_address = "fd00:2::3";
constexpr auto a1_mac = "02:00:5e:10:00:01";
const auto owned = at(addresses6::a_wan, wireguard);
const auto remote_end = at(addresses6::outside, wireguard);
const std::string nat66 = "[auto]\nenabled = false\n[nat]\nipv6 = \"nat66\"\n";

lab::SocketAddress any6(std::uint16_t port) { return at("::", port); }

class Nat66 : public testing::Test {
  protected:
    explicit Nat66(std::string_view configuration = nat66)
        : porthole(sites.gateway_a, configuration) {
        sites.add_ipv6();
        lab::output_of(sites.a1, {"ip", "link", "set", "eth0", "address", a1_mac});
        lab::output_of(sites.a1, {"ip", "-6", "route", "replace", "default", "via",
                                  std::string(addresses6::a_lan)});
        lab::add_address(sites.gateway_a, "lan", "fd00:2::1/64");
        lab::add_address(sites.a1, "eth0", a1_address + "/64");
        lab::add_address(sites.a1, "eth0", a1_other + "/64");
        lab::add_address(sites.a2, "eth0", a2_address + "/64");
        // As OpenWrt's `masq6` and others have it.
        lab::output_of(sites.gateway_a, {"nft", "-f", "-"}, {.input = R"(table ip6 stock {
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        ip6 saddr fc00::/7 oifname "wan" masquerade
    }
}
)"});
    }
    void start() {
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
    }
    dbus::Row reserve(const std::string& host, dbus::Dictionary options = {},
                      const std::string& protocol = "udp") {
        options.emplace("settle", sdbus::Variant(true));
        return client->reserve(host, protocol, wireguard, options);
    }
    dbus::Row row_of(const std::string& host) {
        const auto rows = std::get<0>(client->list({{"host", sdbus::Variant(host)}}));
        return rows.size() == 1 ? rows[0] : dbus::Row();
    }
    [[nodiscard]] std::optional<lab::SocketAddress> shown(const UdpSocket& host) const {
        return lab::exchange(host, remote, remote_end);
    }
    [[nodiscard]] bool leaves_from_the_pool(const UdpSocket& host) const {
        const auto from = shown(host);
        return from && from->address == owned.address && from->port >= first_of_pool;
    }
    [[nodiscard]] static bool comes_in(const UdpSocket& from, const UdpSocket& host,
                                       const lab::SocketAddress& destination = owned) {
        while (host.receive(lab::Duration(0))) {
        }
        from.send_to(destination, "inbound");
        return host.receive("inbound", silence).has_value();
    }
    void configure(std::string_view configuration) const {
        lab::write_file(porthole.configuration_file(), configuration);
    }

    lab::TwoSites sites;
    lab::Porthole porthole;
    std::unique_ptr<BusClient> client;
    UdpSocket remote{sites.outside, any6(wireguard)};
};

TEST_F(Nat66, KeepsTheOwnersPortAndNobodyElseHasIt) {
    const UdpSocket a1(sites.a1, at(a1_address, wireguard));
    const UdpSocket a2(sites.a2, at(a2_address, wireguard));
    start();
    const auto row = reserve(a1_address);
    EXPECT_EQ(row.get<4>(), wireguard);
    EXPECT_EQ(row.get<11>().at("family").get<std::string>(), "ipv6");
    for (int i = 0; i < 10; ++i) {
        ASSERT_EQ(shown(a1), owned) << i;
        ASSERT_TRUE(leaves_from_the_pool(a2)) << i;
    }
    // A port that nobody has leaves as it does without us.
    const UdpSocket other(sites.a2, at(a2_address, 7000));
    EXPECT_EQ(shown(other), at(addresses6::a_wan, 7000));
    const auto [name, message] = error_of([&] { reserve(a2_address); });
    EXPECT_THAT(name, HasSubstr("PortTaken"));
    EXPECT_THAT(message, HasSubstr(a1_address));
    const auto next = reserve(a2_address, {{"on-conflict", sdbus::Variant(std::string("next"))}});
    EXPECT_EQ(next.get<4>(), wireguard + 1);
    EXPECT_EQ(shown(a2), at(addresses6::a_wan, wireguard + 1));
    EXPECT_EQ(shown(a1), owned);
}

// Each family has ports of its own, and hosts with addresses of the Internet keep theirs.
TEST_F(Nat66, IsApartFromIpv4AndFromHostsThatAreNotTranslated) {
    lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
    start();
    reserve(a1_address);
    reserve(std::string(addresses::a2));
    reserve(std::string(addresses6::a2));
    const UdpSocket a1(sites.a1, at(a1_address, wireguard));
    const UdpSocket ipv4(sites.a2, wireguard);
    const UdpSocket there(sites.outside, 1234);
    const UdpSocket global(sites.a2, at(addresses6::a2, wireguard));
    EXPECT_EQ(shown(a1), owned);
    EXPECT_EQ(lab::exchange(ipv4, there, at(addresses::outside, 1234)),
              at(addresses::a_wan, wireguard));
    EXPECT_EQ(shown(global), at(addresses6::a2, wireguard));
    const UdpSocket other_port(sites.outside, any6(40000));
    EXPECT_TRUE(comes_in(other_port, global, at(addresses6::a2, wireguard)));
    const UdpSocket stranger(sites.gateway_b, any6(wireguard));
    EXPECT_FALSE(comes_in(stranger, global, at(addresses6::a2, wireguard)));
}

// Flows that are in the wrong place already: remapped by who was there first, and by a packet that
// came too early.
TEST_F(Nat66, SettlesWhatWasThereBefore) {
    const UdpSocket a1(sites.a1, at(a1_address, wireguard));
    const UdpSocket a2(sites.a2, at(a2_address, wireguard));
    ASSERT_EQ(shown(a2), owned);
    const auto wrong = shown(a1);
    ASSERT_TRUE(wrong);
    ASSERT_NE(wrong, owned);
    const UdpSocket early(sites.gateway_b, any6(wireguard));
    early.send_to(owned, "too early");
    ASSERT_TRUE(lab::comes_true(
        [&] { return !lab::flows_from(sites.gateway_a, addresses6::b_wan, wireguard).empty(); }));
    const UdpSocket unconcerned(sites.a2, at(a2_address, 7000));
    ASSERT_TRUE(shown(unconcerned));
    const auto before = lab::flows_from(sites.gateway_a, a2_address, 7000);
    ASSERT_EQ(before.size(), 1U);
    start();
    reserve(a1_address);
    EXPECT_EQ(shown(a1), owned);
    EXPECT_TRUE(leaves_from_the_pool(a2));
    EXPECT_EQ(lab::exchange(a1, early, at(addresses6::b_wan, wireguard)), owned);
    const auto after = lab::flows_from(sites.gateway_a, a2_address, 7000);
    ASSERT_EQ(after.size(), 1U);
    EXPECT_EQ(after[0].id, before[0].id);
}

TEST_F(Nat66, LetsInWhomTheFilteringAllows) {
    start();
    const UdpSocket a1(sites.a1, at(a1_address, wireguard));
    const UdpSocket other_port(sites.outside, any6(40000));
    const UdpSocket stranger(sites.gateway_b, any6(wireguard));
    const auto id = std::to_string(reserve(a1_address).get<0>());
    EXPECT_FALSE(comes_in(other_port, a1)) << "before the host has sent anything";
    ASSERT_EQ(shown(a1), owned);
    EXPECT_TRUE(comes_in(other_port, a1));
    EXPECT_FALSE(comes_in(stranger, a1));
    ASSERT_EQ(porthole.ctl({"change", id, "--filtering", "endpoint-independent"}).status, 0);
    EXPECT_TRUE(comes_in(stranger, a1));
    ASSERT_EQ(porthole.ctl({"change", id, "--filtering", "address-and-port-dependent"}).status, 0);
    const UdpSocket third_port(sites.outside, any6(40001));
    EXPECT_FALSE(comes_in(third_port, a1));
    EXPECT_TRUE(comes_in(remote, a1)) << "what it has sent to";
    EXPECT_EQ(lab::exchange(a1, stranger, at(addresses6::b_wan, wireguard)), owned)
        << "who knocked did not take the port";
}

// Contacts that the packet path has forgotten are found again from live flows.
TEST_F(Nat66, FindsContactsAgain) {
    start();
    reserve(a1_address);
    const UdpSocket a1(sites.a1, at(a1_address, wireguard));
    ASSERT_EQ(shown(a1), owned);
    lab::output_of(sites.gateway_a, {"nft", "delete", "table", "inet", "porthole"});
    const UdpSocket other_port(sites.outside, any6(40000));
    EXPECT_TRUE(lab::comes_true([&] { return comes_in(other_port, a1); }));
    const UdpSocket stranger(sites.gateway_b, any6(wireguard));
    EXPECT_FALSE(comes_in(stranger, a1));
    EXPECT_THAT(lab::output_of(sites.gateway_a,
                               {"nft", "list", "set", "inet", "porthole", "nat66-contacts"}),
                HasSubstr(std::string(addresses6::outside)));
}

TEST_F(Nat66, CarriesTcp) {
    start();
    reserve(a1_address, {{"filtering", sdbus::Variant(std::string("endpoint-independent"))}},
            "tcp");
    const TcpListener elsewhere(sites.outside, any6(80));
    const auto out =
        TcpSocket::connect(sites.a1, at(a1_address, wireguard), at(addresses6::outside, 80));
    ASSERT_TRUE(out);
    const auto accepted = elsewhere.accept();
    ASSERT_TRUE(accepted);
    EXPECT_EQ(accepted->remote(), owned);
    const TcpListener listener(sites.a1, at(a1_address, wireguard));
    EXPECT_TRUE(TcpSocket::connect(sites.gateway_b, any6(0), owned));
}

TEST_F(Nat66, HostsReachEachOtherThroughTheWan) {
    start();
    for (const std::string protocol : {"udp", "tcp"}) {
        reserve(a1_address, {}, protocol);
        reserve(a2_address, {{"external-port", sdbus::Variant(std::uint16_t{51821})}}, protocol);
    }
    const auto of_a2 = at(addresses6::a_wan, 51821);
    const UdpSocket a1(sites.a1, at(a1_address, wireguard));
    const UdpSocket a2(sites.a2, at(a2_address, wireguard));
    EXPECT_EQ(lab::exchange(a1, a2, of_a2), owned);
    lab::output_of(sites.gateway_a, {"conntrack", "-F"});  // what follows is no answer
    EXPECT_EQ(lab::exchange(a2, a1, owned), of_a2);
    const UdpSocket other(sites.a1, at(a1_address, 7000));
    EXPECT_EQ(lab::exchange(other, a2, of_a2), at(addresses6::a_wan, 7000));
    const UdpSocket taken(sites.a1, at(a1_address, 51821));
    const auto from_pool = lab::exchange(taken, a2, of_a2);
    ASSERT_TRUE(from_pool);
    EXPECT_GE(from_pool->port, first_of_pool);
    const TcpListener listener(sites.a2, at(a2_address, wireguard));
    ASSERT_TRUE(TcpSocket::connect(sites.a1, at(a1_address, wireguard), of_a2));
    EXPECT_EQ(listener.accept()->remote(), owned);
}

// Whatever others translate.
TEST_F(Nat66, TheGuardStopsWhoeverShowsAReservedPort) {
    start();
    reserve(a1_address);
    lab::output_of(sites.gateway_a,
                   {"nft", "insert rule ip6 stock postrouting ip6 saddr " + a2_address +
                               " udp sport 7000 oifname wan snat to [" +
                               std::string(addresses6::a_wan) + "]:51820"});
    const UdpSocket other(sites.a2, at(a2_address, 7000));
    const auto leaves = [&]() -> std::optional<lab::SocketAddress> {
        other.send_to(remote_end, "taken");
        const auto packet = remote.receive("taken", silence);
        return packet ? std::optional(packet->source) : std::nullopt;
    };
    EXPECT_FALSE(leaves());  // the next try comes from the pool
    const auto from = leaves();
    ASSERT_TRUE(from);
    EXPECT_GE(from->port, first_of_pool);
    const UdpSocket a1(sites.a1, at(a1_address, wireguard));
    EXPECT_EQ(shown(a1), owned);
}

// One address of a host shows the port at a time, the one that it sends from.
TEST_F(Nat66, FollowsAHostToTheAddressThatItSendsFrom) {
    start();
    ASSERT_EQ(lab::output_of(sites.a1, {"ping", "-6", "-c1", "-W2", "-I", a1_address, "fd00:2::1"})
                      .find("1 received") == std::string::npos,
              false);
    lab::output_of(sites.a1, {"ping", "-6", "-c1", "-W2", "-I", a1_other, "fd00:2::1"});
    reserve(a1_mac);
    ASSERT_TRUE(lab::comes_true([&] {
        const auto row = row_of(a1_mac);
        const auto found = row.get<11>().find("ipv6-addresses");
        if (row.get<7>() != "active" || found == row.get<11>().end()) return false;
        const auto all = found->second.get<std::vector<std::string>>();
        return std::ranges::count(all, a1_address) + std::ranges::count(all, a1_other) == 2;
    }));
    UdpSocket first(sites.a1, at(a1_address, wireguard));
    ASSERT_TRUE(lab::comes_true([&] { return shown(first) == owned; }));
    UdpSocket second(sites.a1, at(a1_other, wireguard));
    EXPECT_TRUE(lab::comes_true([&] { return shown(second) == owned; }));
    EXPECT_EQ(row_of(a1_mac).get<11>().at("nat66-address").get<std::string>(), a1_other);
    // Both at once do not push each other out with every packet.
    EXPECT_TRUE(leaves_from_the_pool(first));
    EXPECT_EQ(shown(second), owned);
    const UdpSocket other_port(sites.outside, any6(40000));
    EXPECT_TRUE(comes_in(other_port, second));
}

TEST_F(Nat66, FollowsTheWansAddress) {
    start();
    reserve(a1_address);
    const UdpSocket a1(sites.a1, at(a1_address, wireguard));
    ASSERT_EQ(shown(a1), owned);
    lab::add_address(sites.gateway_a, "wan", "2001:db8:1::77/64");
    lab::delete_address(sites.gateway_a, "wan", std::string(addresses6::a_wan) + "/64");
    lab::output_of(sites.gateway_a, {"ip", "-6", "route", "replace", "default", "via",
                                     std::string(addresses6::internet)});
    const auto moved = at("2001:db8:1::77", wireguard);
    EXPECT_TRUE(lab::comes_true([&] { return shown(a1) == moved; }));
    const UdpSocket other_port(sites.outside, any6(40000));
    EXPECT_TRUE(lab::comes_true([&] { return comes_in(other_port, a1, moved); }));
}

// Hosts that shared a port as pinholes cannot do so any more: the first one has it, the other one
// waits, and gets it when it is free. And back.
TEST_F(Nat66, IsSwitchedOnAndOff) {
    configure("[auto]\nenabled = false\n");
    start();
    const auto first = reserve(a1_address).get<0>();
    reserve(a2_address);
    const UdpSocket a1(sites.a1, at(a1_address, wireguard));
    const UdpSocket a2(sites.a2, at(a2_address, wireguard));
    configure(nat66);
    client->reload();
    EXPECT_TRUE(lab::comes_true([&] { return shown(a1) == owned; }));
    EXPECT_TRUE(leaves_from_the_pool(a2));
    EXPECT_EQ(row_of(a2_address).get<7>(), "waiting");
    EXPECT_THAT(porthole.ctl({"status", "--all"}).output,
                AllOf(HasSubstr("NAT66: external port 51820/udp belongs to " + a1_address),
                      HasSubstr(a2_address)));
    client->release({first});
    EXPECT_TRUE(lab::comes_true([&] { return shown(a2) == owned; }));
    EXPECT_TRUE(lab::comes_true([&] { return row_of(a2_address).get<7>() == "active"; }));
    const UdpSocket other(sites.a2, at(a2_address, 7000));
    ASSERT_TRUE(shown(other));
    const auto others = lab::flows_from(sites.gateway_a, a2_address, 7000);
    configure("[auto]\nenabled = false\n");
    client->reload();
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"nft", "list", "table", "inet", "porthole"}),
                Not(HasSubstr("nat66")));
    // What others still translate lives on.
    EXPECT_EQ(lab::flows_from(sites.gateway_a, a2_address, 7000).at(0).id, others.at(0).id);
    reserve(a1_address);
}

// The LAN's private network comes and goes; the port stays its owner's.
TEST_F(Nat66, WaitsForALanWithSuchANetwork) {
    lab::delete_address(sites.gateway_a, "lan", "fd00:2::1/64");
    start();
    EXPECT_THAT(porthole.ctl({"status", "--all"}).output,
                HasSubstr("no LAN with a private IPv6 network"));
    lab::add_address(sites.gateway_a, "lan", "fd00:2::1/64");
    const auto can_reserve = [&] {
        return porthole.ctl({"reserve", a1_address, "udp", "51820", "--external-port", "7778"})
                   .status == 0;
    };
    ASSERT_TRUE(lab::comes_true(can_reserve));
    const UdpSocket a1(sites.a1, at(a1_address, wireguard));
    const auto shows_it = [&] { return shown(a1) == at(addresses6::a_wan, 7778); };
    ASSERT_TRUE(lab::comes_true(shows_it));
    lab::delete_address(sites.gateway_a, "lan", "fd00:2::1/64");
    ASSERT_TRUE(lab::comes_true([&] {
        return porthole.ctl({"status", "--all"}).output.find("no LAN with a private IPv6") !=
               std::string::npos;
    })) << porthole.log();
    EXPECT_EQ(row_of(a1_address).get<4>(), 7778);
    lab::add_address(sites.gateway_a, "lan", "fd00:2::1/64");
    lab::output_of(sites.gateway_a, {"conntrack", "-F"});
    EXPECT_TRUE(lab::comes_true(shows_it));
}

// A prefix that was delegated, and no address on the WAN: the LAN's is shown.
TEST_F(Nat66, ShowsAnotherAddressOfTheGatewaysWhereTheWanHasNone) {
    lab::output_of(sites.internet, {"ip", "-6", "route", "replace", "2001:db8:2::/64", "via",
                                    "fe80::1", "dev", "wan"});
    lab::add_address(sites.gateway_a, "wan", "fe80::1/64");
    lab::delete_address(sites.gateway_a, "wan", std::string(addresses6::a_wan) + "/64");
    lab::output_of(sites.gateway_a,
                   {"ip", "-6", "route", "add", std::string(addresses6::internet), "dev", "wan"});
    lab::output_of(sites.gateway_a, {"ip", "-6", "route", "replace", "default", "via",
                                     std::string(addresses6::internet), "dev", "wan"});
    lab::output_of(sites.outside, {"ip", "-6", "route", "replace", "2001:db8:2::/64", "via",
                                   std::string(addresses6::internet)});
    start();
    reserve(a1_address);
    const UdpSocket a1(sites.a1, at(a1_address, wireguard));
    EXPECT_EQ(shown(a1), at(addresses6::a_lan, wireguard));
    const UdpSocket other_port(sites.outside, any6(40000));
    EXPECT_TRUE(comes_in(other_port, a1, at(addresses6::a_lan, wireguard)));
}

// Ports are claimed for IPv4 hosts only.
TEST_F(Nat66, ClaimsNothing) {
    configure("[nat]\nipv6 = \"nat66\"\n");
    const UdpSocket a1(sites.a1, at(a1_address, wireguard));
    ASSERT_TRUE(shown(a1));
    start();  // looks at all flows
    const UdpSocket again(sites.a2, at(a2_address, 51821));
    ASSERT_TRUE(shown(again));
    lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
    const UdpSocket ipv4(sites.a2, 51822);
    const UdpSocket there(sites.outside, 1234);
    ASSERT_TRUE(lab::comes_true([&] {
        lab::exchange(ipv4, there, at(addresses::outside, 1234));
        return std::get<1>(client->list()) != 0;
    }));
    const auto rows = std::get<0>(client->list());
    for (const auto& row : rows) {
        EXPECT_EQ(row.get<1>(), std::string(addresses::a2));
    }
}

TEST_F(Nat66, OutlivesTheService) {
    start();
    reserve(a1_address);
    const auto next = reserve(a2_address, {{"on-conflict", sdbus::Variant(std::string("next"))}});
    porthole.stop();
    const UdpSocket a2(sites.a2, at(a2_address, wireguard));
    EXPECT_EQ(shown(a2), at(addresses6::a_wan, wireguard + 1)) << "the rules stay";
    start();
    const UdpSocket a1(sites.a1, at(a1_address, wireguard));
    EXPECT_EQ(shown(a1), owned);
    EXPECT_EQ(shown(a2), at(addresses6::a_wan, wireguard + 1));
    EXPECT_EQ(row_of(a2_address).get<4>(), next.get<4>());
}

TEST_F(Nat66, IsExplained) {
    start();
    reserve(a1_address);
    const auto explain = [&](const std::string& host) {
        return porthole
            .ctl({"explain", host, "udp", "51820", "[" + std::string(addresses6::outside) + "]:7"})
            .output;
    };
    EXPECT_THAT(explain(a1_address), AllOf(HasSubstr("reserved"), HasSubstr("@nat66")));
    EXPECT_THAT(explain(a2_address), AllOf(HasSubstr("displaced"), HasSubstr("@nat66-ports")));
    EXPECT_THAT(explain(std::string(addresses6::a2)),
                HasSubstr("does not translate 2001:db8:2::3"));
    const UdpSocket a1(sites.a1, at(a1_address, wireguard));
    const UdpSocket there(sites.outside, any6(7));
    ASSERT_TRUE(lab::exchange(a1, there, at(addresses6::outside, 7)));
    EXPECT_THAT(explain(a1_address), HasSubstr("That is the port of reservation"));
}

// Somebody's firewall drops what is sent on: a conflict says so, and the command that it names
// opens it.
TEST_F(Nat66, SaysWhatStopsPacketsForAnOwner) {
    start();
    reserve(a1_address, {{"filtering", sdbus::Variant(std::string("endpoint-independent"))}});
    lab::output_of(sites.gateway_a, {"nft", "-f", "-"}, {.input = R"(table ip6 filter {
    chain drops {
        type filter hook forward priority filter; policy drop;
    }
}
)"});
    const UdpSocket a1(sites.a1, at(a1_address, wireguard));
    const UdpSocket stranger(sites.gateway_b, any6(wireguard));
    ASSERT_FALSE(comes_in(stranger, a1));
    // The gateway's own ports make it look at all flows: no need to wait for its minute.
    std::vector<UdpSocket> own;
    const auto stopped = [&] {
        auto rows = client->conflicts();
        std::erase_if(rows,
                      [](const auto& row) { return row.template get<1>() != "foreign-firewall"; });
        return rows;
    };
    ASSERT_TRUE(lab::comes_true([&] {
        own.emplace_back(sites.gateway_a, static_cast<std::uint16_t>(7100 + own.size()));
        return lab::comes_true([&] { return !stopped().empty(); }, lab::Duration(4000));
    }));
    const auto row = stopped().at(0);
    EXPECT_EQ(row.get<8>().at("owner").get<std::string>(), a1_address);
    EXPECT_EQ(row.get<8>().at("other").get<std::string>(), "the chain ip6 filter drops");
    const auto command = row.get<8>().at("command").get<std::string>();
    lab::output_of(sites.gateway_a, {"sh", "-c", command});
    EXPECT_TRUE(comes_in(stranger, a1)) << command;
}

}  // namespace
}  // namespace porthole
