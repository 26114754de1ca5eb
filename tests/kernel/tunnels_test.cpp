// SPDX-License-Identifier: GPL-2.0-or-later
// The gateway's own WireGuard tunnels, as an administrator makes them with portholectl.
#include <fmt/format.h>

#include "netlink/interface_editor.hpp"
#include "two_gateways.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::UdpSocket;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using TunnelsTest = TwoGateways;

TEST_F(TunnelsTest, ConnectTwoSitesThroughDroppingGateways) {
    connect_sites();
    EXPECT_TRUE(sites_connect());
    const auto shown = tunnel(a);
    EXPECT_EQ(shown["listen-port"], 51820);
    EXPECT_EQ(shown["up"], true);
    const auto& peer = shown["peers"][0];
    EXPECT_EQ(peer["state"], "connected");
    EXPECT_EQ(peer["name"], "site B");
    EXPECT_EQ(peer["keepalive"], 5);
    EXPECT_EQ(peer["endpoint-now"], "203.0.113.2:51820");
    EXPECT_GT(peer["received"], 0);
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"wg", "show", "wg0"}),
                AllOf(HasSubstr("public key: " + key_of(a)), HasSubstr("peer: " + key_of(b))));
    EXPECT_THAT(a.ctl({"tunnel", "show"}).output, AllOf(HasSubstr("wg0"), HasSubstr("connected")));
}

TEST_F(TunnelsTest, HaveAnMtuThatTheWayToAPeerLeaves) {
    lab::output_of(sites.gateway_a, {"ip", "link", "set", "wan", "mtu", "1492"});  // PPPoE
    connect_sites();
    const auto shown = [](const lab::Namespace& gateway) {
        return lab::output_of(gateway, {"ip", "link", "show", "wg0"});
    };
    EXPECT_THAT(shown(sites.gateway_a), HasSubstr("mtu 1412 "));
    EXPECT_THAT(shown(sites.gateway_b), HasSubstr("mtu 1420 "));
    a.restart();
    EXPECT_THAT(shown(sites.gateway_a), HasSubstr("mtu 1412 "));
}

TEST_F(TunnelsTest, StayConnectedWhileTheServiceIsAway) {
    connect_sites();
    ASSERT_TRUE(sites_connect());
    const auto handshake = tunnel(a)["peers"][0]["last-handshake"];
    a.kill();
    EXPECT_TRUE(sites_are_connected(lab::Duration(2'000)));
    a.start();
    EXPECT_TRUE(sites_are_connected(lab::Duration(2'000)));
    EXPECT_EQ(tunnel(a)["peers"][0]["last-handshake"], handshake);
}

// A peer without an endpoint has one that the kernel has learnt, and loses it with its session.
TEST_F(TunnelsTest, KeepTheSessionOfAPeerWhoseChangeWasRefused) {
    lab::output_of(sites.gateway_a, {"nft", "insert", "rule", "ip", "stock", "input", "udp",
                                     "dport", "51820", "accept"});
    create_tunnels();
    const auto key = key_of(b);
    done(a, {"tunnel", "peer", "set", "wg0", key, "--allowed-ips", "10.9.0.2/32,192.168.3.0/24"});
    let_b_look_for_a();
    ASSERT_TRUE(sites_connect());
    const auto before = tunnel(a)["peers"][0];
    ASSERT_EQ(before["endpoint-now"], "203.0.113.2:51820");
    lab::output_of(sites.gateway_a, {"ip", "route", "add", "10.77.0.0/16", "dev", "wg0"});
    EXPECT_THAT(refused(a, {"tunnel", "peer", "set", "wg0", key, "--endpoint", "203.0.113.2:51820",
                            "--allowed-ips", "10.9.0.2/32,192.168.3.0/24,10.77.0.0/16"}),
                AllOf(HasSubstr("KernelFailed"), HasSubstr("10.77.0.0/16")));
    const auto after = tunnel(a)["peers"][0];
    EXPECT_EQ(after["last-handshake"], before["last-handshake"]);
    EXPECT_EQ(after["allowed-ips"], before["allowed-ips"]);
    EXPECT_TRUE(sites_are_connected(lab::Duration(2'000)));
}

TEST_F(TunnelsTest, ComeBackAfterAReboot) {
    connect_sites();
    ASSERT_TRUE(sites_connect());
    const auto before = tunnel(a);
    a.stop();
    lab::delete_link(sites.gateway_a, "wg0");
    a.start();
    EXPECT_TRUE(sites_connect());
    const auto after = tunnel(a);
    for (const auto* key : {"public-key", "listen-port", "addresses", "up"}) {
        EXPECT_EQ(after[key], before[key]) << key;
    }
    EXPECT_EQ(after["peers"][0]["name"], "site B");
}

TEST_F(TunnelsTest, LeaveNoInterfaceBehindThatACrashHasLeft) {
    connect_sites();
    a.kill();
    for (const auto* name : {"wg7", "wg8"}) lab::add_link(sites.gateway_a, name, "wireguard");
    lab::output_of(sites.gateway_a, {"ip", "link", "set", "wg7", "alias", "porthole, unfinished"});
    a.start();
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"ip", "link"}),
                AllOf(HasSubstr("wg0"), HasSubstr("wg8"), Not(HasSubstr("wg7"))));
}

TEST_F(TunnelsTest, AreGoneWhenTheyAreDeleted) {
    connect_sites();
    done(a, {"tunnel", "delete", "wg0"});
    EXPECT_THAT(refused(a, {"tunnel", "show", "wg0"}), HasSubstr("NoSuchTunnel"));
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"ip", "link"}), Not(HasSubstr("wg0")));
    a.restart();
    EXPECT_EQ(done(a, {"tunnel", "show"})["tunnels"], json::array());
    done(a, {"reserve", std::string(addresses::a1), "udp", "51820"});
}

TEST_F(TunnelsTest, HaveTheirPortForThemselves) {
    done(a, {"reserve", std::string(addresses::a1), "udp", "51820"});
    EXPECT_THAT(refused(a, {"tunnel", "create", "wg0", "--listen-port", "51820"}),
                AllOf(HasSubstr("PortTaken"), HasSubstr("51820"), HasSubstr("192.168.2.2")));
    // The next one that is free.
    done(a, {"tunnel", "create", "wg0"});
    EXPECT_EQ(tunnel(a)["listen-port"], 51821);
    EXPECT_THAT(refused(a, {"reserve", std::string(addresses::a2), "udp", "51821"}),
                HasSubstr("PortTaken"));
    EXPECT_THAT(refused(a, {"tunnel", "create", "wg1", "--listen-port", "51821"}),
                AllOf(HasSubstr("PortTaken"), HasSubstr("tunnel wg0")));
}

// Sessions would end at each start of the service.
TEST_F(TunnelsTest, LeaveAKeyAloneThatIsNotClamped) {
    const std::string file =
        "[Interface]\nPrivateKey = dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n";
    done(a, {"tunnel", "import", "wg0", "-"}, file);
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"wg", "show", "wg0", "private-key"}),
                HasSubstr("cAdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LGo="));
    EXPECT_EQ(key_of(a), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
}

TEST_F(TunnelsTest, AreMadeWholeOrNotAtAll) {
    // Nobody has looked for it yet, so the kernel says it, when the interface goes up.
    const UdpSocket other(sites.gateway_a, 51'999);
    EXPECT_THAT(refused(a, {"tunnel", "create", "wg0", "--listen-port", "51999"}),
                AnyOf(HasSubstr("KernelFailed: set up wg0"), HasSubstr("PortTaken")));
    EXPECT_THAT(refused(a, {"tunnel", "show", "wg0"}), HasSubstr("NoSuchTunnel"));
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"ip", "link"}), Not(HasSubstr("wg0")));
    lab::add_link(sites.gateway_a, "wg0", "wireguard");
    EXPECT_THAT(refused(a, {"tunnel", "create", "wg0"}),
                AllOf(HasSubstr("TunnelExists"), HasSubstr("not made")));
    lab::add_bridge(sites.gateway_a, "br7");
    EXPECT_THAT(refused(a, {"tunnel", "create", "br7"}), HasSubstr("TunnelExists"));
    a.restart();
    EXPECT_EQ(done(a, {"tunnel", "show"})["tunnels"], json::array());
}

TEST_F(TunnelsTest, RefuseWhatCannotWork) {
    connect_sites();
    const auto before = tunnel(a);
    const auto set = [this](const std::string& key, std::vector<std::string> options = {}) {
        options.insert(options.begin(), {"tunnel", "peer", "set", "wg0", key});
        return refused(a, options);
    };
    const auto somebody = to_text(PrivateKey::generate().public_key());
    EXPECT_THAT(set(key_of(a)), AllOf(HasSubstr("InvalidArgument"), HasSubstr("own")));
    EXPECT_THAT(set(to_text(PublicKey({1}))),
                AllOf(HasSubstr("InvalidArgument"), HasSubstr("handshake")));
    EXPECT_THAT(set("x"), AllOf(HasSubstr("InvalidArgument"), HasSubstr("public-key")));
    EXPECT_THAT(
        set(somebody, {"--allowed-ips", "192.168.3.0/24"}),
        AllOf(HasSubstr("AllowedIpTaken"), HasSubstr("192.168.3.0/24"), HasSubstr(key_of(b))));
    EXPECT_THAT(set(somebody, {"--allowed-ips", "192.168.3.7/24"}),
                AllOf(HasSubstr("InvalidArgument"), HasSubstr("allowed-ips \"192.168.3.7/24\"")));
    EXPECT_THAT(set(somebody, {"--endpoint", "nowhere"}),
                AllOf(HasSubstr("InvalidArgument"), HasSubstr("endpoint \"nowhere\"")));
    EXPECT_THAT(refused(a, {"tunnel", "create", "wg0"}), HasSubstr("TunnelExists"));
    EXPECT_THAT(refused(a, {"tunnel", "create", "wg 7"}), HasSubstr("InvalidArgument"));
    EXPECT_THAT(refused(a, {"tunnel", "create", "wg7", "--mtu", "12"}), HasSubstr("mtu \"12\""));
    EXPECT_THAT(refused(a, {"tunnel", "delete", "wg7"}), HasSubstr("NoSuchTunnel"));
    EXPECT_THAT(refused(a, {"tunnel", "peer", "set", "wg7", somebody}), HasSubstr("NoSuchTunnel"));
    EXPECT_THAT(refused(a, {"tunnel", "peer", "remove", "wg0", somebody}),
                AllOf(HasSubstr("NoSuchPeer"), HasSubstr(somebody)));
    const auto after = tunnel(a);
    EXPECT_EQ(after["peers"].size(), before["peers"].size());
    EXPECT_EQ(after["peers"][0]["allowed-ips"], before["peers"][0]["allowed-ips"]);
}

TEST_F(TunnelsTest, LoseAPeerWithItsRoutes) {
    connect_sites();
    const auto routes = [this] { return lab::output_of(sites.gateway_a, {"ip", "route"}); };
    EXPECT_THAT(routes(), HasSubstr("192.168.3.0/24 dev wg0"));
    done(a, {"tunnel", "peer", "set", "wg0", key_of(b), "--allowed-ips", "192.168.7.0/24"});
    EXPECT_THAT(routes(), AllOf(HasSubstr("192.168.7.0/24 dev wg0"), Not(HasSubstr("192.168.3"))));
    done(a, {"tunnel", "peer", "remove", "wg0", key_of(b)});
    EXPECT_THAT(routes(), Not(HasSubstr("192.168.7.0/24")));
    EXPECT_EQ(tunnel(a)["peers"], json::array());
    a.restart();
    EXPECT_EQ(tunnel(a)["peers"], json::array());
}

// What is not given stays as it is.
TEST_F(TunnelsTest, ChangeOfAPeerWhatIsSaid) {
    connect_sites();
    done(a, {"tunnel", "peer", "set", "wg0", key_of(b), "--keepalive", "25"});
    const auto peer = tunnel(a)["peers"][0];
    EXPECT_EQ(peer["keepalive"], 25);
    EXPECT_EQ(peer["name"], "site B");
    EXPECT_EQ(peer["endpoint"], "203.0.113.2:51820");
    const auto key = std::string("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n");
    done(a, {"tunnel", "peer", "set", "wg0", key_of(b), "--preshared-key-file", "-"}, key);
    EXPECT_EQ(tunnel(a)["peers"][0]["preshared-key"], true);
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"wg", "show", "wg0", "preshared-keys"}),
                HasSubstr(key));
    a.restart();
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"wg", "show", "wg0", "preshared-keys"}),
                HasSubstr(key));
}

// What "wg showconf" says of its peers, but for one that stays as it is.
TEST_F(TunnelsTest, HaveThePeersOfAFile) {
    connect_sites();
    ASSERT_TRUE(sites_connect());
    const auto handshake = tunnel(a)["peers"][0]["last-handshake"];
    const auto file = lab::output_of(sites.gateway_a, {"wg", "showconf", "wg0"});
    const std::string other = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=";
    const auto more = file + "[Peer]\nPublicKey = " + other + "\nAllowedIPs = 10.7.0.1/32\n";

    EXPECT_THAT(done(a, {"tunnel", "peer", "apply", "wg0", "-", "--dry-run"}, more)["added"],
                testing::ElementsAre(other));
    EXPECT_EQ(tunnel(a)["peers"].size(), 1U);
    EXPECT_THAT(done(a, {"tunnel", "peer", "apply", "wg0", "-"}, more)["added"],
                testing::ElementsAre(other));
    EXPECT_EQ(tunnel(a)["peers"].size(), 2U);
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"wg", "show", "wg0", "allowed-ips"}),
                HasSubstr(other + "\t10.7.0.1/32"));

    EXPECT_THAT(done(a, {"tunnel", "peer", "apply", "wg0", "-"}, file)["removed"],
                testing::ElementsAre(other));
    const auto peer = tunnel(a)["peers"][0];
    EXPECT_EQ(peer["name"], "site B");
    EXPECT_EQ(peer["last-handshake"], handshake);
    EXPECT_TRUE(sites_are_connected(lab::Duration(2'000)));

    EXPECT_THAT(refused(a, {"tunnel", "peer", "apply", "wg0", "-"}, file + "AllowedIPs = x\n"),
                AllOf(HasSubstr("InvalidArgument"), HasSubstr("line"), HasSubstr("AllowedIPs")));
    EXPECT_EQ(tunnel(a)["peers"].size(), 1U);
}

TEST_F(TunnelsTest, AreImportedFromWgQuick) {
    const auto key = std::string("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=");
    const std::string file = "[Interface]\nPrivateKey = " + key +
                             "\nListenPort = 51900\nAddress = 10.8.0.1/24\nMTU = 1400\n"
                             "[Peer]\nPublicKey = 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\n"
                             "AllowedIPs = 10.8.0.2/32, 172.20.0.0/16\nEndpoint = 203.0.113.9:1\n";
    done(a, {"tunnel", "import", "wg0", "-"}, file);
    EXPECT_EQ(tunnel(a)["listen-port"], 51900);
    EXPECT_EQ(key_of(a), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"ip", "route"}),
                HasSubstr("172.20.0.0/16 dev wg0"));
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"ip", "link", "show", "wg0"}),
                HasSubstr("mtu 1400"));
    const auto refusal = refused(a, {"tunnel", "import", "wg1", "-"},
                                 "[Interface]\nPrivateKey = " + key + "x\nPostUp = reboot\n");
    EXPECT_THAT(refusal,
                AllOf(HasSubstr("InvalidArgument"), HasSubstr("line 2: invalid PrivateKey"),
                      HasSubstr("line 3: PostUp: commands are never run"),
                      Not(HasSubstr(key.substr(0, 20)))));
}

}  // namespace
}  // namespace porthole
