// SPDX-License-Identifier: GPL-2.0-or-later
// What the service says about a packet, against what becomes of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bus_client.hpp"
#include "lab/conntrack.hpp"
#include "lab/deadline.hpp"
#include "lab/links.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::UdpSocket;
using testing::Contains;
using testing::HasSubstr;

constexpr std::uint16_t wireguard = 51820;
const auto remote_end = at(addresses::outside, wireguard);
const auto owned = at(addresses::a_wan, wireguard);
const std::string first_host(addresses::a1);
const std::string second_host(addresses::a2);
constexpr auto without_claims = "[auto]\nenabled = false\n";

/// The answer of Explain, with empty values for what it does not have.
struct Answer {
    std::string verdict;
    std::string interface;
    std::string rule;
    std::uint64_t reservation = 0;
    std::uint16_t port = 0;
    std::string flow_source;
    std::vector<std::string> steps;
};

class ExplainTest : public testing::Test {
  protected:
    explicit ExplainTest(std::string_view configuration = without_claims)
        : porthole(sites.gateway_a, configuration) {
        lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
    }
    Answer explain(const std::string& host, std::uint16_t port = wireguard,
                   const std::string& to = lab::to_text(remote_end)) {
        dbus::Dictionary answer;
        client->proxy()
            .callMethod("Explain")
            .onInterface("org.porthole.Gateway1.Diagnostics")
            .withArguments(host, std::string("udp"), port, to, dbus::Dictionary())
            .storeResultsTo(answer);
        const auto value = [&answer]<typename T>(const char* key, T none) {
            const auto found = answer.find(key);
            return found != answer.end() ? found->second.get<T>() : none;
        };
        const auto flow = value("flow", dbus::Dictionary());
        return {value("verdict", std::string()),
                value("interface", std::string()),
                value("rule", std::string()),
                value("reservation", std::uint64_t{0}),
                value("external-port", std::uint16_t{0}),
                flow.empty() ? std::string() : flow.at("source").get<std::string>(),
                value("steps", std::vector<std::string>())};
    }
    std::uint64_t reserve(const std::string& host) {
        return client->reserve(host, "udp", wireguard, {{"settle", sdbus::Variant(true)}}).get<0>();
    }
    std::string table() {
        return lab::output_of(sites.gateway_a, {"nft", "list", "table", "inet", "porthole"});
    }

    lab::TwoSites sites;
    lab::Porthole porthole;
    std::unique_ptr<BusClient> client;
    UdpSocket a1{sites.a1, wireguard};
    UdpSocket a2{sites.a2, wireguard};
    UdpSocket remote{sites.outside, wireguard};
};

TEST_F(ExplainTest, SaysThatAnOwnerLeavesFromHisPort) {
    const auto id = reserve(first_host);
    const auto answer = explain(first_host);
    EXPECT_EQ(answer.verdict, "reserved");
    EXPECT_EQ(answer.interface, "wan");
    EXPECT_EQ(answer.reservation, id);
    EXPECT_EQ(answer.port, wireguard);
    EXPECT_THAT(table(), HasSubstr(answer.rule));
    EXPECT_FALSE(answer.rule.empty());
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), owned);
}

TEST_F(ExplainTest, SaysThatAnotherLeavesFromThePool) {
    reserve(first_host);
    const auto answer = explain(second_host);
    EXPECT_EQ(answer.verdict, "displaced");
    EXPECT_EQ(answer.reservation, 0U);
    EXPECT_EQ(answer.port, 0);
    EXPECT_THAT(table(), HasSubstr(answer.rule));
    EXPECT_THAT(answer.steps, Contains(HasSubstr("61440-65535")));
    const auto seen = lab::exchange(a2, remote, remote_end);
    ASSERT_TRUE(seen);
    EXPECT_GE(seen->port, 61440);
}

TEST_F(ExplainTest, SaysThatTheGatewayHasThePort) {
    const UdpSocket gateways(sites.gateway_a, wireguard);
    ASSERT_TRUE(lab::comes_true([&] { return explain(first_host).verdict == "displaced"; }));
    const auto answer = explain(first_host);
    EXPECT_THAT(table(), HasSubstr(answer.rule));
    EXPECT_THAT(answer.steps, Contains(HasSubstr("The gateway itself")));
}

// The rules are not asked again while a flow lives.
TEST_F(ExplainTest, SaysThatAFlowIsThereAlready) {
    lab::exchange(a2, remote, remote_end);
    const auto seen = lab::exchange(a1, remote, remote_end);
    ASSERT_TRUE(seen);
    const auto answer = explain(first_host);
    EXPECT_EQ(answer.verdict, "follows-flow");
    EXPECT_EQ(answer.port, seen->port);
    EXPECT_EQ(answer.flow_source, first_host + ":51820");
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), seen);
}

// A port forward of somebody else's has the port to this remote, and is left alone.
TEST_F(ExplainTest, SaysWhatIsInTheWay) {
    lab::output_of(sites.gateway_a, {"nft",
                                     "add table ip forward; "
                                     "add chain ip forward in { type nat hook prerouting "
                                     "priority dstnat; }; add rule ip forward in iifname "
                                     "wan udp dport 51820 dnat to 192.168.2.3:51820"});
    reserve(first_host);
    remote.send_to(owned, "for the second host");
    ASSERT_TRUE(a2.receive("for the second host"));
    const auto answer = explain(first_host);
    EXPECT_EQ(answer.verdict, "blocked");
    EXPECT_EQ(answer.port, 0);
    EXPECT_EQ(answer.flow_source, lab::to_text(remote_end));
    a1.send_to(remote_end, "lost");
    EXPECT_FALSE(remote.receive("lost", lab::Duration(200)));
}

TEST_F(ExplainTest, SaysWhatItLeavesToOthers) {
    const auto answer = explain(first_host, 40000);
    EXPECT_EQ(answer.verdict, "left-to-others");
    EXPECT_EQ(answer.interface, "wan");
    EXPECT_TRUE(answer.rule.empty()) << answer.rule;
    EXPECT_EQ(explain("198.51.100.2", 40000).verdict, "left-to-others") << "no private network";
}

TEST_F(ExplainTest, SaysWhatStaysInside) {
    const auto answer = explain(first_host, wireguard, second_host + ":51820");
    EXPECT_EQ(answer.verdict, "stays-inside");
    EXPECT_EQ(answer.interface, "lan");
    lab::delete_route(sites.gateway_a, lab::everywhere, addresses::internet);
    EXPECT_EQ(explain(first_host, wireguard, "192.0.2.1:7").verdict, "no-route");
}

TEST_F(ExplainTest, KnowsHostsByTheirMacAddress) {
    lab::exchange(a1, remote, remote_end);
    const auto link = lab::output_of(sites.a1, {"ip", "-o", "link", "show", "eth0"});
    const auto mac = link.substr(link.find("link/ether ") + 11, 17);
    const auto id = reserve(mac);
    ASSERT_TRUE(
        lab::comes_true([&] { return std::get<0>(client->list()).at(0).get<7>() == "active"; }));
    for (const auto& host : {first_host, mac}) {
        const auto answer = explain(host, wireguard, "203.0.113.9:7");
        EXPECT_EQ(answer.verdict, "reserved") << host;
        EXPECT_EQ(answer.reservation, id) << host;
    }
}

TEST_F(ExplainTest, RefusesWhatItCannotExplain) {
    const auto refusal = [this](const std::string& host, const std::string& to) {
        return error_of([&] { explain(host, wireguard, to); });
    };
    constexpr auto invalid = "org.porthole.Gateway1.Error.InvalidArgument";
    EXPECT_EQ(refusal("nobody", "203.0.113.9:1").first, invalid);
    for (const auto* to : {"203.0.113.9", "203.0.113.9:0", "203.0.113.9:65536", "[203.0.113.9]:1",
                           "2001:db8::9:1", ":1", ""}) {
        const auto [name, message] = refusal(first_host, to);
        EXPECT_EQ(name, invalid) << to;
        EXPECT_THAT(message, HasSubstr("remote \"" + std::string(to) + '"'));
    }
    EXPECT_EQ(refusal("02:00:5e:10:00:77", "203.0.113.9:1").first, invalid);
    EXPECT_THAT(refusal("2001:db8::2", "203.0.113.9:1").second, HasSubstr("same family"));
    EXPECT_THAT(refusal(first_host, "[2001:db8::9]:1").second, HasSubstr("same family"));
}

TEST_F(ExplainTest, IsAskedByPortholectl) {
    reserve(first_host);
    const auto told = porthole.ctl({"explain", first_host, "udp", "51820", "203.0.113.9:51820"});
    EXPECT_EQ(told.status, 0) << told.errors;
    EXPECT_THAT(told.output, HasSubstr("verdict: reserved, external port 51820\n"));
    EXPECT_THAT(told.output, HasSubstr("It leaves through wan, a WAN.\n"));
    const auto json =
        porthole.ctl({"--json", "explain", first_host, "udp", "51820", "203.0.113.9:51820"});
    EXPECT_THAT(json.output, HasSubstr("\"verdict\": \"reserved\""));
    EXPECT_EQ(porthole.ctl({"explain", first_host, "udp", "51820", "nowhere"}).status, 1);
    EXPECT_EQ(porthole.ctl({"explain", first_host, "udp"}).status, 2);
}

class MasqueradeExplainTest : public ExplainTest {
  protected:
    MasqueradeExplainTest()
        : ExplainTest(
              "[auto]\nenabled = false\n[nat]\nmasquerade = true\n"
              "exempt = [\"203.0.113.2/32\"]\n") {}
};

TEST_F(MasqueradeExplainTest, SaysWhetherAPortIsKept) {
    const auto free = explain(first_host);
    EXPECT_EQ(free.verdict, "masqueraded");
    EXPECT_EQ(free.port, wireguard);
    EXPECT_THAT(table(), HasSubstr(free.rule));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), owned);
    const auto used = explain(second_host);
    EXPECT_EQ(used.verdict, "masqueraded");
    EXPECT_EQ(used.port, 0);
    EXPECT_EQ(used.flow_source, first_host + ":51820");
    EXPECT_NE(lab::exchange(a2, remote, remote_end), owned);
}

TEST_F(MasqueradeExplainTest, SaysThatADestinationIsExempt) {
    const auto answer = explain(first_host, wireguard, "203.0.113.2:51820");
    EXPECT_EQ(answer.verdict, "left-to-others");
    EXPECT_THAT(answer.steps, Contains(HasSubstr("nat.exempt")));
}

class ClaimExplainTest : public ExplainTest {
  protected:
    ClaimExplainTest() : ExplainTest("") {}
};

TEST_F(ClaimExplainTest, SaysThatAPortIsClaimed) {
    const auto before = explain(first_host);
    EXPECT_EQ(before.verdict, "left-to-others");
    EXPECT_THAT(before.steps, Contains(HasSubstr("is watched")));
    a1.send_to(remote_end, "first");
    ASSERT_TRUE(lab::comes_true(
        [&] { return explain(first_host, wireguard, "203.0.113.9:7").verdict == "reserved"; }));
    const auto after = explain(first_host);
    EXPECT_EQ(after.verdict, "follows-flow");
    EXPECT_NE(after.reservation, 0U);
    EXPECT_THAT(after.steps, Contains(HasSubstr("That is the port of reservation")));
}

}  // namespace
}  // namespace porthole
