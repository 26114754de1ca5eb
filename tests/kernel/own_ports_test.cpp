// SPDX-License-Identifier: GPL-2.0-or-later
// The ports that the gateway itself has: no host's flow leaves from them, nobody can reserve them,
// and strangers still get there.
#include <algorithm>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "bus_client.hpp"
#include "lab/conntrack.hpp"
#include "lab/deadline.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"
#include "netlink/sock_diag.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::UdpSocket;
using testing::Contains;
using testing::HasSubstr;

constexpr std::uint16_t tunnel = 51821;
const auto remote_end = at(addresses::outside, tunnel);
const auto tunnel_end = at(addresses::a_wan, tunnel);

bool is_displaced(const std::optional<lab::SocketAddress>& shown) {
    return shown && shown->port >= 61440;
}

class OwnPortsTest : public testing::Test {
  protected:
    OwnPortsTest() {
        lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
        // Ports from here on are programs' own choice.
        sites.gateway_a.set_sysctl("net/ipv4/ip_local_port_range", "1024 2000");
    }
    void start() {
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
    }
    std::vector<std::string> own_ports() {
        return client->status()["own-ports"].get<std::vector<std::string>>();
    }
    /// Nobody announces them: asks until it is so.
    bool noticed(const std::string& port, bool there = true) {
        const lab::Deadline deadline(lab::Duration(10'000));
        while ((testing::Value(own_ports(), Contains(port))) != there) {
            if (deadline.passed()) return false;
        }
        return true;
    }
    UdpSocket open_tunnel() { return UdpSocket(sites.gateway_a, tunnel); }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a, "[auto]\nenabled = false\n"};
    std::unique_ptr<BusClient> client;
    UdpSocket a1{sites.a1, tunnel};
    UdpSocket remote{sites.outside, tunnel};
};

TEST_F(OwnPortsTest, KeepTheirPortWhenTheyAreFirst) {
    const auto own = open_tunnel();
    start();
    ASSERT_TRUE(noticed("51821/udp"));
    EXPECT_EQ(lab::exchange(own, remote, remote_end), tunnel_end);
    EXPECT_TRUE(is_displaced(lab::exchange(a1, remote, remote_end)));
    EXPECT_EQ(lab::exchange(own, remote, remote_end), tunnel_end);
}

// The host's flow has the port already when the tunnel comes up, so the kernel moves the tunnel's.
TEST_F(OwnPortsTest, GetTheirPortBackFromAHostThatWasFirst) {
    start();
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), tunnel_end);
    const auto own = open_tunnel();
    ASSERT_NE(lab::source_shown(own, remote, remote_end), tunnel_end);
    ASSERT_TRUE(noticed("51821/udp"));
    const lab::Deadline deadline(lab::Duration(10'000));
    while (lab::exchange(own, remote, remote_end) != tunnel_end) {
        ASSERT_FALSE(deadline.passed()) << "the tunnel does not get its port";
    }
    EXPECT_TRUE(is_displaced(lab::exchange(a1, remote, remote_end)));
    EXPECT_EQ(lab::exchange(own, remote, remote_end), tunnel_end);
}

// The other way round, a packet of the tunnel's between the two would find the port taken once
// more, and its flow would have the wrong one until the next look.
TEST_F(OwnPortsTest, AreFreedBeforeTheTunnelsFlowsBeginAnew) {
    lab::FlowEndMonitor ends(sites.gateway_a);
    std::vector<UdpSocket> remotes;
    for (std::uint16_t port = 7001; port <= 7010; ++port) {
        remotes.emplace_back(sites.outside, port);
        ASSERT_EQ(lab::exchange(a1, remotes.back(), at(addresses::outside, port)), tunnel_end);
    }
    const auto own = open_tunnel();
    for (const auto& other : remotes) {
        const auto end = at(addresses::outside, other.local().port);
        ASSERT_NE(lab::source_shown(own, other, end), tunnel_end);
    }
    start();
    ASSERT_TRUE(noticed("51821/udp"));
    // Whatever is to be settled now is so when this is.
    client->reserve(std::string(addresses::a2), "udp", 5, {{"settle", sdbus::Variant(true)}});
    const auto ended = ends.ended();
    for (const auto& other : remotes) {
        const auto end = at(addresses::outside, other.local().port);
        const auto hosts = std::ranges::find(ended, lab::Tuple{at(addresses::a1, tunnel), end});
        const auto tunnels = std::ranges::find(ended, lab::Tuple{tunnel_end, end});
        ASSERT_NE(hosts, ended.end());
        ASSERT_NE(tunnels, ended.end());
        EXPECT_LT(hosts, tunnels) << end;
    }
}

// It is in nobody's way: the tunnel has nothing to say to that remote.
TEST_F(OwnPortsTest, LeaveALiveFlowToAnotherRemoteAlone) {
    start();
    const UdpSocket other(sites.outside, 7);
    EXPECT_EQ(lab::exchange(a1, other, at(addresses::outside, 7)), tunnel_end);
    const auto own = open_tunnel();
    ASSERT_TRUE(noticed("51821/udp"));
    EXPECT_EQ(lab::exchange(own, remote, remote_end), tunnel_end);
    // Whatever the settling of that had to do is done when that of a reservation is.
    client->reserve(std::string(addresses::a2), "udp", 5, {{"settle", sdbus::Variant(true)}});
    EXPECT_EQ(lab::exchange(a1, other, at(addresses::outside, 7)), tunnel_end);
    EXPECT_TRUE(is_displaced(lab::exchange(a1, remote, remote_end)));
}

// The host's flow was left alone while the tunnel had nothing to say to that remote.
TEST_F(OwnPortsTest, GetTheirPortBackOnceTheyNeedIt) {
    start();
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), tunnel_end);
    const auto own = open_tunnel();
    ASSERT_TRUE(noticed("51821/udp"));
    client->reserve(std::string(addresses::a2), "udp", 5, {{"settle", sdbus::Variant(true)}});
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), tunnel_end);
    const lab::Deadline deadline(lab::Duration(30'000));
    while (lab::exchange(own, remote, remote_end) != tunnel_end) {
        ASSERT_FALSE(deadline.passed()) << "the tunnel does not get its port";
    }
    EXPECT_TRUE(is_displaced(lab::exchange(a1, remote, remote_end)));
}

TEST_F(OwnPortsTest, AreOpenToStrangers) {
    const auto own = open_tunnel();
    start();
    ASSERT_TRUE(noticed("51821/udp"));
    remote.send_to(tunnel_end, "knock");
    EXPECT_TRUE(own.receive("knock"));
}

TEST_F(OwnPortsTest, CannotBeReserved) {
    const auto own = open_tunnel();
    start();
    ASSERT_TRUE(noticed("51821/udp"));
    const std::string host(addresses::a1);
    EXPECT_THAT(error_of([&] { client->reserve(host, "udp", tunnel); }).second,
                HasSubstr("external port 51821/udp is in use by the gateway itself"));
    const auto row = client->reserve(host, "udp", tunnel,
                                     {{"on-conflict", sdbus::Variant(std::string("next"))}});
    EXPECT_EQ(row.get<4>(), tunnel + 1);
    EXPECT_EQ(client->reserve(host, "tcp", tunnel).get<4>(), tunnel) << "of the other protocol";
}

TEST_F(OwnPortsTest, StayWithTheReservationThatHadThemBefore) {
    start();
    client->reserve(std::string(addresses::a1), "udp", tunnel, {{"settle", sdbus::Variant(true)}});
    const auto own = open_tunnel();
    ASSERT_TRUE(noticed("51821/udp"));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), tunnel_end);
    EXPECT_THAT(client->status()["warnings"].get<std::vector<std::string>>(),
                Contains(HasSubstr("receives on 51821/udp, which is reserved for 192.168.2.2")));
}

TEST_F(OwnPortsTest, ComeAndGo) {
    start();
    {
        const auto own = open_tunnel();
        ASSERT_TRUE(noticed("51821/udp"));
    }
    ASSERT_TRUE(noticed("51821/udp", false));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), tunnel_end);
    client->reserve(std::string(addresses::a1), "udp", tunnel);
}

// Another table translates first: to a free port, and to the tunnel's.
TEST_F(OwnPortsTest, AreGuardedAgainstTheTranslationOfOthers) {
    const auto own = open_tunnel();
    start();
    ASSERT_TRUE(noticed("51821/udp"));
    lab::output_of(sites.gateway_a, {"nft", "-f", "-"}, {.input = R"(table ip first {
    chain out {
        type nat hook postrouting priority 50
        udp sport 4000 oifname "wan" snat to 203.0.113.1:5000
        udp sport 4001 oifname "wan" snat to 203.0.113.1:51821
    }
})"});
    const UdpSocket elsewhere(sites.a1, 4000);
    const UdpSocket disguised(sites.a1, 4001);
    EXPECT_EQ(lab::exchange(elsewhere, remote, remote_end), at(addresses::a_wan, 5000));
    disguised.send_to(remote_end, "disguised");
    elsewhere.send_to(remote_end, "later");
    const auto next = remote.receive();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->payload, "later");
    const auto counters = client->status()["counters"].get<dbus::Dictionary>();
    EXPECT_EQ(counters.at("guarded").get<std::uint64_t>(), 1U);
}

TEST(SockDiag, ListsWhatReceivesFromAnybody) {
    const lab::Namespace gateway("gateway");
    lab::output_of(gateway, {"ip", "link", "set", "lo", "up"});
    const UdpSocket udp(gateway, 53);
    const UdpSocket local(gateway, at("127.0.0.1", 54));
    const UdpSocket connected(gateway, 55);
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(54);
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(
        ::connect(connected.descriptor(),
                  static_cast<const sockaddr*>(static_cast<const void*>(&peer)), sizeof(peer)),
        0);
    const auto listeners = gateway.run([] { return netlink::ListenerReader().read(); });
    const auto listener = [](std::uint16_t port, std::string_view address) {
        return Listener{{Protocol::udp, *Port::from(port)}, parse<Address>("address", address)};
    };
    EXPECT_THAT(listeners,
                testing::UnorderedElementsAre(listener(53, "0.0.0.0"), listener(54, "127.0.0.1")));
}

}  // namespace
}  // namespace porthole
