// SPDX-License-Identifier: GPL-2.0-or-later
// A tunnel that takes whatever the gateway itself sends to somebody it knows no other way to.
#include <optional>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "two_gateways.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
namespace addresses6 = lab::address6;
using lab::at;
using lab::UdpSocket;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Gateway A reaches B's end of the tunnel, and a host beyond, by its default routes alone.
class DefaultRouteTest : public TwoGateways {
  protected:
    static constexpr std::string_view far = "198.51.100.9";
    static constexpr std::string_view far_ipv6 = "2001:db8:9::9";
    static constexpr std::string_view far_b = "198.51.100.2";

    void SetUp() override {
        TwoGateways::SetUp();
        if (IsSkipped()) return;
        sites.add_ipv6();
        move_away(sites.outside, "eth0", far, addresses::outside);
        move_away(sites.outside, "eth0", far_ipv6, addresses6::outside);
        move_away(sites.gateway_b, "wan", far_b, addresses::b_wan);
        lab::add_route(sites.outside, "fd00:9::/64", addresses6::b_wan);
        outside.emplace(sites.outside, at(far, 4000));
        outside_ipv6.emplace(sites.outside, at(far_ipv6, 4000));
        accept(sites.gateway_b, "51820");
        // Strict: what comes in is dropped unless answers would leave by where it came.
        sites.gateway_a.set_sysctl("net/ipv4/conf/all/rp_filter", "1");
        done(b, {"tunnel", "create", "wg0", "--addresses", "10.9.0.2/24,fd00:9::2/64"});
        before = routing();
    }

    /// Gives the interface an address that only the internet's router knows the way to.
    void move_away(const lab::Namespace& where, const std::string& link, std::string_view address,
                   std::string_view router) const {
        const auto* length = address.find(':') == std::string_view::npos ? "/32" : "/128";
        const auto network = std::string(address) + length;
        lab::add_address(where, link, network);
        lab::wait_for_links(where, lab::Deadline(lab::Duration(5000)));
        lab::add_route(sites.internet, network, router);
    }
    static void accept(const lab::Namespace& gateway, const std::string& port) {
        lab::output_of(gateway, {"nft", "insert", "rule", "ip", "stock", "input", "udp", "dport",
                                 port, "accept"});
    }

    void set_peer(const std::string& allowed_ips) const {
        done(a, {"tunnel", "peer", "set", "wg0", key_of(b), "--endpoint",
                 fmt::format("{}:51820", far_b), "--allowed-ips", allowed_ips});
    }
    void make_tunnel() const {
        done(a, {"tunnel", "create", "wg0", "--addresses", "10.9.0.1/24,fd00:9::1/64"});
        let_b_answer();
        set_peer("0.0.0.0/0,::/0");
    }
    void let_b_answer() const {
        done(b, {"tunnel", "peer", "set", "wg0", key_of(a), "--allowed-ips",
                 "10.9.0.1/32,fd00:9::1/128,192.168.2.0/24"});
    }
    [[nodiscard]] std::string mark_of_a() const {
        const auto line = lab::output_of(sites.gateway_a, {"wg", "show", "wg0", "fwmark"});
        return line.substr(0, line.find('\n'));
    }

    /// All rules and routes of gateway A.
    [[nodiscard]] std::string routing() const {
        std::string all;
        for (const auto* family : {"-4", "-6"}) {
            all += lab::output_of(sites.gateway_a, {"ip", family, "rule"});
            all += lab::output_of(sites.gateway_a, {"ip", family, "route", "show", "table", "all"});
        }
        return all;
    }

    using Shown = std::optional<lab::SocketAddress>;
    /// Which address this socket shows to the host outside, whose answer comes back.
    [[nodiscard]] Shown shown_by(const UdpSocket& socket, lab::Duration limit) const {
        return lab::exchange(socket, *outside, at(far, 4000), limit);
    }
    [[nodiscard]] bool arrives_through_b(const UdpSocket& socket) const {
        const auto port = socket.local().port;
        return lab::comes_true(
            [&] { return shown_by(socket, lab::Duration(200)) == at(addresses::b_wan, port); });
    }
    [[nodiscard]] bool arrives_through_a(const UdpSocket& socket) const {
        return shown_by(socket, lab::packet_limit) == at(addresses::a_wan, socket.local().port);
    }

    UdpSocket own{sites.gateway_a, 4001};
    UdpSocket own_ipv6{sites.gateway_a, at("::", 4002)};
    std::optional<UdpSocket> outside;
    std::optional<UdpSocket> outside_ipv6;
    std::string before;
};

TEST_F(DefaultRouteTest, TakesWhatTheGatewaySends) {
    EXPECT_TRUE(arrives_through_a(own));
    make_tunnel();
    EXPECT_TRUE(arrives_through_b(own));
    EXPECT_EQ(lab::exchange(own_ipv6, *outside_ipv6, at(far_ipv6, 4000)), at("fd00:9::1", 4002));
    EXPECT_THAT(lab::output_of(sites.gateway_b, {"wg", "show"}),
                HasSubstr(fmt::format("endpoint: {}:51820", addresses::a_wan)));
    done(a, {"tunnel", "delete", "wg0"});
    EXPECT_EQ(routing(), before);
    EXPECT_TRUE(arrives_through_a(own));
}

TEST_F(DefaultRouteTest, LeavesHostsAndAnswersWhereTheyWere) {
    done(a, {"reserve", std::string(addresses::a1), "udp", "4000", "--filtering",
             "endpoint-independent"});
    accept(sites.gateway_a, "4004");
    make_tunnel();
    ASSERT_TRUE(arrives_through_b(own));
    EXPECT_TRUE(arrives_through_a(a1));
    const UdpSocket stranger(sites.outside, at(far, 4005));
    EXPECT_EQ(lab::exchange(stranger, a1, at(addresses::a_wan, 4000)), at(far, 4005));
    const UdpSocket service(sites.gateway_a, at(addresses::a_wan, 4004));
    EXPECT_EQ(lab::exchange(stranger, service, at(addresses::a_wan, 4004)), at(far, 4005));
    // The packets of another tunnel.
    const UdpSocket remote(sites.outside, at(far, 4006));
    done(a, {"tunnel", "create", "wg1", "--listen-port", "51830"});
    done(a, {"tunnel", "peer", "set", "wg1", key_of(b), "--endpoint", fmt::format("{}:4006", far)});
    const auto handshake = remote.receive();
    ASSERT_TRUE(handshake);
    EXPECT_EQ(handshake->source, at(addresses::a_wan, 51830));
}

// As the documentation says.
TEST_F(DefaultRouteTest, TakesHostsThatARuleOfTheAdministratorsSendsThere) {
    make_tunnel();
    ASSERT_TRUE(arrives_through_b(own));
    lab::output_of(sites.gateway_a, {"ip", "rule", "add", "iif", "lan", "lookup", mark_of_a()});
    EXPECT_TRUE(arrives_through_b(a1));
}

TEST_F(DefaultRouteTest, IsWholeAfterACrashAndAReboot) {
    make_tunnel();
    ASSERT_TRUE(arrives_through_b(own));
    const auto whole = routing();
    EXPECT_NE(whole, before);
    a.kill();
    EXPECT_TRUE(arrives_through_b(own));
    a.start();
    EXPECT_EQ(routing(), whole);
    EXPECT_TRUE(arrives_through_b(own));
    a.stop();
    lab::delete_link(sites.gateway_a, "wg0");
    a.start();
    EXPECT_EQ(routing(), whole);
    EXPECT_TRUE(arrives_through_b(own));  // with a new handshake, while the rules are in force
}

TEST_F(DefaultRouteTest, GoesWithItsAllowedIpOrPeer) {
    make_tunnel();
    ASSERT_TRUE(arrives_through_b(own));
    const auto rules = [this] {
        return lab::output_of(sites.gateway_a, {"ip", "-4", "rule"}) +
               lab::output_of(sites.gateway_a, {"ip", "-6", "rule"});
    };
    EXPECT_THAT(rules(), HasSubstr("iif lo"));
    set_peer("10.9.0.2/32");
    EXPECT_THAT(rules(), Not(HasSubstr("iif lo")));
    EXPECT_TRUE(arrives_through_a(own));
    set_peer("0.0.0.0/0");
    EXPECT_TRUE(arrives_through_b(own));
    done(a, {"tunnel", "peer", "remove", "wg0", key_of(b)});
    EXPECT_THAT(rules(), Not(HasSubstr("iif lo")));
    EXPECT_TRUE(arrives_through_a(own));
}

TEST_F(DefaultRouteTest, IsRefusedWhole) {
    done(a, {"tunnel", "create", "wg0", "--addresses", "10.9.0.1/24"});
    // Somebody else has a default route there.
    lab::output_of(sites.gateway_a,
                   {"ip", "route", "add", "default", "dev", "lan", "table", mark_of_a()});
    const auto with_another = routing();
    const auto refusal = [this](const std::string& allowed_ips) {
        return refused(a,
                       {"tunnel", "peer", "set", "wg0", key_of(b), "--allowed-ips", allowed_ips});
    };
    EXPECT_THAT(refusal("0.0.0.0/0"), HasSubstr("KernelFailed: add route 0.0.0.0/0 through wg0"));
    EXPECT_THAT(refusal("0.0.0.0/1,128.0.0.0/1"),
                AllOf(HasSubstr("InvalidArgument"), HasSubstr("\"0.0.0.0/1\""),
                      HasSubstr("expected \"0.0.0.0/0\"")));
    EXPECT_EQ(routing(), with_another);
    EXPECT_EQ(tunnel(a)["peers"], json::array());
}

TEST_F(DefaultRouteTest, IsImportedFromWgQuick) {
    const auto file = fmt::format(
        "[Interface]\nPrivateKey = dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n"
        "Address = 10.9.0.1/24, fd00:9::1/64\n"
        "[Peer]\nPublicKey = {}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = {}:51820\n"
        "PersistentKeepalive = 5\n",
        key_of(b), far_b);
    done(a, {"tunnel", "import", "wg0", "-"}, file);
    let_b_answer();
    EXPECT_TRUE(arrives_through_b(own));
    EXPECT_EQ(lab::exchange(own_ipv6, *outside_ipv6, at(far_ipv6, 4000)), at("fd00:9::1", 4002));
}

}  // namespace
}  // namespace porthole
