// SPDX-License-Identifier: GPL-2.0-or-later
// Preserved, unique, closed: what the service promises for a reserved port, with real traffic.
#include <map>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "input_policies.hpp"
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

// A socket that sends to nobody and hears nothing would be a poor proof: every test that expects
// silence first sees something arrive the same way.
constexpr auto silence = std::chrono::milliseconds(200);

class Promises : public testing::TestWithParam<lab::InputPolicy> {
  protected:
    Promises() { lab::masquerade(sites.gateway_a, GetParam()); }

    void reserve(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), "reserve");
        const auto result = porthole.ctl(arguments);
        ASSERT_EQ(result.status, 0) << result.output << result.errors;
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a};
};

TEST_P(Promises, TwoHostsOnOnePortKeepTheirPortsTowardsOneRemote) {
    porthole.start();
    reserve({"192.168.2.2", "udp", "51820"});
    reserve({"192.168.2.3", "udp", "51820", "--on-conflict", "next"});

    const UdpSocket first(sites.a1, 51820);
    const UdpSocket second(sites.a2, 51820);
    const UdpSocket remote(sites.outside, 51820);
    std::map<std::string, std::map<lab::SocketAddress, int>> seen;
    for (int i = 0; i < 1000; ++i) {
        for (const auto* host : {&first, &second}) {
            const auto name = host == &first ? "a1" : "a2";
            host->send_to(at(addresses::outside, 51820), name);
            const auto packet = remote.receive();
            ASSERT_TRUE(packet) << name << ", packet " << i;
            ++seen[packet->payload][packet->source];
            remote.send_to(packet->source, name);
            ASSERT_TRUE(host->receive(name)) << name << ", answer " << i;
        }
    }
    const std::map<std::string, std::map<lab::SocketAddress, int>> expected{
        {"a1", {{at(addresses::a_wan, 51820), 1000}}},
        {"a2", {{at(addresses::a_wan, 51821), 1000}}}};
    EXPECT_EQ(seen, expected);
}

// The remote sends first, again and again; the owner's first packet leaves from the reserved port
// all the same, and from then on both hear each other.
TEST_P(Promises, InboundFirstDoesNotTakeThePort) {
    porthole.start();
    reserve({"192.168.2.2", "udp", "51820"});
    const UdpSocket remote(sites.outside, 51820);
    const UdpSocket owner(sites.a1, 51820);
    for (int i = 0; i < 5; ++i) {
        remote.send_to(at(addresses::a_wan, 51820), "knock");
    }
    for (int i = 0; i < 70; ++i) {
        ASSERT_EQ(lab::exchange(owner, remote, at(addresses::outside, 51820)),
                  at(addresses::a_wan, 51820))
            << "packet " << i;
        remote.send_to(at(addresses::a_wan, 51820), "keepalive");
        ASSERT_TRUE(owner.receive("keepalive"));
    }
}

// Without Porthole the test above fails on a gateway that accepts input: it can fail.
TEST_P(Promises, InboundFirstTakesThePortOfAStockGatewayThatAcceptsIt) {
    const UdpSocket remote(sites.outside, 51820);
    const UdpSocket owner(sites.a1, 51820);
    remote.send_to(at(addresses::a_wan, 51820), "knock");
    const auto shown = lab::source_shown(owner, remote, at(addresses::outside, 51820));
    ASSERT_TRUE(shown);
    EXPECT_EQ(*shown == at(addresses::a_wan, 51820), GetParam() == lab::InputPolicy::drop);
}

TEST_P(Promises, StrangersDoNotComeIn) {
    porthole.start();
    reserve({"192.168.2.2", "udp", "51820"});
    const UdpSocket owner(sites.a1, 51820);
    const UdpSocket remote(sites.outside, 51820);
    const UdpSocket stranger(sites.gateway_b, 51820);
    ASSERT_TRUE(lab::exchange(owner, remote, at(addresses::outside, 51820)));
    stranger.send_to(at(addresses::a_wan, 51820), "stranger");
    EXPECT_FALSE(owner.receive(silence));
    ASSERT_TRUE(lab::exchange(owner, remote, at(addresses::outside, 51820)));
}

TEST_P(Promises, TcpKeepsItsPort) {
    porthole.start();
    reserve({"192.168.2.2", "tcp", "7000", "--external-port", "7001"});
    const TcpListener remote(sites.outside, 80);
    const auto connection =
        TcpSocket::connect(sites.a1, lab::any(7000), at(addresses::outside, 80));
    ASSERT_TRUE(connection);
    const auto accepted = remote.accept();
    ASSERT_TRUE(accepted);
    EXPECT_EQ(accepted->remote(), at(addresses::a_wan, 7001));
    connection->send("through");
    EXPECT_EQ(accepted->receive(), "through");
}

// udp and tcp are two port spaces.
TEST_P(Promises, OneNumberServesBothProtocols) {
    porthole.start();
    reserve({"192.168.2.2", "udp", "51820"});
    reserve({"192.168.2.3", "tcp", "51820"});
    const UdpSocket udp(sites.a1, 51820);
    const UdpSocket remote(sites.outside, 51820);
    EXPECT_EQ(lab::exchange(udp, remote, at(addresses::outside, 51820)),
              at(addresses::a_wan, 51820));
    const TcpListener listener(sites.outside, 80);
    const auto tcp = TcpSocket::connect(sites.a2, lab::any(51820), at(addresses::outside, 80));
    ASSERT_TRUE(tcp);
    const auto accepted = listener.accept();
    ASSERT_TRUE(accepted);
    EXPECT_EQ(accepted->remote(), at(addresses::a_wan, 51820));
}

// A released port is nobody's: what comes in on it is the gateway's own business again.
TEST_P(Promises, AReleaseGivesThePortBack) {
    porthole.start();
    reserve({"192.168.2.2", "udp", "51820", "--external-port", "51830"});
    ASSERT_EQ(porthole.ctl({"release", "udp:51830"}).status, 0);
    const UdpSocket own(sites.gateway_a, 51830);
    const UdpSocket stranger(sites.outside);
    stranger.send_to(at(addresses::a_wan, 51830), "for the gateway");
    EXPECT_EQ(own.receive(silence).has_value(), GetParam() == lab::InputPolicy::accept);
    const UdpSocket host(sites.a1, 51820);
    const UdpSocket remote(sites.outside, 51820);
    EXPECT_EQ(lab::exchange(host, remote, at(addresses::outside, 51820)),
              at(addresses::a_wan, 51820));
}

// The rules stay when the daemon stops or dies, and when it comes back.
TEST_P(Promises, RulesOutliveTheDaemon) {
    porthole.start();
    reserve({"192.168.2.2", "udp", "51820", "--external-port", "51830"});
    const UdpSocket host(sites.a1, 51820);
    const UdpSocket remote(sites.outside, 51820);
    const auto keeps_its_port = [&] {
        lab::output_of(sites.gateway_a, {"conntrack", "-F"});
        return lab::exchange(host, remote, at(addresses::outside, 51820)) ==
               at(addresses::a_wan, 51830);
    };
    EXPECT_TRUE(keeps_its_port());
    EXPECT_EQ(porthole.stop(), 0);
    EXPECT_TRUE(keeps_its_port());
    porthole.start();
    EXPECT_TRUE(keeps_its_port());
    porthole.kill();
    EXPECT_TRUE(keeps_its_port());
    porthole.start();
    EXPECT_TRUE(keeps_its_port());
}

INSTANTIATE_TEST_SUITE_P(Input, Promises, input_policies(), input_policy_name);

// Porthole is the only NAT of the gateway.
TEST(Masquerade, IsForEverythingElseThatLeavesThroughAWan) {
    const lab::TwoSites sites;
    lab::Porthole porthole(sites.gateway_a, "[nat]\nmasquerade = true\n");
    porthole.start();
    const UdpSocket host(sites.a1, 7000);
    const UdpSocket remote(sites.outside, 7000);
    EXPECT_EQ(lab::exchange(host, remote, at(addresses::outside, 7000)),
              at(addresses::a_wan, 7000));
    EXPECT_EQ(
        lab::command(sites.a1, {"ping", "-c1", "-W2", std::string(addresses::outside)}).status, 0);
}

TEST(Masquerade, IsOffUnlessAskedFor) {
    const lab::TwoSites sites;
    lab::Porthole porthole(sites.gateway_a);
    porthole.start();
    const UdpSocket host(sites.a1, 7000);
    const UdpSocket remote(sites.outside, 7000);
    EXPECT_EQ(lab::source_shown(host, remote, at(addresses::outside, 7000)),
              at(addresses::a1, 7000));
}

// Porthole decides before other tables; what must not be translated is named in nat.exempt.
TEST(Exempt, DestinationsAreNotTranslatedEvenFromAReservedPort) {
    const lab::TwoSites sites;
    lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
    lab::output_of(sites.gateway_a,
                   {"nft", "insert rule ip stock postrouting ip daddr 203.0.113.9 return"});
    lab::Porthole porthole(sites.gateway_a, R"([nat]
exempt = ["203.0.113.9/32"]
[[reservation]]
host = "192.168.2.2"
protocol = "udp"
port = 51820
)");
    porthole.start();
    const UdpSocket host(sites.a1, 51820);
    const UdpSocket remote(sites.outside, 51820);
    EXPECT_EQ(lab::source_shown(host, remote, at(addresses::outside, 51820)),
              at(addresses::a1, 51820));
    const UdpSocket elsewhere(sites.gateway_b, 51820);
    EXPECT_EQ(lab::source_shown(host, elsewhere, at(addresses::b_wan, 51820)),
              at(addresses::a_wan, 51820));
}

}  // namespace
}  // namespace porthole
