// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/health.hpp"
#include "cli/report.hpp"

namespace porthole::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

Overview overview(const std::vector<std::string>& warnings = {}) {
    Overview all;
    all.status = Json::parse(R"({"version":"0.1.0","reservations":3,"claims":1,
        "wans":[{"interface":"eth0","side":"wan"}],"lans":[]})");
    all.status["warnings"] = warnings;
    return all;
}

ConflictRow conflict(std::vector<std::string> actions, Dictionary evidence = {}) {
    return {.id = 7,
            .cause = "overload",
            .state = "open",
            .protocol = "udp",
            .port = 51820,
            .since = 0,
            .explanation = "overload",
            .actions = std::move(actions),
            .evidence = std::move(evidence)};
}

TunnelRow tunnel(bool up) {
    PeerRow connected;
    connected.state = "connected";
    PeerRow away;
    away.state = "handshaking";
    return {.name = "wg0",
            .public_key = "OWN=",
            .listen_port = 51820,
            .addresses = {},
            .origin = "api",
            .up = up,
            .peers = {connected, away}};
}

auto has_remedy(const std::string& remedy) { return Field(&Problem::remedy, HasSubstr(remedy)); }

TEST(CliHealth, IsWellWithPeersThatAreAway) {
    auto all = overview();
    all.tunnels = {tunnel(true)};
    EXPECT_THAT(problems(all), IsEmpty());
    EXPECT_EQ(summary(all),
              "Porthole 0.1.0: all is well\n"
              "3 reservations, 1 of them claimed; 0 conflicts; WAN eth0; LAN none; 1 tunnel with "
              "2 peers, 1 connected\n");
}

TEST(CliHealth, NamesARemedyForEveryProblem) {
    auto all = overview({"switched off: no reservation is in force",
                         "the gateway forwards nothing: net.ipv4.ip_forward is off (sysctl)",
                         "something of tomorrow"});
    all.conflicts = {
        conflict({"wait", "reserve"}),
        conflict({"change-foreign-rule"}, {{"command", std::string("nft delete rule x")},
                                           {"message", std::string("A rule decides first")}}),
        conflict({"wait", "keep-alive"})};
    all.tunnels = {tunnel(false)};
    EXPECT_THAT(
        problems(all),
        ElementsAre(has_remedy("portholectl on"), has_remedy("sysctl -w"), has_remedy("journalctl"),
                    AllOf(Field(&Problem::what, "tunnel wg0 is not up"), has_remedy("journalctl")),
                    has_remedy("portholectl conflicts resolve 7 reserve"),
                    AllOf(Field(&Problem::what, EndsWith("A rule decides first")),
                          has_remedy("nft delete rule x")),
                    has_remedy("wait, or keep-alive")));
}

TEST(CliHealth, SaysOnceThatATunnelIsNotUp) {
    auto all = overview({"tunnel wg0 is not up: the kernel has no WireGuard"});
    all.tunnels = {tunnel(false)};
    EXPECT_EQ(problems(all).size(), 1U);
}

TEST(CliHealth, IsToldInTenLines) {
    auto all = overview({"one", "two\nwith more", "three", "four", "five"});
    all.checkpoint = Json::parse(R"({"id":1})");
    const auto text = summary(all);
    EXPECT_EQ(std::ranges::count(text, '\n'), 10);
    EXPECT_THAT(text, AllOf(StartsWith("Porthole 0.1.0: 5 problems\none\n    what to do: "),
                            HasSubstr("\n2 more: see portholectl diagnose\n"),
                            HasSubstr("a checkpoint is active")));
}

TEST(CliReport, HasEverything) {
    auto all = overview({"one"});
    all.conflicts = {conflict({"wait"})};
    all.tunnels = {tunnel(true)};
    const Surroundings around{
        .client = "0.1.0", .kernel = "Linux 6.1 x86_64", .now = 1, .out_of_reach = {}};
    EXPECT_THAT(report_text(around, all),
                AllOf(StartsWith("portholectl 0.1.0 on Linux 6.1 x86_64, 1970-01-01T00:00:01Z\n"),
                      HasSubstr("== problems ==\none\n"), HasSubstr("== status ==\n"),
                      HasSubstr("eth0"), HasSubstr("== conflicts ==\n7 "),
                      HasSubstr("== tunnels ==\nwg0 "), HasSubstr("handshaking")));
    EXPECT_EQ(report(around, all)["problems"].size(), 2U);
}

TEST(CliReport, SaysWhyThereIsNoMore) {
    const Surroundings around{
        .client = "0.1.0", .kernel = "Linux", .now = 1, .out_of_reach = "gone"};
    EXPECT_THAT(report_text(around, std::nullopt),
                AllOf(HasSubstr("== problems ==\ngone\n"), Not(HasSubstr("== status =="))));
    EXPECT_EQ(report(around, std::nullopt)["problems"][0]["what"], "gone");
}

}  // namespace
}  // namespace porthole::cli
