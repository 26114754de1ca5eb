// SPDX-License-Identifier: GPL-2.0-or-later
// Peers that are known by a name, or have moved: tunnels between two gateways, both of which drop
// what comes unsolicited, so that who is sought must be found by the one that seeks.
#include <chrono>
#include <optional>

#include <sdbus-c++/sdbus-c++.h>

#include "bus_client.hpp"
#include "lab/name_server.hpp"
#include "tunnel_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto* name = "gw-b.example.net";

class PeerNamesTest : public TunnelSites {
  protected:
    void SetUp() override {
        TunnelSites::SetUp();
        if (IsSkipped()) return;
        lab::write_file(resolv_conf, "nameserver " + std::string(addresses::outside) + "\n");
        start_a();
        b.start();
        done(a, {"tunnel", "create", "wg0", "--addresses", "10.9.0.1/24"});
        done(b, {"tunnel", "create", "wg0", "--addresses", "10.9.0.2/24"});
        set(b, key_of(a), "203.0.113.1:51820", "10.9.0.1/32,192.168.2.0/24");
    }

    void start_a() { a.start({.before_exec = lab::with_resolv_conf(resolv_conf.c_str())}); }
    [[nodiscard]] json peer() const { return tunnel(a)["peers"][0]; }
    [[nodiscard]] std::vector<std::string> warnings() const {
        return done(a, {"status"})["warnings"].get<std::vector<std::string>>();
    }
    static void set(const lab::Porthole& gateway, const std::string& key,
                    const std::string& endpoint, const std::string& allowed_ips) {
        done(gateway, {"tunnel", "peer", "set", "wg0", key, "--endpoint", endpoint, "--allowed-ips",
                       allowed_ips});
    }
    void seek(const std::string& endpoint) {
        set(a, key_of(b), endpoint, "10.9.0.2/32,192.168.3.0/24");
    }
    void serve(const std::vector<std::string>& hosts) {
        server.reset();
        server.emplace(sites.outside, addresses::outside, hosts);
    }
    void move_b(std::string_view address) {
        lab::delete_address(sites.gateway_b, "wan", std::string(addresses::b_wan) + "/24");
        lab::add_address(sites.gateway_b, "wan", std::string(address) + "/24");
        lab::add_route(sites.gateway_b, lab::everywhere, addresses::internet);
    }
    /// Before the limit, which may be of virtual time: that passes only while somebody waits.
    [[nodiscard]] bool sites_connect(std::chrono::seconds limit = std::chrono::seconds(40)) const {
        return lab::comes_true([this] { return sites_are_connected(lab::Duration(1'000)); }, limit);
    }

    lab::TemporaryDirectory directory;
    std::string resolv_conf = (directory / "resolv.conf").string();
    std::optional<lab::NameServer> server;
};

// With the session that is there: before it ends after 180 s.
TEST_F(PeerNamesTest, AreFollowedToAnotherAddress) {
    serve({std::string(name) + ",203.0.113.2"});
    seek(std::string(name) + ":51820");
    ASSERT_TRUE(sites_connect());
    const auto before = peer();
    EXPECT_EQ(before["endpoint"], std::string(name) + ":51820");
    EXPECT_EQ(before["endpoint-now"], "203.0.113.2:51820");
    move_b("203.0.113.5");
    serve({std::string(name) + ",203.0.113.5"});
    EXPECT_TRUE(sites_connect(std::chrono::seconds(160)));
    const std::chrono::sys_seconds handshake(
        std::chrono::seconds(before["last-handshake"].get<std::int64_t>()));
    EXPECT_LE(std::chrono::system_clock::now() - handshake, std::chrono::seconds(150));
    EXPECT_EQ(peer()["endpoint-now"], "203.0.113.5:51820");
}

TEST_F(PeerNamesTest, MayResolveLater) {
    serve({});
    seek(std::string(name) + ":51820");
    ASSERT_TRUE(lab::comes_true([this] { return !warnings().empty(); }));
    EXPECT_THAT(warnings(),
                Contains(AllOf(HasSubstr(key_of(b)), HasSubstr(std::string(name) + ":51820"),
                               HasSubstr("Domain name not found"))));
    EXPECT_EQ(tunnel(a)["up"], true);
    serve({std::string(name) + ",203.0.113.2"});
    EXPECT_TRUE(sites_connect(std::chrono::seconds(70)));
    EXPECT_THAT(warnings(), IsEmpty());
}

// RFC 6724: an IPv6 address comes first where there is one to send from.
TEST_F(PeerNamesTest, AreTriedAtAllAddresses) {
    sites.add_ipv6();
    serve({std::string(name) + ",203.0.113.2,2001:db8:1::77"});
    seek(std::string(name) + ":51820");
    ASSERT_TRUE(lab::comes_true([this] { return peer()["endpoint-now"] != ""; }));
    EXPECT_EQ(peer()["endpoint-now"], "[2001:db8:1::77]:51820");
    EXPECT_TRUE(sites_connect());
    EXPECT_EQ(peer()["endpoint-now"], "203.0.113.2:51820");
}

// Its packets do not come in before it is sent to.
TEST_F(PeerNamesTest, AreLookedForWhereTheyWereAfterAReboot) {
    const auto rules = [this](const std::string& what) {
        lab::output_of(sites.gateway_a, {"nft", "-f", "-"}, {.input = what});
    };
    rules("insert rule ip stock input udp dport 51820 accept");
    done(a, {"tunnel", "peer", "set", "wg0", key_of(b), "--allowed-ips",
             "10.9.0.2/32,192.168.3.0/24"});
    ASSERT_TRUE(sites_connect());
    ASSERT_EQ(peer()["endpoint"], "");
    const auto key = key_of(b);
    const auto is_stored = [this] {
        return lab::read_file(a.state_directory() / "porthole.db-wal").find("203.0.113.2:51820") !=
               std::string::npos;
    };
    ASSERT_TRUE(lab::comes_true(is_stored));
    a.stop();
    lab::delete_link(sites.gateway_a, "wg0");
    rules("flush chain ip stock input; add rule ip stock input iifname \"wan\" drop");
    rules("insert rule ip stock input ct state established accept");
    lab::output_of(sites.gateway_a, {"conntrack", "-F"});
    start_a();
    EXPECT_EQ(peer()["endpoint-now"], "203.0.113.2:51820");
    EXPECT_TRUE(sites_connect());
}

TEST_F(PeerNamesTest, AreAnnouncedWhenTheyHaveChanged) {
    serve({std::string(name) + ",203.0.113.2"});
    BusClient client(a);
    const auto object = sdbus::createProxy(client.connection(), dbus::service_name,
                                           std::string(dbus::object_path) + "/tunnel/wg0");
    int heard = 0;
    object->uponSignal("PeersChanged").onInterface("org.porthole.Gateway1.Tunnel").call([&heard] {
        ++heard;
    });
    object->finishRegistration();
    const auto hear = [&](int number) {
        return lab::comes_true([&] {
            while (client.connection().processPendingRequest()) {
            }
            return heard >= number;
        });
    };
    seek(std::string(name) + ":51820");
    EXPECT_TRUE(hear(1));
    // It has got an endpoint, and then a session.
    EXPECT_TRUE(hear(2));
    EXPECT_TRUE(lab::comes_true([this] { return peer()["state"] == "connected"; }));
    const auto before = heard;
    done(a, {"tunnel", "peer", "remove", "wg0", key_of(b)});
    EXPECT_TRUE(hear(before + 1));
}

}  // namespace
}  // namespace porthole
