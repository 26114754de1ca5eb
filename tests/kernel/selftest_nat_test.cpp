// SPDX-License-Identifier: GPL-2.0-or-later
// What the kernel's own tests of WireGuard ask of a NAT (tools/testing/selftests/wireguard in its
// source), asked of a gateway's: that a host keeps its source port, that the remote gets through
// after an idle time, and that both go on where one of them is somewhere else. As there, conntrack
// forgets UDP after two seconds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lab/conntrack.hpp"
#include "lab/deadline.hpp"
#include "lab/links.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"
#include "lab/wireguard.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::comes_true;
using lab::UdpSocket;
using testing::Ge;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint16_t wireguard = 51820;
constexpr auto* owned = "203.0.113.1:51820";
constexpr auto* outside_moved = "203.0.113.10";
constexpr auto* a1_moved = "192.168.2.77";
constexpr auto* a1_mac = "02:00:5e:10:00:01";
const auto remote_place = at(addresses::outside, wireguard);
const auto host_inside = at("10.9.0.1", 7);
const auto remote_inside = at("10.9.0.2", 7);

// WireGuard's packets that have come to the gateway, and that have left it.
constexpr auto* counting = R"(table ip counting {
    counter arrived { }
    counter departed { }
    chain arriving {
        type filter hook prerouting priority raw;
        iifname "wan" udp dport 51820 counter name "arrived"
    }
    chain departing {
        type filter hook postrouting priority 300;
        oifname "wan" udp dport 51820 counter name "departed"
    }
}
)";

/// A tunnel between a host behind gateway A and a remote that knows no more of it than its key.
class HostsTunnel : public testing::Test {
  protected:
    void SetUp() override {
        if (!lab::kernel_has_wireguard()) {
            GTEST_SKIP() << "this kernel has no WireGuard: see tests/vm";
        }
        lab::output_of(sites.gateway_a, {"nft", "-f", "-"}, {.input = counting});
        for (const auto* which : {"udp_timeout", "udp_timeout_stream"}) {
            sites.gateway_a.set_sysctl(std::string("net/netfilter/nf_conntrack_") + which, "2");
        }
        host.emplace(sites.a1, "10.9.0.1/24");
        remote.emplace(sites.outside, "10.9.0.2/24");
        host_end.emplace(sites.a1, host_inside);
        remote_end.emplace(sites.outside, remote_inside);
        remote->configure(wireguard, {{host->public_key(), std::nullopt, "10.9.0.1/32", 0}});
    }

    /// On top of a stock gateway that accepts, which is the harder one.
    void start_porthole() {
        lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
        porthole.start();
    }
    void reserve(std::string_view owner, const std::string& filtering = "address-dependent") {
        const auto reserved = porthole.ctl({"reserve", std::string(owner), "udp",
                                            std::to_string(wireguard), "--filtering", filtering});
        ASSERT_EQ(reserved.status, 0) << reserved.errors;
    }

    [[nodiscard]] bool talk(lab::Duration limit = lab::packet_limit) const {
        return lab::exchange(*host_end, *remote_end, remote_inside, limit).has_value();
    }
    [[nodiscard]] bool talk_in_the_end() const {
        return comes_true([this] { return talk(lab::Duration(200)); });
    }
    /// `keepalive`: the host's, in seconds; 0: none.
    [[nodiscard]] bool connect(unsigned keepalive) const {
        host->configure(wireguard,
                        {{remote->public_key(), remote_place, "10.9.0.2/32", keepalive}});
        return talk_in_the_end();
    }
    [[nodiscard]] std::string host_as_seen() const {
        return remote->endpoint_of(host->public_key());
    }
    [[nodiscard]] std::string remote_as_seen() const {
        return host->endpoint_of(remote->public_key());
    }
    [[nodiscard]] std::vector<lab::Flow> flows() const {
        return lab::flows_from(sites.gateway_a, addresses::a1, wireguard);
    }

    [[nodiscard]] unsigned long counted(const std::string& name) const {
        const auto text =
            lab::output_of(sites.gateway_a, {"nft", "list", "counter", "ip", "counting", name});
        constexpr std::string_view label = "packets ";
        return std::stoul(text.substr(text.find(label) + label.size()));
    }
    /// Sends from the remote, and waits until the gateway has it.
    void send_unasked() const {
        const auto before = counted("arrived");
        remote_end->send_to(host_inside, "unasked");
        ASSERT_TRUE(comes_true([&] { return counted("arrived") > before; }));
    }
    [[nodiscard]] bool host_hears_it() const { return host_end->receive("unasked").has_value(); }
    /// What the gateway had let in would have come before this answer.
    [[nodiscard]] bool host_hears_no_more_than_an_answer() const {
        host_end->send_to(remote_inside, "question");
        if (!remote_end->receive("question")) return false;
        remote_end->send_to(host_inside, "answer");
        const auto first = host_end->receive();
        return first && first->payload == "answer";
    }
    /// Waits for so many packets of the host's: keepalives come once a second.
    void wait_for_keepalives(unsigned count) const {
        const auto before = counted("departed");
        ASSERT_TRUE(comes_true([&] { return counted("departed") >= before + count; }));
    }
    static void set_port(const lab::Namespace& where, const lab::WireGuard& tunnel,
                         std::uint16_t port) {
        lab::output_of(where,
                       {"wg", "set", tunnel.interface(), "listen-port", std::to_string(port)});
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a, "[auto]\nenabled = false\n"};
    std::optional<lab::WireGuard> host;
    std::optional<lab::WireGuard> remote;
    std::optional<UdpSocket> host_end;
    std::optional<UdpSocket> remote_end;
};

// Although another host was there first, with the same port and to the same remote.
TEST_F(HostsTunnel, LeavesFromItsOwnPort) {
    start_porthole();
    reserve(addresses::a1);
    const UdpSocket other(sites.a2, wireguard);
    other.send_to(remote_place, "not WireGuard");
    ASSERT_TRUE(comes_true([this] { return counted("departed") == 1; }));
    ASSERT_TRUE(connect(0));
    EXPECT_EQ(host_as_seen(), owned);
}

// What the tests below are compared with.
TEST_F(HostsTunnel, OfAStockGatewayIsOpenAsLongAsItsFlow) {
    lab::masquerade(sites.gateway_a, lab::InputPolicy::drop);
    ASSERT_TRUE(connect(1));
    EXPECT_EQ(host_as_seen(), owned);
    wait_for_keepalives(4);
    send_unasked();
    EXPECT_TRUE(host_hears_it());
    ASSERT_TRUE(connect(0));
    ASSERT_TRUE(comes_true([this] { return flows().empty(); }));
    send_unasked();
    EXPECT_TRUE(host_hears_no_more_than_an_answer());
}

TEST_F(HostsTunnel, IsOpenWhileItKeepsItselfAlive) {
    start_porthole();
    reserve(addresses::a1);
    ASSERT_TRUE(connect(1));
    wait_for_keepalives(4);
    send_unasked();
    EXPECT_TRUE(host_hears_it());
    EXPECT_EQ(host_as_seen(), owned);
}

// Reserved ports have timeouts of their own.
TEST_F(HostsTunnel, StaysOpenWhereOtherFlowsHaveEnded) {
    start_porthole();
    reserve(addresses::a1);
    ASSERT_TRUE(connect(0));
    const UdpSocket other(sites.a1, 40'000);
    const lab::FlowMonitor monitor(sites.gateway_a);
    other.send_to(remote_place, "not WireGuard");
    ASSERT_TRUE(monitor.wait_for(addresses::a1, 40'000, lab::packet_limit));
    ASSERT_TRUE(comes_true(
        [this] { return lab::flows_from(sites.gateway_a, addresses::a1, 40'000).empty(); }));
    ASSERT_THAT(flows(), SizeIs(1));
    EXPECT_THAT(flows()[0].timeout, Ge(250U));
    send_unasked();
    EXPECT_TRUE(host_hears_it());
    EXPECT_EQ(host_as_seen(), owned);
}

// The host's address inside is another one, and what it shows outside is not.
TEST_F(HostsTunnel, KeepsItsPortWhereItsHostMoves) {
    const auto set_route = [this] {
        lab::output_of(sites.a1, {"ip", "route", "replace", "default", "via", "192.168.2.1"});
    };
    lab::output_of(sites.a1, {"ip", "link", "set", "eth0", "address", a1_mac});
    set_route();
    start_porthole();
    reserve(a1_mac);
    ASSERT_TRUE(connect(1));
    ASSERT_TRUE(comes_true([this] { return host_as_seen() == owned; }));
    lab::delete_address(sites.a1, "eth0", std::string(addresses::a1) + "/24");
    lab::add_address(sites.a1, "eth0", std::string(a1_moved) + "/24");
    set_route();
    EXPECT_TRUE(talk_in_the_end());
    EXPECT_TRUE(comes_true([this] {
        return talk(lab::Duration(200)) && host_as_seen() == owned &&
               lab::flows_from(sites.gateway_a, a1_moved, wireguard).size() == 1;
    }));
    send_unasked();
    EXPECT_TRUE(host_hears_it());
}

TEST_F(HostsTunnel, GoesOnFromAnotherPortOfItsHost) {
    start_porthole();
    reserve(addresses::a1);
    ASSERT_TRUE(connect(0));
    set_port(sites.a1, *host, 51'821);
    EXPECT_TRUE(talk());
    EXPECT_EQ(host_as_seen(), "203.0.113.1:51821");
}

/// What each filtering behaviour (RFC 4787) lets in that the host has not asked for.
struct Filtering {
    std::string label;
    std::string name;
    bool lets_contacts_in;   ///< from any port
    bool lets_strangers_in;  ///< from any address
};

class HostsTunnelThrough : public HostsTunnel, public testing::WithParamInterface<Filtering> {
  protected:
    void SetUp() override {
        HostsTunnel::SetUp();
        if (IsSkipped()) return;
        start_porthole();
        reserve(addresses::a1, GetParam().name);
        ASSERT_TRUE(connect(0));
    }
    /// The remote has moved there and sends: `comes_in` says whether the host hears it, and both go
    /// on. If not, they do as soon as the remote is back.
    template <typename MoveBack>
    void expect_to_go_on(const lab::SocketAddress& there, bool comes_in,
                         const MoveBack& move_back) const {
        send_unasked();
        if (comes_in) {
            EXPECT_TRUE(host_hears_it());
            EXPECT_EQ(remote_as_seen(), to_text(there));
            EXPECT_TRUE(talk());
        } else {
            move_back();
            EXPECT_TRUE(host_hears_no_more_than_an_answer());
            EXPECT_EQ(remote_as_seen(), to_text(remote_place));
        }
        EXPECT_EQ(host_as_seen(), owned);
    }
};

INSTANTIATE_TEST_SUITE_P(
    Filtering, HostsTunnelThrough,
    testing::Values(Filtering{"Strict", "address-and-port-dependent", false, false},
                    Filtering{"AddressDependent", "address-dependent", true, false},
                    Filtering{"Open", "endpoint-independent", true, true}),
    [](const auto& filtering) { return filtering.param.label; });

TEST_P(HostsTunnelThrough, IsReachedByItsRemoteOnceTheFlowHasEnded) {
    lab::output_of(sites.gateway_a, {"conntrack", "-F"});
    ASSERT_THAT(flows(), IsEmpty());
    send_unasked();
    if (GetParam().lets_contacts_in) {
        EXPECT_TRUE(host_hears_it());
        EXPECT_TRUE(talk());
    } else {
        EXPECT_TRUE(host_hears_no_more_than_an_answer());
    }
    EXPECT_EQ(host_as_seen(), owned);
}

TEST_P(HostsTunnelThrough, GoesOnFromAnotherPortOfTheRemote) {
    const std::uint16_t other = 52'000;
    set_port(sites.outside, *remote, other);
    expect_to_go_on(at(addresses::outside, other), GetParam().lets_contacts_in,
                    [this] { set_port(sites.outside, *remote, wireguard); });
}

TEST_P(HostsTunnelThrough, GoesOnFromAnotherAddressOfTheRemote) {
    const auto move = [this](std::string_view from, std::string_view to) {
        lab::delete_address(sites.outside, "eth0", std::string(from) + "/24");
        lab::add_address(sites.outside, "eth0", std::string(to) + "/24");
    };
    move(addresses::outside, outside_moved);
    expect_to_go_on(at(outside_moved, wireguard), GetParam().lets_strangers_in,
                    [&] { move(outside_moved, addresses::outside); });
}

}  // namespace
}  // namespace porthole
