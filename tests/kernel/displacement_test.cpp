// SPDX-License-Identifier: GPL-2.0-or-later
// Nobody leaves from a port that is somebody else's: neither who asks for it nor whom the kernel
// picks it for.
#include <array>
#include <map>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bus_client.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::UdpSocket;

constexpr std::uint16_t reserved_first = 2000;
constexpr std::uint16_t reserved_count = 15000;

bool is_reserved(std::uint16_t port) {
    return port >= reserved_first && port < reserved_first + reserved_count;
}

class Displacement : public testing::Test {
  protected:
    Displacement() {
        lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
        std::vector<dbus::RequestRow> rows;
        for (std::uint16_t i = 0; i < reserved_count; ++i) {
            rows.emplace_back(std::string(addresses::a1), "udp",
                              static_cast<std::uint16_t>(reserved_first + i), std::uint16_t{0}, "",
                              "");
        }
        client->reserve_many(rows, {{"settle", true}});
    }
    std::uint64_t counter(const std::string& name) {
        return client->status()["counters"].get<dbus::Dictionary>()[name].get<std::uint64_t>();
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a};
    std::unique_ptr<BusClient> client;
};

// Ten thousand flows of a2 from ports of a1's; four remotes, since the pool has 4096 ports.
TEST_F(Displacement, SendsThoseWhoUseSomebodysPortThroughThePool) {
    std::vector<UdpSocket> remotes;
    for (std::uint16_t i = 0; i < 4; ++i)
        remotes.emplace_back(sites.outside, static_cast<std::uint16_t>(700 + i));
    std::set<std::pair<std::size_t, std::uint16_t>> shown;
    for (std::uint16_t i = 0; i < 10000; ++i) {
        const auto& remote = remotes[i % remotes.size()];
        const UdpSocket host(sites.a2, static_cast<std::uint16_t>(reserved_first + i));
        const auto source =
            lab::source_shown(host, remote, at(addresses::outside, remote.local().port));
        ASSERT_TRUE(source) << i;
        ASSERT_EQ(source->address, parse<Address>("", addresses::a_wan));
        ASSERT_GE(source->port, 61440) << i;
        ASSERT_TRUE(shown.emplace(i % remotes.size(), source->port).second)
            << "two flows on one port";
    }
    EXPECT_EQ(counter("displaced"), 10000U);
    EXPECT_EQ(counter("guarded"), 0U);
    // The owner is not displaced by all that.
    const UdpSocket owner(sites.a1, reserved_first);
    EXPECT_EQ(lab::source_shown(owner, remotes[0], at(addresses::outside, 700)),
              at(addresses::a_wan, reserved_first));
}

// Two hosts on the same unreserved ports towards one remote: for the second one the kernel picks a
// port, out of all, a quarter of which are reserved.
TEST_F(Displacement, StopsFlowsThatTheKernelPutsOnSomebodysPort) {
    const UdpSocket remote(sites.outside, 700);
    constexpr std::uint16_t first = 20000;
    constexpr std::uint16_t pairs = 5000;
    std::map<int, int> tries_needed;
    // What the same host sends afterwards arrives afterwards: when it is there, a packet that has
    // not come is not coming.
    const UdpSocket a1_marker(sites.a1, 600);
    const UdpSocket a2_marker(sites.a2, 601);
    const auto arrived = [&](const UdpSocket& marker) -> std::optional<std::uint16_t> {
        marker.send_to(at(addresses::outside, 700), "marker");
        std::optional<std::uint16_t> port;
        while (const auto packet = remote.receive()) {
            if (packet->payload == "marker") return port;
            port = packet->source.port;
        }
        ADD_FAILURE() << "the marker does not arrive";
        return port;
    };
    const auto gets_out = [&](const lab::Namespace& where, const UdpSocket& marker,
                              std::uint16_t port) {
        const UdpSocket host(where, port);
        for (int tries = 1; tries <= 3; ++tries) {
            host.send_to(at(addresses::outside, 700), "try");
            const auto shown = arrived(marker);
            if (!shown) continue;
            ++tries_needed[tries];
            return !is_reserved(*shown);
        }
        ++tries_needed[99];
        return false;
    };
    for (std::uint16_t i = 0; i < pairs; ++i) {
        const auto port = static_cast<std::uint16_t>(first + i);
        ASSERT_TRUE(gets_out(sites.a1, a1_marker, port)) << port;
        ASSERT_TRUE(gets_out(sites.a2, a2_marker, port)) << port;
    }
    fmt::print("tries: {} at once, {} at the second, {} at the third\n", tries_needed[1],
               tries_needed[2], tries_needed[3]);
    EXPECT_EQ(tries_needed[99], 0);
    EXPECT_EQ(counter("guarded"),
              static_cast<std::uint64_t>(tries_needed[2] + 2 * tries_needed[3]));
    EXPECT_GT(counter("guarded"), 100U) << "nothing collided: nothing is shown here";
}

TEST_F(Displacement, CountsSurviveARestart) {
    const UdpSocket remote(sites.outside, 700);
    const UdpSocket host(sites.a2, reserved_first);
    ASSERT_TRUE(lab::source_shown(host, remote, at(addresses::outside, 700)));
    ASSERT_EQ(counter("displaced"), 1U);
    porthole.restart();
    client = std::make_unique<BusClient>(porthole);
    EXPECT_EQ(counter("displaced"), 1U);
}

TEST_F(Displacement, ThePoolCannotBeReserved) {
    const auto answer = error_of([&] { client->reserve("192.168.2.3", "udp", 61440); });
    EXPECT_EQ(answer.first, "org.porthole.Gateway1.Error.LimitExceeded");
    EXPECT_THAT(answer.second, testing::HasSubstr("61440-65535"));
}

// Containers, guests, VPN clients: networks that another table translates. The guard stops the
// first packet; the next one leaves from the pool.
TEST_F(Displacement, SendsNetworksOfOthersThroughThePoolWhenTheyUseSomebodysPort) {
    const auto guest = sites.add_routed_host();
    lab::output_of(sites.gateway_a, {"nft",
                                     "insert rule ip stock postrouting ip saddr 198.51.100.2 "
                                     "oifname wan masquerade"});
    const UdpSocket remote(sites.outside, 700);
    const UdpSocket host(guest, reserved_first);
    EXPECT_FALSE(lab::source_shown(host, remote, at(addresses::outside, 700), lab::Duration(200)));
    EXPECT_EQ(counter("guarded"), 1U);
    const auto shown = lab::exchange(host, remote, at(addresses::outside, 700));
    ASSERT_TRUE(shown);
    EXPECT_GE(shown->port, 61440);
}

// A tunnel's outer packets have an incoming interface, the tunnel's, and are the gateway's own all
// the same. VXLAN stands for WireGuard, which does it the same way.
TEST_F(Displacement, LeavesTheGatewaysOwnTunnelsAlone) {
    const UdpSocket remote(sites.outside, 4789);
    for (const auto* const command :
         {"link add tunnel type vxlan id 7 local 203.0.113.1 remote 203.0.113.9 dstport 4789 "
          "srcport 2000 2001",
          "address add 10.77.0.1/24 dev tunnel", "link set tunnel up",
          "neighbour add 10.77.0.2 lladdr 02:00:5e:10:00:01 dev tunnel"}) {
        lab::output_of(sites.gateway_a, {"sh", "-c", std::string("ip ") + command});
    }
    const UdpSocket inner(sites.gateway_a);
    inner.send_to(at("10.77.0.2", 7000), "through the tunnel");
    std::optional<lab::Datagram> outer;
    do {
        outer = remote.receive();
        ASSERT_TRUE(outer);
        EXPECT_EQ(outer->source, at(addresses::a_wan, 2000));
    } while (outer->payload.find("through the tunnel") == std::string::npos);
    EXPECT_EQ(counter("guarded"), 0U);
}

}  // namespace
}  // namespace porthole
