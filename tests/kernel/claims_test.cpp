// SPDX-License-Identifier: GPL-2.0-or-later
// Ports that are claimed for hosts because they were seen sending from them.
#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bus_client.hpp"
#include "lab/conntrack.hpp"
#include "lab/deadline.hpp"
#include "lab/links.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::comes_true;
using lab::UdpSocket;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint16_t wireguard = 51820;
const auto remote_end = at(addresses::outside, wireguard);
const auto other_end = at(addresses::outside, 7);
const std::string first_host(addresses::a1);
const std::string second_host(addresses::a2);

bool is_alternate(std::uint16_t port) { return port >= 42000 && port <= 42999; }
lab::SocketAddress outside_of(const dbus::Row& row) { return at(addresses::a_wan, row.get<4>()); }

class ClaimsTest : public testing::Test {
  protected:
    explicit ClaimsTest(std::string_view configuration = "")
        : porthole(sites.gateway_a, configuration) {
        lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
    }
    /// Starts the service. All flows have been looked at when this returns, and are not again for
    /// a minute: what a test sends from now on is noticed by watching, or not in time.
    void start() {
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
        const auto row = client->reserve(second_host, "udp", 5, {{"settle", sdbus::Variant(true)}});
        client->release({row.get<0>()});
    }
    void restart() {
        client.reset();
        porthole.kill();
        start();
    }
    std::vector<dbus::Row> claims(const dbus::Dictionary& more = {}) {
        auto query = more;
        query["origin"] = sdbus::Variant(std::string("auto"));
        return std::get<0>(client->list(query));
    }
    std::vector<dbus::Row> claims_of(const std::string& host) {
        return claims({{"host", sdbus::Variant(host)}});
    }
    /// The claim of this host, once it is settled.
    dbus::Row claim_of(const std::string& host) {
        std::vector<dbus::Row> rows;
        EXPECT_TRUE(comes_true([&] {
            rows = claims_of(host);
            return !rows.empty() && rows[0].get<7>() == "active";
        })) << host
            << " has no claim; the service says:\n"
            << porthole.log();
        return rows.empty() ? dbus::Row() : rows[0];
    }
    std::vector<dbus::ConflictRow> conflicts(const std::string& cause) {
        auto rows = client->conflicts();
        std::erase_if(rows, [&](const auto& row) { return row.template get<1>() != cause; });
        return rows;
    }
    std::uint64_t counter(const std::string& name) {
        const auto status = client->status();
        return status.at("counters").get<dbus::Dictionary>().at(name).get<std::uint64_t>();
    }
    /// Two hosts work from the same port, to different remotes.
    void both_hosts_use_the_port() {
        EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(addresses::a_wan, wireguard));
        EXPECT_EQ(lab::exchange(a2, other, other_end), at(addresses::a_wan, wireguard));
    }
    void forget_flows() { lab::output_of(sites.gateway_a, {"conntrack", "-F"}); }

    lab::TwoSites sites;
    lab::Porthole porthole;
    std::unique_ptr<BusClient> client;
    UdpSocket a1{sites.a1, wireguard};
    UdpSocket a2{sites.a2, wireguard};
    UdpSocket remote{sites.outside, wireguard};
    UdpSocket other{sites.outside, 7};
};

TEST_F(ClaimsTest, AreMadeAtTheFirstPacket) {
    start();
    a1.send_to(remote_end, "first");
    const auto claim = claim_of(first_host);
    EXPECT_EQ(claim.get<2>(), "udp");
    EXPECT_EQ(claim.get<3>(), wireguard);
    EXPECT_EQ(claim.get<4>(), wireguard);
    EXPECT_NE(claim.get<10>(), 0) << "last seen";
    EXPECT_THAT(lab::output_of(sites.a1, {"ip", "-o", "link", "show", "eth0"}),
                HasSubstr("link/ether " + claim.get<11>().at("mac").get<std::string>()));
    EXPECT_THAT(client->status().at("watched").get<std::string>(), "51820-51899");
}

TEST_F(ClaimsTest, AreNotMadeForOtherPorts) {
    start();
    const UdpSocket below(sites.a2, 51819);
    const UdpSocket above(sites.a2, 51900);
    below.send_to(remote_end, "below");
    above.send_to(remote_end, "above");
    a1.send_to(remote_end, "first");
    claim_of(first_host);
    EXPECT_THAT(claims(), SizeIs(1));
}

// The second host's packets go the wrong way until it has its port: nothing of that is left.
TEST_F(ClaimsTest, GiveTheSecondHostAnAlternateThatStays) {
    start();
    a1.send_to(remote_end, "first");
    claim_of(first_host);
    a2.send_to(remote_end, "second");
    const auto claim = claim_of(second_host);
    EXPECT_TRUE(is_alternate(claim.get<4>())) << claim.get<4>();
    EXPECT_EQ(lab::exchange(a2, remote, remote_end), outside_of(claim));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(addresses::a_wan, wireguard));

    const auto found = conflicts("port-wanted-twice");
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_EQ(found[0].get<4>(), wireguard);
    EXPECT_EQ(found[0].get<8>().at("owner").get<std::string>(), first_host);
    EXPECT_EQ(found[0].get<8>().at("used-port").get<std::uint16_t>(), claim.get<4>());

    restart();
    EXPECT_EQ(claim_of(second_host).get<4>(), claim.get<4>());
    // Without the store it is the same one, too.
    client->release({claim.get<0>()});
    forget_flows();
    a2.send_to(remote_end, "again");
    EXPECT_EQ(claim_of(second_host).get<4>(), claim.get<4>());
}

TEST_F(ClaimsTest, SurviveACrashOnceTheyWereSeen) {
    start();
    a1.send_to(remote_end, "first");
    ASSERT_TRUE(comes_true([&] { return !claims().empty(); }));
    restart();
    EXPECT_THAT(claims_of(first_host), SizeIs(1));
}

// Nobody hears of a flow that began while the service was not there.
TEST_F(ClaimsTest, AreMadeForFlowsThatWereThereBefore) {
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(addresses::a_wan, wireguard));
    start();
    EXPECT_EQ(claim_of(first_host).get<4>(), wireguard);
}

// The kernel had moved the second host's flow, and it works: it is left alone until it ends.
TEST_F(ClaimsTest, NeverMoveALiveFlow) {
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(addresses::a_wan, wireguard));
    const auto moved = lab::exchange(a2, remote, remote_end);
    ASSERT_TRUE(moved);
    start();
    const auto claim = claim_of(second_host);
    claim_of(first_host);
    EXPECT_EQ(lab::exchange(a2, remote, remote_end), moved);
    ASSERT_TRUE(comes_true([&] { return !conflicts("remapped").empty(); }));
    const auto found = conflicts("remapped").at(0);
    EXPECT_EQ(found.get<4>(), claim.get<4>());
    EXPECT_EQ(found.get<8>().at("used-port").get<std::uint16_t>(), moved->port);
    forget_flows();
    EXPECT_EQ(lab::exchange(a2, remote, remote_end), outside_of(claim));
    EXPECT_TRUE(comes_true([&] { return conflicts("remapped").empty(); }));
}

// The claim of the first one waits, so that nothing of what works stops.
TEST_F(ClaimsTest, WaitWhileSomebodyElseUsesThePort) {
    both_hosts_use_the_port();
    start();
    ASSERT_TRUE(comes_true([&] {
        return std::ranges::any_of(claims(), [](const auto& row) {
            return row.template get<4>() == wireguard && row.template get<7>() == "waiting";
        });
    })) << porthole.log();
    const auto found = conflicts("overload");
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_EQ(found[0].get<4>(), wireguard);
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(addresses::a_wan, wireguard));
    EXPECT_EQ(lab::exchange(a2, other, other_end), at(addresses::a_wan, wireguard));
    // What the stock gateway would have done, it does still: another port, but not nothing.
    EXPECT_TRUE(lab::exchange(a1, other, other_end));

    forget_flows();
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), outside_of(claims_of(first_host).at(0)));
    ASSERT_TRUE(comes_true([&] { return conflicts("overload").empty(); }));
    for (const auto& host : {first_host, second_host}) claim_of(host);
}

// Somebody decides not to wait.
TEST_F(ClaimsTest, AreInForceAtOnceWhereAnOverloadIsResolved) {
    both_hosts_use_the_port();
    start();
    ASSERT_TRUE(comes_true([&] { return !conflicts("overload").empty(); })) << porthole.log();
    const auto conflict = conflicts("overload").at(0);
    const auto owner = conflict.get<8>().at("owner").get<std::string>();
    EXPECT_EQ(error_of([&] { client->resolve(conflict.get<0>(), "exempt"); }).first,
              "org.porthole.Gateway1.Error.InvalidArgument");
    EXPECT_EQ(error_of([&] { client->resolve(0, "wait"); }).first,
              "org.porthole.Gateway1.Error.NoSuchConflict");
    client->resolve(conflict.get<0>(), "reserve");
    // In a while it would be in force by itself, as a claim.
    const auto reserved = std::get<0>(client->list({{"origin", sdbus::Variant("api")}}));
    ASSERT_THAT(reserved, SizeIs(1));
    EXPECT_EQ(reserved[0].get<1>(), owner);
    EXPECT_EQ(reserved[0].get<4>(), wireguard);
    EXPECT_NE(reserved[0].get<7>(), "waiting");
    ASSERT_TRUE(comes_true([&] { return conflicts("overload").empty(); }));
    const auto& sender = owner == first_host ? a1 : a2;
    EXPECT_EQ(lab::exchange(sender, remote, remote_end), at(addresses::a_wan, wireguard));
    EXPECT_EQ(lab::exchange(sender, other, other_end), at(addresses::a_wan, wireguard));
}

TEST_F(ClaimsTest, MakeWayForWhoAsks) {
    start();
    a1.send_to(remote_end, "first");
    claim_of(first_host);
    client->reserve(second_host, "udp", wireguard, {{"settle", sdbus::Variant(true)}});
    EXPECT_EQ(lab::exchange(a2, remote, remote_end), at(addresses::a_wan, wireguard));
    const auto claim = claim_of(first_host);
    EXPECT_TRUE(is_alternate(claim.get<4>()));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), outside_of(claim));
}

// Its flow that works is not moved for another claim, but for somebody who asks.
TEST_F(ClaimsTest, MakeWayForWhoAsksWithALiveFlow) {
    start();
    ASSERT_EQ(lab::exchange(a1, remote, remote_end), at(addresses::a_wan, wireguard));
    remote.send_to(at(addresses::a_wan, wireguard), "answer");
    ASSERT_TRUE(a1.receive("answer"));
    claim_of(first_host);
    client->reserve(second_host, "udp", wireguard, {{"settle", sdbus::Variant(true)}});
    EXPECT_EQ(lab::exchange(a2, remote, remote_end), at(addresses::a_wan, wireguard));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), outside_of(claim_of(first_host)));
}

TEST_F(ClaimsTest, MakeWayForTheGateway) {
    sites.gateway_a.set_sysctl("net/ipv4/ip_local_port_range", "1024 2000");
    start();
    a1.send_to(remote_end, "first");
    claim_of(first_host);
    const UdpSocket own(sites.gateway_a, wireguard);
    ASSERT_TRUE(comes_true([&] { return is_alternate(claims_of(first_host).at(0).get<4>()); }));
    const auto claim = claim_of(first_host);
    EXPECT_EQ(lab::exchange(own, remote, remote_end), at(addresses::a_wan, wireguard));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), outside_of(claim));
}

TEST_F(ClaimsTest, BecomeReservationsOfWhoAsksForThem) {
    start();
    a1.send_to(remote_end, "first");
    const auto claim = claim_of(first_host);
    const auto row = client->reserve(first_host, "udp", wireguard);
    EXPECT_EQ(row.get<0>(), claim.get<0>());
    EXPECT_EQ(row.get<6>(), "api");
    EXPECT_THAT(claims(), IsEmpty());
}

TEST_F(ClaimsTest, HaveALimitForEachMacAddress) {
    start();
    std::vector<UdpSocket> sockets;
    for (std::uint16_t i = 1; i <= 10; ++i) {
        sockets.emplace_back(sites.a1, static_cast<std::uint16_t>(wireguard + i));
        sockets.back().send_to(remote_end, "mine");
    }
    ASSERT_TRUE(comes_true([&] { return counter("claims-refused") >= 2; }));
    EXPECT_THAT(claims_of(first_host), SizeIs(8));
    a2.send_to(remote_end, "second");
    EXPECT_EQ(claim_of(second_host).get<4>(), wireguard);
}

// Nobody answers for a forged address.
TEST_F(ClaimsTest, AreOnlyForHostsThatAreThere) {
    start();
    a1.send_to(remote_end, "first");
    claim_of(first_host);
    const std::string forged = "192.168.2.77";
    {
        lab::add_address(sites.a1, "eth0", forged + "/24");
        const UdpSocket socket(sites.a1, at(forged, 51830));
        const lab::FlowMonitor flows(sites.gateway_a);
        socket.send_to(remote_end, "forged");
        lab::delete_address(sites.a1, "eth0", forged + "/24");
        ASSERT_TRUE(flows.wait_for(forged, 51830, lab::packet_limit));
    }
    a2.send_to(remote_end, "second");
    claim_of(second_host);
    // Longer than anybody is waited for.
    EXPECT_FALSE(comes_true([&] { return !claims_of(forged).empty(); }, lab::Duration(7'000)));
}

// Another table translates first, and would whatever we delete.
TEST_F(ClaimsTest, AreInConflictWithARuleThatDecidesFirst) {
    lab::output_of(sites.gateway_a, {"nft", "-f", "-"}, {.input = R"(table ip first {
    chain out {
        type nat hook postrouting priority 50
        udp sport 51820 oifname "wan" snat to 203.0.113.1:5000
    }
})"});
    start();
    client->reserve(first_host, "udp", wireguard, {{"settle", sdbus::Variant(true)}});
    a1.send_to(remote_end, "mine");
    UdpSocket(sites.a2, 51825).send_to(remote_end, "a claim has all flows looked at");
    claim_of(second_host);
    const auto sends = [&](auto condition) {
        return comes_true(
            [&] {
                a1.send_to(remote_end, "mine");
                return condition();
            },
            lab::Duration(40'000));
    };
    ASSERT_TRUE(sends([&] { return !conflicts("foreign-nat").empty(); })) << porthole.log();
    const auto found = conflicts("foreign-nat").at(0);
    EXPECT_EQ(found.get<4>(), wireguard);
    EXPECT_EQ(found.get<8>().at("used-port").get<std::uint16_t>(), 5000);
    lab::output_of(sites.gateway_a, {"nft", "delete", "table", "ip", "first"});
    EXPECT_TRUE(sends([&] { return conflicts("foreign-nat").empty(); }));
}

class ManyPortsTest : public ClaimsTest {
  protected:
    ManyPortsTest() : ClaimsTest("[auto]\nports = \"51000-56999\"\n") {}
};

// One host sends from thousands of ports: it gets what one host gets, and others get theirs.
TEST_F(ManyPortsTest, OfOneHostKeepNobodyElseOut) {
    start();
    constexpr unsigned ports = 5000;
    for (unsigned i = 0; i < ports; ++i) {
        const auto port = static_cast<std::uint16_t>(51000 + i);
        if (port == wireguard) continue;
        UdpSocket(sites.a1, port).send_to(remote_end, "mine");
        if (i == ports / 2) a2.send_to(remote_end, "second");
    }
    EXPECT_EQ(claim_of(second_host).get<4>(), wireguard);
    ASSERT_TRUE(comes_true([&] { return counter("claims-refused") != 0; }));
    EXPECT_THAT(claims_of(first_host), SizeIs(8));
    EXPECT_EQ(lab::exchange(a2, other, other_end), at(addresses::a_wan, wireguard));
}

class NoClaimsTest : public ClaimsTest {
  protected:
    NoClaimsTest() : ClaimsTest("[auto]\nenabled = false\n") {}
};

TEST_F(NoClaimsTest, AreMadeWhereTheyAreNotWanted) {
    lab::exchange(a1, remote, remote_end);
    start();
    a2.send_to(remote_end, "second");
    client->reserve(second_host, "udp", 5, {{"settle", sdbus::Variant(true)}});
    EXPECT_THAT(claims(), IsEmpty());
    EXPECT_EQ(client->status().at("watched").get<std::string>(), "");
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"nft", "list", "table", "inet", "porthole"}),
                testing::Not(HasSubstr("log group")));
}

}  // namespace
}  // namespace porthole
