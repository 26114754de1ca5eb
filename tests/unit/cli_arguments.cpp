// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/arguments.hpp"
#include "cli/exit_status.hpp"

namespace porthole::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;

template <typename Wanted>
Wanted command(const std::vector<std::string>& arguments) {
    const auto parsed = parse_arguments(arguments);
    if (const auto* stop = std::get_if<Stop>(&parsed)) throw std::runtime_error(stop->text);
    return std::get<Wanted>(std::get<Invocation>(parsed).command);
}

Stop stop(const std::vector<std::string>& arguments) {
    return std::get<Stop>(parse_arguments(arguments));
}

template <typename T>
T value(const Dictionary& dictionary, const char* key) {
    EXPECT_TRUE(dictionary.at(key).containsValueOfType<T>()) << key;
    return dictionary.at(key).get<T>();
}

TEST(CliArguments, HaveCommandsWithoutArguments) {
    EXPECT_NO_THROW(command<Status>({"status"}));
    EXPECT_NO_THROW(command<Monitor>({"monitor"}));
    EXPECT_THAT(command<List>({"list"}).query, IsEmpty());
}

TEST(CliArguments, DescribeTunnels) {
    const auto created =
        command<CreateTunnel>({"tunnel", "create", "wg0", "--addresses", "10.9.0.1/24,fd00::1/64",
                               "--listen-port", "51821", "--mtu", "1400", "--table", "off"});
    EXPECT_EQ(created.name, "wg0");
    EXPECT_THAT(value<std::vector<std::string>>(created.settings, "addresses"),
                ElementsAre("10.9.0.1/24", "fd00::1/64"));
    EXPECT_EQ(value<std::uint16_t>(created.settings, "listen-port"), 51821);
    EXPECT_EQ(value<std::uint32_t>(created.settings, "mtu"), 1400U);
    EXPECT_EQ(value<std::string>(created.settings, "table"), "off");
    EXPECT_EQ(command<ImportTunnel>({"tunnel", "import", "wg0", "wg0.conf"}).file, "wg0.conf");
    EXPECT_EQ(command<DeleteTunnel>({"tunnel", "delete", "wg0"}).name, "wg0");
    EXPECT_EQ(command<ShowTunnels>({"tunnel", "show"}).name, std::nullopt);
    EXPECT_EQ(command<ShowTunnels>({"tunnel", "show", "wg0"}).name, "wg0");
    EXPECT_EQ(stop({"tunnel"}).status, exit_usage);
    EXPECT_EQ(stop({"tunnel", "peer", "wg0"}).status, exit_usage);
}

TEST(CliArguments, DescribePeers) {
    const auto set =
        command<SetPeer>({"tunnel", "peer", "set", "wg0", "KEY", "--allowed-ips", "10.9.0.2/32",
                          "--allowed-ips", "10.8.0.0/16", "--keepalive", "25", "--endpoint", "gw:1",
                          "--name", "x", "--preshared-key-file", "-"});
    EXPECT_EQ(set.tunnel, "wg0");
    EXPECT_EQ(value<std::string>(set.peer, "public-key"), "KEY");
    EXPECT_THAT(value<std::vector<std::string>>(set.peer, "allowed-ips"),
                ElementsAre("10.9.0.2/32", "10.8.0.0/16"));
    EXPECT_EQ(value<std::uint16_t>(set.peer, "keepalive"), 25);
    EXPECT_EQ(set.preshared_key_file, "-");
    const auto removed = command<RemovePeer>({"tunnel", "peer", "remove", "wg0", "KEY"});
    EXPECT_EQ(removed.tunnel, "wg0");
    EXPECT_EQ(removed.public_key, "KEY");
}

TEST(CliArguments, TakeJsonBeforeAndAfterTheCommand) {
    EXPECT_FALSE(std::get<Invocation>(parse_arguments({"list"})).json);
    EXPECT_TRUE(std::get<Invocation>(parse_arguments({"--json", "list"})).json);
    EXPECT_TRUE(std::get<Invocation>(parse_arguments({"list", "--json"})).json);
}

TEST(CliList, HandsOnWhatTheServiceJudges) {
    const auto query = command<List>({"list", "--host", "nobody", "--protocol", "udp", "--port",
                                      "80", "--origin", "api", "--state", "active", "--search",
                                      "lap", "--sort", "host", "--descending"})
                           .query;
    EXPECT_THAT(query, ElementsAre(Key("descending"), Key("host"), Key("origin"), Key("port"),
                                   Key("protocol"), Key("search"), Key("sort"), Key("state")));
    EXPECT_EQ(value<std::string>(query, "host"), "nobody");
    EXPECT_EQ(value<std::uint16_t>(query, "port"), 80);
    EXPECT_TRUE(value<bool>(query, "descending"));
}

TEST(CliReserve, TakesArgumentsAndOptions) {
    const auto plain = command<Reserve>({"reserve", "10.0.0.2", "udp", "51820"});
    EXPECT_EQ(plain.host, "10.0.0.2");
    EXPECT_EQ(plain.protocol, "udp");
    EXPECT_EQ(plain.port, Port::from(51820));
    EXPECT_THAT(plain.options, IsEmpty());

    const auto full = command<Reserve>({"reserve", "10.0.0.2", "udp", "51820", "--external-port",
                                        "4000", "--on-conflict", "next", "--filtering",
                                        "address-dependent", "--lifetime", "60", "--comment",
                                        "my laptop", "--if-generation", "18446744073709551615"});
    EXPECT_EQ(value<std::uint16_t>(full.options, "external-port"), 4000);
    EXPECT_EQ(value<std::string>(full.options, "on-conflict"), "next");
    EXPECT_EQ(value<std::string>(full.options, "filtering"), "address-dependent");
    EXPECT_EQ(value<std::uint32_t>(full.options, "lifetime"), 60U);
    EXPECT_EQ(value<std::string>(full.options, "comment"), "my laptop");
    EXPECT_EQ(value<std::uint64_t>(full.options, "if-generation"), UINT64_MAX);
}

TEST(CliChange, KnowsChangesFromOptions) {
    const auto change = command<Change>({"change", "12", "--external-port", "4000", "--lifetime",
                                         "0", "--comment", "", "--if-generation", "7"});
    EXPECT_EQ(change.id, 12U);
    EXPECT_THAT(change.changes, ElementsAre(Key("comment"), Key("external-port"), Key("lifetime")));
    EXPECT_EQ(value<std::string>(change.changes, "comment"), "");
    EXPECT_THAT(change.options, ElementsAre(Key("if-generation")));
}

TEST(CliRelease, TakesIdsAndExternalPorts) {
    const auto release = command<Release>({"release", "7", "udp:51820", "--if-generation", "1"});
    ASSERT_EQ(release.reservations.size(), 2U);
    EXPECT_EQ(std::get<std::uint64_t>(release.reservations[0]), 7U);
    const auto& port = std::get<ExternalPort>(release.reservations[1]);
    EXPECT_EQ(port.protocol, "udp");
    EXPECT_EQ(port.port, Port::from(51820));
    EXPECT_THAT(release.options, ElementsAre(Key("if-generation")));
}

TEST(CliTunnel, TakesInvitationsAndLines) {
    const auto device = command<Invite>({"tunnel", "invite", "wg0", "--name", "phone", "--qr"});
    EXPECT_EQ(device.tunnel, "wg0");
    EXPECT_TRUE(device.qr);
    EXPECT_THAT(device.options, ElementsAre(Key("name")));
    const auto gateway = command<Invite>({"tunnel", "invite", "wg0", "--gateway", "--lifetime",
                                          "60", "--networks", "10.1.0.0/16,10.2.0.0/16"});
    EXPECT_TRUE(value<bool>(gateway.options, "gateway"));
    EXPECT_EQ(value<std::uint32_t>(gateway.options, "lifetime"), 60U);
    EXPECT_THAT(value<std::vector<std::string>>(gateway.options, "networks"),
                ElementsAre("10.1.0.0/16", "10.2.0.0/16"));
    EXPECT_EQ(command<Join>({"tunnel", "join"}).file, "-");
    EXPECT_EQ(command<Join>({"tunnel", "join", "line.txt"}).file, "line.txt");
    const auto exported =
        command<ExportPeer>({"tunnel", "export", "wg0", "KEY", "--dns", "10.9.0.1"});
    EXPECT_EQ(exported.public_key, "KEY");
    EXPECT_THAT(exported.options, ElementsAre(Key("dns")));
    const auto configured = command<ConfigureTunnel>({"tunnel", "configure", "wg0", "--mtu", "0"});
    EXPECT_EQ(value<std::uint32_t>(configured.settings, "mtu"), 0U);
    EXPECT_EQ(stop({"tunnel"}).status, exit_usage);
    EXPECT_EQ(stop({"tunnel", "invite"}).status, exit_usage);
}

TEST(CliArguments, NameTheNumberThatIsWrong) {
    const auto expect_usage = [](const std::vector<std::string>& arguments, const char* field,
                                 const char* value) {
        const auto [status, text] = stop(arguments);
        EXPECT_EQ(status, exit_usage);
        EXPECT_THAT(text, AllOf(HasSubstr(field), HasSubstr(value)));
    };
    const auto* const range = "from 1 to 65535";
    expect_usage({"reserve", "10.0.0.2", "udp", "70000"}, "PORT \"70000\"", range);
    expect_usage({"reserve", "10.0.0.2", "udp", "0"}, "PORT \"0\"", range);
    expect_usage({"reserve", "10.0.0.2", "udp", "ssh"}, "PORT \"ssh\"", range);
    expect_usage({"list", "--port", "-1"}, "port \"-1\"", range);
    expect_usage({"change", "1", "--external-port", "1.5"}, "external-port \"1.5\"", range);
    expect_usage({"release", "udp:0"}, "external-port \"0\"", range);
    expect_usage({"release", "seven"}, "ID \"seven\"", "a number");
    expect_usage({"change", "", "--comment", "x"}, "ID \"\"", "a number");
    expect_usage({"change", "1", "--lifetime", "4294967296"}, "lifetime \"4294967296\"",
                 "from 0 to 4294967295");
    expect_usage({"change", "1", "--if-generation", "x"}, "if-generation \"x\"", "a number");
}

TEST(CliArguments, OfHostsAndOfWhatIsExplained) {
    command<ListHosts>({"hosts"});
    const auto explain = command<Explain>({"explain", "10.0.0.2", "udp", "51820", "192.0.2.1:7"});
    EXPECT_EQ(explain.host, "10.0.0.2");
    EXPECT_EQ(explain.protocol, "udp");
    EXPECT_EQ(explain.port, Port::from(51820));
    EXPECT_EQ(explain.remote, "192.0.2.1:7");
    EXPECT_EQ(stop({"explain", "10.0.0.2", "udp", "0", "192.0.2.1:7"}).status, exit_usage);
    EXPECT_EQ(stop({"explain", "10.0.0.2", "udp", "1"}).status, exit_usage);
}

TEST(CliArguments, ExplainAWrongCommandLine) {
    const auto expect_usage = [](const std::vector<std::string>& arguments, const char* part) {
        const auto [status, text] = stop(arguments);
        EXPECT_EQ(status, exit_usage);
        EXPECT_THAT(text, HasSubstr(part));
    };
    expect_usage({}, "command is required");
    expect_usage({"--json"}, "command is required");
    expect_usage({"dance"}, "dance");
    expect_usage({"list", "--colour"}, "--colour");
    expect_usage({"reserve", "10.0.0.2", "udp"}, "PORT is required");
    expect_usage({"reserve", "10.0.0.2", "udp", "1", "2"}, "not expected: 2");
    expect_usage({"reserve", "10.0.0.2", "udp", "1", "--comment"}, "--comment");
    expect_usage({"release"}, "required");
    expect_usage({"release", "--if-generation", "1"}, "required");
}

TEST(CliArguments, ShowHelpAndVersion) {
    const auto help = stop({"--help"});
    EXPECT_EQ(help.status, exit_done);
    for (const auto* name : {"status", "list", "reserve", "change", "release", "monitor"}) {
        EXPECT_THAT(help.text, HasSubstr(name));
    }
    EXPECT_EQ(stop({"reserve", "--help"}).status, exit_done);
    const auto version = stop({"--version"});
    EXPECT_EQ(version.status, exit_done);
    EXPECT_THAT(version.text, testing::MatchesRegex("portholectl [0-9.]+\n"));
}

}  // namespace
}  // namespace porthole::cli
