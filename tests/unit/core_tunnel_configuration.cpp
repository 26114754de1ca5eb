// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "configuration_errors.hpp"
#include "core_support.hpp"

namespace porthole {
namespace {

using namespace support;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::Pointwise;

constexpr auto a = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
constexpr auto b = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";

std::vector<StaticTunnel> tunnels_of(const std::string& text) {
    return parse_configuration(text, "porthole.toml").tunnels;
}

std::string tunnel(std::string_view name, std::string_view rest = "") {
    return fmt::format("[[tunnel]]\nname = \"{}\"\n{}", name, rest);
}

std::string peer(std::string_view key, std::string_view rest = "") {
    return fmt::format("[[tunnel.peer]]\npublic-key = \"{}\"\n{}", key, rest);
}

TEST(TunnelConfigurationTest, HasEverythingThatTheFileSays) {
    const auto tunnels = tunnels_of(
        tunnel("wg0",
               "listen-port = 51821\nprivate-key-file = \"/etc/wg.key\"\n"
               "addresses = [\"10.9.0.1/24\", \"fd00::1/64\"]\nmtu = 1400\nfwmark = 4294967295\n"
               "table = 77\nmetric = 5\n") +
        peer(b,
             "name = \"branch\"\nendpoint = \"gw-b.example.net:51820\"\nkeepalive = 25\n"
             "allowed-ips = [\"192.168.3.0/24\", \"10.9.0.2/32\"]\n"
             "preshared-key-file = \"b.psk\"\n") +
        peer(a));
    ASSERT_EQ(tunnels.size(), 1U);
    const auto& [name, settings, private_key_file, preshared_key_files] = tunnels[0];
    EXPECT_EQ(name.text(), "wg0");
    EXPECT_EQ(private_key_file, "/etc/wg.key");
    const auto key = parse<PublicKey>("key", b);
    EXPECT_THAT(preshared_key_files, ElementsAre(Pair(key, "b.psk")));
    TunnelSettings wanted{.listen_port = port(51821),
                          .fwmark = 4294967295,
                          .addresses = all<InterfaceAddress>({"10.9.0.1/24", "fd00::1/64"}),
                          .mtu = 1400,
                          .table = {RouteTable::Choice::number, 77},
                          .metric = 5};
    wanted.peers = {{.public_key = key,
                     .name = comment("branch"),
                     .endpoint = parse<EndpointSetting>("e", "gw-b.example.net:51820"),
                     .keepalive = Keepalive(25),
                     .allowed_ips = all<Network>({"10.9.0.2/32", "192.168.3.0/24"})},
                    {.public_key = parse<PublicKey>("key", a), .keepalive = Keepalive(5)}};
    EXPECT_EQ(settings, wanted);
}

TEST(TunnelConfigurationTest, HasDefaults) {
    const auto tunnels = tunnels_of(tunnel("wg0") + peer(a, "keepalive = 0\n"));
    ASSERT_EQ(tunnels.size(), 1U);
    EXPECT_EQ(tunnels[0].private_key_file, "wg0.key");
    TunnelSettings wanted;
    wanted.peers = {{.public_key = parse<PublicKey>("key", a)}};
    EXPECT_EQ(tunnels[0].settings, wanted);
    for (const auto* table : {"\"off\"", "\"auto\"", "\"77\"", "4294967295"}) {
        EXPECT_THAT(errors_of(tunnel("wg0", fmt::format("table = {}\n", table))), IsEmpty());
    }
}

TEST(TunnelConfigurationTest, ReportsAllErrorsAtOnceInTheOrderOfTheFile) {
    EXPECT_THAT(
        errors_of(R"([[tunnel]]
name = "wg 0"
listen-port = 65536
private-key-file = 7
addresses = ["10.9.0.1/33", 7]
mtu = 575
fwmark = -1
table = 0
metric = 4294967296
private-key = "secret"
dns = ["192.0.2.53"]
[[tunnel.peer]]
public-key = "x"
name = "a\tb"
endpoint = "nowhere"
allowed-ips = ["10.9.0.1/24"]
keepalive = 65536
preshared-key-file = ""
colour = "red"
[[tunnel.peer]]
[[tunnel]]
table = "main"
peer = { public-key = "x" }
)"),
        Pointwise(
            Begins(),
            {"2:8: tunnel[0].name: invalid \"wg 0\": expected an interface name",
             "3:15: tunnel[0].listen-port: invalid \"65536\": expected a port",
             "4:20: tunnel[0].private-key-file: expected the name of a file, but not of "
             "\"secrets.key\", which opens the database, found an integer",
             "5:14: tunnel[0].addresses[0]: invalid \"10.9.0.1/33\": expected an address",
             "5:29: tunnel[0].addresses[1]: expected an address",
             "6:7: tunnel[0].mtu: invalid \"575\": expected a number from 576 to 65455",
             "7:10: tunnel[0].fwmark: invalid \"-1\": expected a number from 0 to 4294967295",
             "8:9: tunnel[0].table: invalid \"0\": expected a number from 1 to 4294967295",
             "9:10: tunnel[0].metric: invalid \"4294967296\": expected a number from 0 to",
             "10:1: tunnel[0].private-key: unknown key; allowed here: name, listen-port, "
             "private-key-file, addresses, mtu, fwmark, table, metric, peer",
             "11:1: tunnel[0].dns: unknown key",
             "13:14: tunnel[0].peer[0].public-key: invalid \"x\": expected a WireGuard public key",
             "14:8: tunnel[0].peer[0].name: invalid \"a\tb\": expected at most 128 bytes",
             "15:12: tunnel[0].peer[0].endpoint: invalid \"nowhere\": expected a host and a port",
             "16:16: tunnel[0].peer[0].allowed-ips[0]: invalid \"10.9.0.1/24\": expected a network",
             "17:13: tunnel[0].peer[0].keepalive: invalid \"65536\": expected a number from 0 to "
             "65535",
             "18:22: tunnel[0].peer[0].preshared-key-file: invalid \"\": expected the name of a",
             "19:1: tunnel[0].peer[0].colour: unknown key; allowed here: public-key, name, "
             "endpoint, allowed-ips, keepalive, preshared-key-file",
             "20:1: tunnel[0].peer[1].public-key: is missing",
             "21:1: tunnel[1].name: is missing",
             "22:9: tunnel[1].table: invalid \"main\": expected \"auto\", \"off\" or a number",
             "23:8: tunnel[1].peer: expected an array of tables: [[tunnel.peer]], found a table"}));
    EXPECT_THAT(errors_of("tunnel = 7\n"),
                Pointwise(Begins(), {"1:10: tunnel: expected an array of tables: [[tunnel]]"}));
    EXPECT_THAT(errors_of("tunnel = [7]\n"),
                Pointwise(Begins(), {"1:11: tunnel[0]: expected a table, found an integer"}));
}

TEST(TunnelConfigurationTest, RefusesNamesThatTheKernelWouldNotTakeAsTheyAre) {
    EXPECT_THAT(errors_of(tunnel("wg%d")),
                Pointwise(Begins(), {"2:8: tunnel[0].name: invalid \"wg%d\": expected the name of "
                                     "an interface without '%'"}));
}

// The key that opens the database must not become a tunnel's.
TEST(TunnelConfigurationTest, RefusesTheFileOfTheDatabasesKey) {
    const auto refusal = "private-key-file: invalid \"secrets.key\": expected the name of a file";
    EXPECT_THAT(errors_of(tunnel("secrets")),
                Pointwise(Begins(), {"1:1: tunnel[0]." + std::string(refusal)}));
    EXPECT_THAT(errors_of(tunnel("wg0", "private-key-file = \"secrets.key\"\n")),
                Pointwise(Begins(), {"3:20: tunnel[0]." + std::string(refusal)}));
    for (const auto* file : {"../porthole/secrets.key", "keys/", ".", "..", "a\\u0000b"}) {
        EXPECT_THAT(errors_of(tunnel("wg0", fmt::format("private-key-file = \"{}\"\n", file))),
                    ::testing::SizeIs(1))
            << file;
    }
    EXPECT_THAT(errors_of(tunnel("secrets", "private-key-file = \"other.key\"\n")), IsEmpty());
}

TEST(TunnelConfigurationTest, RefusesTunnelsThatContradictEachOther) {
    EXPECT_THAT(
        errors_of(tunnel("wg0", "listen-port = 51821\n") + tunnel("wg0", "listen-port = 51821\n")),
        Pointwise(Begins(), {"5:8: tunnel[1].name: invalid \"wg0\": expected a name other than "
                             "that of the tunnel in line 1",
                             "6:15: tunnel[1].listen-port: invalid \"51821\": expected a port that "
                             "is not that of the tunnel in line 1"}));
    EXPECT_THAT(
        errors_of(tunnel("wg0") + peer(a, "allowed-ips = [\"10.9.0.2/32\"]\n") +
                  peer(a, "allowed-ips = [\"10.9.0.3/32\", \"10.9.0.2/32\"]\n")),
        Pointwise(Begins(),
                  {"7:14: tunnel[0].peer[1].public-key: invalid "
                   "\"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\": expected a key other than "
                   "that of the peer in line 3",
                   "8:31: tunnel[0].peer[1].allowed-ips[1]: invalid \"10.9.0.2/32\": expected a "
                   "network that tunnel[0].peer[0] has not"}));
    const auto one = peer(a, "allowed-ips = [\"10.9.0.2/32\", \"10.9.0.2/32\"]\n");
    EXPECT_THAT(errors_of(tunnel("wg0") + one + tunnel("wg1") + one), IsEmpty());
}

TEST(TunnelConfigurationTest, RefusesAPortThatTheFileReserves) {
    const auto reservation = [](std::string_view host, std::string_view protocol) {
        return fmt::format(
            "[[reservation]]\nhost = \"{}\"\nprotocol = \"{}\"\nport = 7\nexternal-port = 51821\n",
            host, protocol);
    };
    const auto taking = tunnel("wg0", "listen-port = 51821\n");
    EXPECT_THAT(errors_of(taking + reservation("192.168.2.2", "udp")),
                Pointwise(Begins(), {"3:15: tunnel[0].listen-port: invalid \"51821\": expected a "
                                     "port that is not reserved for 192.168.2.2"}));
    EXPECT_THAT(errors_of(taking + reservation("192.168.2.2", "tcp")), IsEmpty());
}

TEST(TunnelConfigurationTest, RefusesKeysThatNoHandshakeSucceedsWith) {
    EXPECT_THAT(
        errors_of(tunnel("wg0") + peer(to_text(PublicKey({1})))),
        ElementsAre("4:14: tunnel[0].peer[0].public-key: invalid "
                    "\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\": expected a key that a "
                    "handshake can succeed with"));
}

}  // namespace
}  // namespace porthole
