// SPDX-License-Identifier: GPL-2.0-or-later
// Two hosts behind one gateway that reach each other through its WAN address: each sees the other's
// address and port outside (RFC 4787 REQ-9a).
#include <gtest/gtest.h>

#include "bus_client.hpp"
#include "lab/conntrack.hpp"
#include "lab/deadline.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::TcpListener;
using lab::TcpSocket;
using lab::UdpSocket;

constexpr std::uint16_t wireguard = 51820;
constexpr std::uint16_t first_of_pool = 61440;
const auto of_a1 = at(addresses::a_wan, wireguard);
const auto of_a2 = at(addresses::a_wan, 51821);

// With br_netfilter packets of bridges pass through the hooks, too.
class Hairpin : public testing::TestWithParam<bool> {
  protected:
    Hairpin() {
        sites.gateway_a.set_sysctl("net/bridge/bridge-nf-call-iptables", GetParam() ? "1" : "0");
        lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
        for (const std::string protocol : {"udp", "tcp"}) {
            reserve(addresses::a1, protocol, wireguard);
            reserve(addresses::a2, protocol, 51821);
        }
    }
    void reserve(std::string_view host, const std::string& protocol, std::uint16_t external) {
        client->reserve(
            std::string(host), protocol, wireguard,
            {{"external-port", sdbus::Variant(external)}, {"settle", sdbus::Variant(true)}});
    }
    [[nodiscard]] static std::optional<lab::SocketAddress> seen_by(const UdpSocket& receiver,
                                                                   const UdpSocket& sender,
                                                                   const lab::SocketAddress& to) {
        sender.send_to(to, "hairpin");
        const auto packet = receiver.receive("hairpin");
        return packet ? std::optional(packet->source) : std::nullopt;
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a, "[auto]\nenabled = false\n"};
    std::unique_ptr<BusClient> client;
    UdpSocket a1{sites.a1, wireguard};
    UdpSocket a2{sites.a2, wireguard};
};

TEST_P(Hairpin, ShowsBothOutsideWhoeverBegins) {
    EXPECT_EQ(seen_by(a2, a1, of_a2), of_a1);
    EXPECT_EQ(seen_by(a1, a2, of_a1), of_a2);
    lab::output_of(sites.gateway_a, {"conntrack", "-F"});
    // Both at once, as WireGuard does.
    a1.send_to(of_a2, "one");
    a2.send_to(of_a1, "other");
    const auto one = a2.receive("one");
    const auto other = a1.receive("other");
    ASSERT_TRUE(one && other);
    EXPECT_EQ(one->source, of_a1);
    EXPECT_EQ(other->source, of_a2);
    EXPECT_EQ(lab::flows(sites.gateway_a).size(), 1U);
}

TEST_P(Hairpin, ShowsAHostWithoutAReservationOutsideToo) {
    const UdpSocket other(sites.a1, 7000);
    EXPECT_EQ(lab::exchange(other, a2, of_a2), at(addresses::a_wan, 7000));
    // Not from somebody's port.
    const UdpSocket taken(sites.a1, 51821);
    const auto shown = lab::exchange(taken, a2, of_a2);
    ASSERT_TRUE(shown);
    EXPECT_EQ(shown->address, of_a2.address);
    EXPECT_GE(shown->port, first_of_pool);
}

TEST_P(Hairpin, CarriesTcp) {
    const TcpListener listener(sites.a2, wireguard);
    const auto connection = TcpSocket::connect(sites.a1, lab::any(wireguard), of_a2);
    ASSERT_TRUE(connection);
    const auto accepted = listener.accept();
    ASSERT_TRUE(accepted);
    EXPECT_EQ(accepted->remote(), of_a1);
    connection->send("through");
    EXPECT_EQ(accepted->receive(), "through");
}

TEST_P(Hairpin, TakesNothingFromTheGatewayAndFromOthersOutside) {
    const UdpSocket service(sites.gateway_a, 7001);
    EXPECT_TRUE(lab::exchange(a1, service, at(addresses::a_wan, 7001)));
    EXPECT_TRUE(lab::exchange(a1, service, at(addresses::a_lan, 7001)));
    const UdpSocket remote(sites.outside, wireguard);
    EXPECT_EQ(lab::exchange(a1, remote, at(addresses::outside, wireguard)), of_a1);
    // A stranger is one, whoever the owner talks to at home.
    ASSERT_TRUE(seen_by(a2, a1, of_a2));
    const UdpSocket stranger(sites.gateway_b);
    stranger.send_to(of_a2, "stranger");
    EXPECT_FALSE(a2.receive("stranger", lab::Duration(100)));
}

TEST_P(Hairpin, EndsWithTheReservation) {
    ASSERT_EQ(lab::exchange(a1, a2, of_a2), of_a1);
    const auto rows =
        std::get<0>(client->list({{"host", sdbus::Variant(std::string(addresses::a2))},
                                  {"protocol", sdbus::Variant(std::string("udp"))}}));
    ASSERT_EQ(rows.size(), 1U);
    client->release({std::get<0>(rows[0])});
    EXPECT_TRUE(lab::comes_true(
        [&] { return lab::flows_from(sites.gateway_a, addresses::a1, wireguard).empty(); }));
    a1.send_to(of_a2, "late");
    EXPECT_FALSE(a2.receive("late", lab::Duration(100)));
}

INSTANTIATE_TEST_SUITE_P(BrNetfilter, Hairpin, testing::Bool(),
                         [](const auto& test) { return test.param ? "On" : "Off"; });

}  // namespace
}  // namespace porthole
