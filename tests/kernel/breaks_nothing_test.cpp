// SPDX-License-Identifier: GPL-2.0-or-later
// The promise above all others: what worked on the gateway before Porthole came works afterwards.
// Each test makes sure that something works on a stock gateway, starts Porthole with a hundred
// reservations, and makes sure that it works as before.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "input_policies.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::UdpSocket;

constexpr int reservation_count = 100;
constexpr std::uint16_t first_port = 51800;  // a1 has 51800 to 51899

std::string hundred_reservations() {
    std::string text;
    for (int i = 0; i < reservation_count; ++i) {
        text += fmt::format("[[reservation]]\nhost = \"{}\"\nprotocol = \"udp\"\nport = {}\n",
                            addresses::a1, first_port + i);
    }
    return text;
}

class BreaksNothing : public testing::TestWithParam<lab::InputPolicy> {
  protected:
    BreaksNothing() { lab::masquerade(sites.gateway_a, GetParam()); }

    // Calls `works` on the stock gateway and, with new flows, once Porthole runs.
    template <typename Works>
    void before_and_after(const Works& works) {
        {
            SCOPED_TRACE("stock");
            works();
        }
        lab::output_of(sites.gateway_a, {"conntrack", "-F"});
        porthole.start();
        {
            SCOPED_TRACE("with Porthole");
            works();
        }
        ASSERT_NE(lab::output_of(sites.gateway_a, {"nft", "list", "table", "inet", "porthole"})
                      .find("udp . 192.168.2.2 . 51820 : 51820"),
                  std::string::npos);
    }
    void gateway_nft(const std::string& script) const {
        lab::output_of(sites.gateway_a, {"nft", "-f", "-"}, {.input = script});
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a, hundred_reservations()};
};

// On a port that a1 has reserved, too: the administrator's port forward to a2 was there first.
TEST_P(BreaksNothing, APortForwardOfAnotherTable) {
    gateway_nft(R"(table ip forwards {
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		iifname "wan" udp dport { 9000, 51850 } dnat to 192.168.2.3
	}
}
)");
    const UdpSocket high(sites.a2, 9000);
    const UdpSocket reserved(sites.a2, 51850);
    before_and_after([&] {
        const UdpSocket stranger(sites.outside);
        EXPECT_TRUE(lab::exchange(stranger, high, at(addresses::a_wan, 9000)));
        EXPECT_TRUE(lab::exchange(stranger, reserved, at(addresses::a_wan, 51850)));
    });
}

// In both directions, from and to ports that a1 has reserved.
TEST_P(BreaksNothing, APublicHostRoutedBehindTheGateway) {
    const auto routed = sites.add_routed_host();
    before_and_after([&] {
        const UdpSocket server(routed, 51820);
        const UdpSocket stranger(sites.outside, 51821);
        EXPECT_TRUE(lab::exchange(stranger, server, at(addresses::routed, 51820)));
        const UdpSocket client(routed, 51822);
        const UdpSocket remote(sites.outside, 51823);
        EXPECT_EQ(lab::exchange(client, remote, at(addresses::outside, 51823)),
                  at(addresses::routed, 51822));
    });
}

// A port that a2 uses towards the world and the gateway listens on.
TEST_P(BreaksNothing, AListenerOfTheGatewayOnAPortThatHostsUse) {
    const UdpSocket listener(sites.gateway_a, 40000);
    if (GetParam() == lab::InputPolicy::drop) {
        gateway_nft("insert rule ip stock input udp dport 40000 accept");
    }
    before_and_after([&] {
        const UdpSocket stranger(sites.outside);
        EXPECT_TRUE(lab::exchange(stranger, listener, at(addresses::a_wan, 40000)));
        const UdpSocket host(sites.a2, 40000);
        const UdpSocket remote(sites.outside, 40000);
        EXPECT_EQ(lab::exchange(host, remote, at(addresses::outside, 40000)),
                  at(addresses::a_wan, 40000));
    });
}

// Hosts and the gateway itself talk to the gateway's service on its LAN address, reserved port or
// not.
TEST_P(BreaksNothing, AServiceOfTheGatewayForItsLan) {
    const UdpSocket service(sites.gateway_a, at(addresses::a_lan, 51830));
    before_and_after([&] {
        const UdpSocket host(sites.a2);
        EXPECT_TRUE(lab::exchange(host, service, at(addresses::a_lan, 51830)));
    });
}

// The gateway's own flows keep their source port, reserved for a1 or not.
TEST_P(BreaksNothing, TheGatewaysOwnFlows) {
    const UdpSocket remote(sites.outside, 7000);
    before_and_after([&] {
        for (const std::uint16_t port : {std::uint16_t{51840}, std::uint16_t{7001}}) {
            const UdpSocket own(sites.gateway_a, port);
            EXPECT_EQ(lab::exchange(own, remote, at(addresses::outside, 7000)),
                      at(addresses::a_wan, port));
        }
    });
}

// Stock masquerading of what has no reservation: a2's flow leaves from its own port.
TEST_P(BreaksNothing, FlowsWithoutAReservation) {
    const UdpSocket remote(sites.outside, 7000);
    before_and_after([&] {
        const UdpSocket host(sites.a2, 7002);
        EXPECT_EQ(lab::exchange(host, remote, at(addresses::outside, 7000)),
                  at(addresses::a_wan, 7002));
    });
}

// mDNS and the like on the WAN, on a port that a1 has reserved.
TEST_P(BreaksNothing, MulticastOnTheWan) {
    constexpr std::uint16_t port = 51853;
    constexpr auto group = "224.0.0.251";
    if (GetParam() == lab::InputPolicy::drop) {
        gateway_nft("insert rule ip stock input ip daddr 224.0.0.0/24 accept");
    }
    const UdpSocket member(sites.gateway_a, port);
    const ip_mreqn membership{{inet_addr(group)},
                              {inet_addr(std::string(addresses::a_wan).c_str())},
                              static_cast<int>(sites.gateway_a.link_index("wan"))};
    ASSERT_EQ(setsockopt(member.descriptor(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership,
                         sizeof(membership)),
              0);
    before_and_after([&] {
        const UdpSocket sender(sites.outside);
        sender.send_to(at(group, port), "multicast");
        EXPECT_TRUE(member.receive("multicast"));
    });
}

// A host with a global IPv6 address, from and to a port that is reserved in IPv4; and the gateway's
// own IPv6 listener on such a port.
TEST_P(BreaksNothing, IPv6) {
    sites.add_ipv6();
    const UdpSocket own(sites.gateway_a, at(lab::address6::a_wan, 51825));
    before_and_after([&] {
        const UdpSocket host(sites.a1, at(lab::address6::a1, 51820));
        const UdpSocket remote(sites.outside, at(lab::address6::outside, 51820));
        EXPECT_EQ(lab::exchange(host, remote, at(lab::address6::outside, 51820)),
                  at(lab::address6::a1, 51820));
        const UdpSocket stranger(sites.outside, at(lab::address6::outside, 0));
        EXPECT_TRUE(lab::exchange(stranger, host, at(lab::address6::a1, 51820)));
        EXPECT_TRUE(lab::exchange(stranger, own, at(lab::address6::a_wan, 51825)));
    });
}

INSTANTIATE_TEST_SUITE_P(Input, BreaksNothing, input_policies(), input_policy_name);

}  // namespace
}  // namespace porthole
