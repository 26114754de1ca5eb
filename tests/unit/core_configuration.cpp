// SPDX-License-Identifier: GPL-2.0-or-later
#include <chrono>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "configuration_errors.hpp"
#include "core_support.hpp"

namespace porthole {
namespace {

using namespace support;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pointwise;
using ::testing::StartsWith;
using ::testing::ThrowsMessage;

TEST(ConfigurationTest, OfAnEmptyFileIsTheOneThatHoldsWithoutAFile) {
    EXPECT_EQ(parse_configuration("", "porthole.toml"), Configuration());
    EXPECT_EQ(parse_configuration("[wan]\n[lan]\n[nat]\n", "porthole.toml"), Configuration());
    EXPECT_EQ(parse_configuration("[nat]\nsources = []\nexempt = []\nmasquerade = false\n",
                                  "porthole.toml"),
              Configuration());
}

TEST(ConfigurationTest, HasEverythingThatTheFileSays) {
    const auto configuration = parse_configuration(R"(
[wan]
interfaces = ["wan", "pppoe-wan"]
[lan]
interfaces = ["br-lan"]
[nat]
masquerade = true
sources = ["192.168.2.0/24"]
exempt = ["10.9.0.0/16", "192.0.2.7/32"]
pool = "60000-60999"
[[reservation]]
host = "192.168.2.2"
protocol = "udp"
port = 51820
[[reservation]]
host = "192.168.2.3"
protocol = "tcp"
port = 22
external-port = 2222
filtering = "address-and-port-dependent"
comment = "Anna's laptop"
)",
                                                   "porthole.toml");
    EXPECT_EQ(configuration.wan_interfaces, all<InterfaceName>({"wan", "pppoe-wan"}));
    EXPECT_EQ(configuration.lan_interfaces, all<InterfaceName>({"br-lan"}));
    EXPECT_TRUE(configuration.masquerade);
    EXPECT_EQ(configuration.nat_sources, all<Network>({"192.168.2.0/24"}));
    EXPECT_EQ(configuration.nat_exempt, all<Network>({"10.9.0.0/16", "192.0.2.7/32"}));
    EXPECT_EQ(configuration.pool, parse<PortRange>("", "60000-60999"));
    EXPECT_THAT(
        configuration.reservations,
        ElementsAre(
            StaticReservation{endpoint("192.168.2.2", 51820), port(51820), std::nullopt, Comment()},
            StaticReservation{endpoint("192.168.2.3", 22, Protocol::tcp), port(2222),
                              Filtering::address_and_port_dependent, comment("Anna's laptop")}));
}

TEST(ConfigurationTest, ReportsAllErrorsAtOnceInTheOrderOfTheFile) {
    const auto errors = errors_of(R"(colour = "red"
lan.interfaces = "br-lan"
lan.interface = "br-lan"
[wan]
interfaces = ["eth0", "a b", 7]
[nat]
masquerade = "yes"
sources = ["192.168.2.1/24", "10.0.0.0/8", "10.0.0.0/33"]
exempt = ["fd00::/8"]
mode = 1
[[reservation]]
host = "224.0.0.1"
protocol = "icmp"
port = 0
external-port = 65536
filtering = "open"
comment = "a\tb"
extern-port = 1
[[reservation]]
host = 7
protocol = true
port = "51820"
[[reservation]]
[[reservation]]
host = "2001:db8::2"
protocol = "udp"
port = -1
)");
    EXPECT_THAT(
        errors,
        Pointwise(
            Begins(),
            {"1:1: colour: unknown key; allowed here: wan, lan, hosts, nat, auto, reservation, "
             "tunnel",
             "2:18: lan.interfaces: expected an array of strings, found a string",
             "3:5: lan.interface: unknown key; allowed here: interfaces",
             "5:23: wan.interfaces[1]: invalid \"a b\": expected an interface name",
             "5:30: wan.interfaces[2]: expected an interface name",
             "7:14: nat.masquerade: expected true or false, found a string",
             "8:12: nat.sources[0]: invalid \"192.168.2.1/24\": expected a network",
             "8:44: nat.sources[2]: invalid \"10.0.0.0/33\": expected a network",
             "9:11: nat.exempt[0]: invalid \"fd00::/8\": expected an IPv4 network",
             "10:1: nat.mode: unknown key; allowed here: masquerade, ipv6, udp-timeout, pool, "
             "sources, exempt",
             "12:8: reservation[0].host: invalid \"224.0.0.1\": expected the unicast",
             "13:12: reservation[0].protocol: invalid \"icmp\": expected \"udp\" or",
             "14:8: reservation[0].port: invalid \"0\": expected a port from 1 to 65535",
             "15:17: reservation[0].external-port: invalid \"65536\": expected a port",
             "16:13: reservation[0].filtering: invalid \"open\": expected",
             "17:11: reservation[0].comment: invalid \"a\tb\": expected at most 128 bytes",
             "18:1: reservation[0].extern-port: unknown key; allowed here: host, protocol",
             "20:8: reservation[1].host: expected the unicast IPv4, IPv6 or MAC",
             "21:12: reservation[1].protocol: expected \"udp\" or \"tcp\", found a bool",
             "22:8: reservation[1].port: expected a port from 1 to 65535, found a string",
             "23:1: reservation[2].host: is missing",
             "23:1: reservation[2].protocol: is missing",
             "23:1: reservation[2].port: is missing",
             "27:8: reservation[3].port: invalid \"-1\": expected a port from 1 to 65535"}));
}

TEST(ConfigurationTest, RefusesSectionsOfAWrongType) {
    EXPECT_THAT(errors_of("wan = 1\nlan = []\nnat = \"no\"\nreservation = {}\n"),
                Pointwise(Begins(), {"1:7: wan: expected a table, found an integer",
                                     "2:7: lan: expected a table, found an array",
                                     "3:7: nat: expected a table, found a string",
                                     "4:15: reservation: expected an array of tables"}));
    EXPECT_THAT(errors_of("reservation = [1.5, 2020-01-01]"),
                Pointwise(Begins(), {"1:16: reservation[0]: expected a table, found a floating",
                                     "1:21: reservation[1]: expected a table, found a date"}));
}

TEST(ConfigurationTest, RefusesAnInterfaceOnBothSides) {
    EXPECT_THAT(
        errors_of("wan.interfaces = [\"eth0\", \"eth1\"]\nlan.interfaces = [\"eth1\"]\n"),
        Pointwise(Begins(), {"2:19: lan.interfaces[0]: \"eth1\" is in wan.interfaces too"}));
}

std::string row(std::string_view host, std::string_view protocol, std::string_view ports) {
    return "[[reservation]]\nhost = \"" + std::string(host) + "\"\nprotocol = \"" +
           std::string(protocol) + "\"\n" + std::string(ports) + "\n";
}

TEST(ConfigurationTest, LeavesIpv6HostsTheirPorts) {
    const auto both = parse_configuration(
                          "nat.ipv6 = \"pinholes\"\n" + row("2001:db8::2", "udp", "port = 61440") +
                              row("2001:db8::3", "udp", "port = 61440") +
                              row("2001:db8::4", "udp", "port = 7\nexternal-port = 7"),
                          "porthole.toml")
                          .reservations;
    ASSERT_EQ(both.size(), 3U) << "one port, and one of the pool: they are not translated";
    EXPECT_EQ(both[1].external_port, *Port::from(61440));
    const auto elsewhere = row("2001:db8::2", "udp", "port = 7\nexternal-port = 8");
    EXPECT_THAT(errors_of("nat.ipv6 = \"on\"\n" + elsewhere),
                Pointwise(Begins(), {"1:12: nat.ipv6: invalid \"on\": expected \"pinholes\" or",
                                     "6:17: reservation[0].external-port: invalid 8: expected 7"}));
}

TEST(ConfigurationTest, TranslatesIpv6WhereItSaysSo) {
    const auto nat66 = parse_configuration(
        "[nat]\nipv6 = \"nat66\"\nsources = [\"fd00:7::/64\", \"10.0.0.0/8\"]\n" +
            row("fd00:7::2", "udp", "port = 7\nexternal-port = 8"),
        "porthole.toml");
    EXPECT_TRUE(nat66.nat66);
    EXPECT_EQ(nat66.nat_sources, all<Network>({"fd00:7::/64", "10.0.0.0/8"}));
    EXPECT_EQ(nat66.reservations.at(0).external_port, *Port::from(8));
    EXPECT_THAT(
        errors_of("[nat]\nsources = [\"fd00:7::/64\"]\n"),
        Pointwise(Begins(), {"2:12: nat.sources[0]: invalid \"fd00:7::/64\": expected an IPv4 "
                             "network; IPv6 ones take nat.ipv6 = \"nat66\""}));
    EXPECT_THAT(errors_of("[nat]\nipv6 = \"nat66\"\nexempt = [\"fd00:7::/64\"]\n"),
                ::testing::SizeIs(1));
}

TEST(ConfigurationTest, HasEverythingThatTheFileSaysOfClaims) {
    const auto claims = parse_configuration(R"(
[auto]
enabled = false
ports = "3478-3479"
alternates = "40000-40999"
idle-days = 30
limit = 7
limit-per-mac = 2
)",
                                            "porthole.toml")
                            .claims;
    EXPECT_FALSE(claims.enabled);
    EXPECT_EQ(claims.ports, parse<PortRange>("", "3478-3479"));
    EXPECT_EQ(claims.alternates, parse<PortRange>("", "40000-40999"));
    EXPECT_EQ(claims.idle, std::chrono::days(30));
    EXPECT_EQ(claims.limit, 7U);
    EXPECT_EQ(claims.limit_per_mac, 2U);
    EXPECT_EQ(parse_configuration("[auto]\n", "porthole.toml"), Configuration());
    EXPECT_EQ(parse_configuration("auto.enabled = true\n", "porthole.toml"), Configuration());
}

TEST(ConfigurationTest, TakesTheLeastAndTheMostOfClaims) {
    const auto least = parse_configuration("auto = { idle-days = 1, limit = 1, limit-per-mac = 1 }",
                                           "porthole.toml");
    EXPECT_EQ(least.claims.idle, std::chrono::days(1));
    EXPECT_EQ(least.claims.limit, 1U);
    EXPECT_EQ(least.claims.limit_per_mac, 1U);
    const auto most = parse_configuration(
        "auto = { idle-days = 3650, limit = 65535, limit-per-mac = 65535 }", "porthole.toml");
    EXPECT_EQ(most.claims.idle, std::chrono::days(3650));
    EXPECT_EQ(most.claims.limit, 65535U);
    EXPECT_EQ(most.claims.limit_per_mac, 65535U);
}

TEST(ConfigurationTest, RefusesWhatClaimsCannotBe) {
    EXPECT_THAT(errors_of("auto = 1\n"),
                Pointwise(Begins(), {"1:8: auto: expected a table, found an integer"}));
    EXPECT_THAT(errors_of(R"([auto]
enable = true
enabled = 1
ports = 51820
alternates = "42999-42000"
idle-days = "7"
limit = 1.5
limit-per-mac = true
)"),
                Pointwise(Begins(),
                          {"2:1: auto.enable: unknown key; allowed here: enabled, ports, "
                           "alternates, idle-days, limit, limit-per-mac",
                           "3:11: auto.enabled: expected true or false, found an integer",
                           "4:9: auto.ports: expected a range of ports",
                           "5:14: auto.alternates: invalid \"42999-42000\": expected a range of",
                           "6:13: auto.idle-days: expected a number from 1 to 3650, found a string",
                           "7:9: auto.limit: expected a number from 1 to 65535, found a floating",
                           "8:17: auto.limit-per-mac: expected a number from 1 to 65535, found a "
                           "bool"}));
    EXPECT_THAT(
        errors_of("[auto]\nidle-days = 0\nlimit = 0\nlimit-per-mac = -1\n"),
        Pointwise(Begins(),
                  {"2:13: auto.idle-days: invalid \"0\": expected a number from 1 to 3650",
                   "3:9: auto.limit: invalid \"0\": expected a number from 1 to 65535",
                   "4:17: auto.limit-per-mac: invalid \"-1\": expected a number from 1 to 65535"}));
    EXPECT_THAT(
        errors_of("[auto]\nidle-days = 3651\nlimit = 65536\nlimit-per-mac = 4294967297\n"),
        Pointwise(Begins(),
                  {"2:13: auto.idle-days: invalid \"3651\": expected a number from 1 to 3650",
                   "3:9: auto.limit: invalid \"65536\": expected a number from 1 to 65535",
                   "4:17: auto.limit-per-mac: invalid \"4294967297\": expected a number from"}));
}

// The one line that is wrong names both.
auto names_both(const std::string& key, const std::string& other) {
    return ElementsAre(AllOf(HasSubstr(": " + key + ": "), HasSubstr(other)));
}

TEST(ConfigurationTest, KeepsClaimsApartFromThePool) {
    EXPECT_THAT(errors_of("nat.pool = \"50000-50999\"\nauto.ports = \"50999-51000\"\n"),
                names_both("auto.ports", "nat.pool (50000-50999)"));
    EXPECT_THAT(errors_of("auto.alternates = \"61000-61440\"\n"),
                names_both("auto.alternates", "nat.pool (61440-65535)"));
    EXPECT_THAT(errors_of("[auto]\nlimit = 7\n[nat]\npool = \"51899-51999\"\n"),
                names_both("auto.ports", "nat.pool (51899-51999)"));
    EXPECT_THAT(errors_of("nat.pool = \"50000-50999\"\n[auto]\nports = \"49999-49999\"\n"
                          "alternates = \"51000-51000\"\n"),
                IsEmpty());
}

TEST(ConfigurationTest, KeepsClaimsApartFromThePoolWithoutNamingThem) {
    EXPECT_THAT(errors_of("nat.pool = \"51899-51999\"\n"), names_both("auto.ports", "nat.pool"));
    EXPECT_THAT(errors_of("nat.pool = \"42999-43999\"\n"),
                names_both("auto.alternates", "nat.pool"));
}

TEST(ConfigurationTest, KeepsAlternatesApartFromThePortsOfHosts) {
    EXPECT_THAT(errors_of("[auto]\nports = \"3000-3999\"\nalternates = \"3999-4999\"\n"),
                names_both("auto.alternates", "auto.ports (3000-3999)"));
    EXPECT_THAT(errors_of("[auto]\nports = \"42500-42500\"\n"),
                names_both("auto.alternates", "auto.ports (42500-42500)"));
    EXPECT_THAT(errors_of("[auto]\nports = \"3000-3999\"\nalternates = \"4000-4999\"\n"),
                IsEmpty());
}

TEST(ConfigurationTest, TakesOnePortOnSeveralAddresses) {
    const auto at = [](std::string_view host, const std::string& address) {
        return row(host, "udp", "port = 51820\nexternal-address = \"" + address + "\"");
    };
    const auto two = at("192.168.2.2", "203.0.113.2") + at("192.168.2.3", "203.0.113.1");
    EXPECT_THAT(errors_of(two), IsEmpty());
    EXPECT_THAT(errors_of(two + at("192.168.2.4", "203.0.113.1")),
                Pointwise(Begins(), {"11:1: reservation[2].external-port: external port 51820/udp "
                                     "belongs to the reservation in line 6"}));
    EXPECT_THAT(errors_of(two + at("192.168.2.4", "any")), ::testing::SizeIs(1));
    EXPECT_THAT(errors_of(at("192.168.2.4", "any") + at("192.168.2.3", "203.0.113.1")),
                ::testing::SizeIs(1));
    EXPECT_THAT(errors_of(at("2001:db8::2", "203.0.113.1")),
                Pointwise(Begins(), {"5:20: reservation[0].external-address: invalid 203.0.113.1: "
                                     "expected \"any\" for an IPv6 host"}));
    EXPECT_THAT(errors_of(at("192.168.2.2", "2001:db8::1")), ::testing::SizeIs(1));
}

TEST(ConfigurationTest, RefusesReservationsThatContradictEachOther) {
    const auto first = row("192.168.2.2", "udp", "port = 51820");
    EXPECT_THAT(errors_of(first + row("192.168.2.2", "udp", "port = 51820\nexternal-port = 7")),
                Pointwise(Begins(),
                          {"5:1: reservation[1]: the same host, protocol and port as in line 1"}));
    EXPECT_THAT(errors_of(first + row("192.168.2.3", "udp", "port = 51820")),
                Pointwise(Begins(), {"5:1: reservation[1].external-port: external port 51820/udp "
                                     "belongs to the reservation in line 1"}));
    EXPECT_THAT(errors_of(first + row("192.168.2.3", "tcp", "port = 51820") +
                          row("192.168.2.3", "udp", "port = 51820\nexternal-port = 51821")),
                IsEmpty());
}

TEST(ConfigurationTest, DoesNotDeriveErrorsFromErrors) {
    const auto first = row("192.168.2.2", "udp", "port = 51820");
    EXPECT_THAT(errors_of(first + row("192.168.2.3", "udp", "port = 51820\nexternal-port = 0")),
                Pointwise(Begins(), {"9:17: reservation[1].external-port: invalid \"0\""}));
}

TEST(ConfigurationTest, SaysWhereTheTomlIsBroken) {
    EXPECT_THAT(errors_of("[wan]\ninterfaces = [\n"), Pointwise(Begins(), {"2:"}));
    EXPECT_THAT(errors_of("[nat]\nmasquerade = true\nmasquerade = false\n"),
                Pointwise(Begins(), {"3:"}));
    EXPECT_THAT(errors_of("# Gr\xF6\xDF\n"), Pointwise(Begins(), {"1:"}));
}

TEST(ConfigurationTest, WritesOneLineForEachError) {
    EXPECT_THAT([] { parse_configuration("\nwam = 1\nnat.masquerade = 0\n", "/etc/p.toml"); },
                ThrowsMessage<InvalidArgument>(
                    "/etc/p.toml:2:1: wam: unknown key; allowed here: wan, lan, hosts, nat, auto, "
                    "reservation, tunnel\n"
                    "/etc/p.toml:3:18: nat.masquerade: expected true or false, found an integer"));
}

TEST(ConfigurationTest, IsReadFromAFile) {
    const TemporaryDirectory directory;
    const auto file = directory / "porthole.toml";
    write_file(file, "");
    EXPECT_EQ(read_configuration(file), Configuration());
    write_file(file, "[nat]\nmasquerade = true\n");
    EXPECT_TRUE(read_configuration(file).masquerade);
    write_file(file, "nat = 1");
    EXPECT_THAT([&] { read_configuration(file); },
                ThrowsMessage<ConfigurationInvalid>(StartsWith(file.string() + ":1:7: nat: ")));
}

TEST(ConfigurationTest, SaysWhyItsFileCannotBeRead) {
    const TemporaryDirectory directory;
    const auto missing = directory / "missing.toml";
    EXPECT_THAT([&] { read_configuration(missing); },
                ThrowsMessage<ConfigurationInvalid>(missing.string() +
                                                    ": cannot be read: No such file or directory"));
    EXPECT_THAT([&] { read_configuration(directory.path()); },
                ThrowsMessage<ConfigurationInvalid>(directory.path().string() +
                                                    ": cannot be read: Is a directory"));
}

TEST(ConfigurationTest, IsInstalledWithItsDefaultsAndExamples) {
    std::ifstream file(PORTHOLE_SOURCE_DIR "/systemd/porthole.toml");
    const std::string installed{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(parse_configuration(installed, "porthole.toml"), Configuration());
    static const std::regex comment_mark("(^|\n)#(?=[a-z\\[])");
    auto uncommented =
        parse_configuration(std::regex_replace(installed, comment_mark, "$1"), "porthole.toml");
    EXPECT_EQ(uncommented.reservations.size(), 1U);
    EXPECT_EQ(uncommented.tunnels.size(), 1U);
    // What else has no default to be shown.
    uncommented.reservations.clear();
    uncommented.tunnels.clear();
    uncommented.wan_interfaces = uncommented.lan_interfaces = std::nullopt;
    uncommented.lease_files = default_lease_files();
    EXPECT_EQ(uncommented, Configuration());
}

}  // namespace
}  // namespace porthole
