// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/default_routes.hpp"

namespace porthole {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint32_t main_table = 254;
constexpr std::uint32_t own_table = 7;

const auto wg0 = parse<InterfaceName>("interface", "wg0");
const auto wg1 = parse<InterfaceName>("interface", "wg1");

TunnelSettings settings(std::initializer_list<std::string_view> addresses,
                        std::uint32_t fwmark = own_table) {
    TunnelSettings settings{.fwmark = fwmark};
    for (const auto text : addresses) {
        settings.addresses.push_back(parse<InterfaceAddress>("address", text));
    }
    return settings;
}

PeerSettings peer(std::initializer_list<std::string_view> allowed_ips) {
    PeerSettings peer{.public_key = PublicKey({9})};
    for (const auto text : allowed_ips) peer.allowed_ips.push_back(parse<Network>("n", text));
    return peer;
}

const auto everything = peer({"0.0.0.0/0", "::/0"});
const auto both_families = settings({"10.9.0.1/24", "fe80::9/64", "fd00:9::1/64"});

/// A packet of the gateway's own to somebody that the main table has only a default route to.
struct Packet {
    Family family = Family::ipv4;
    std::string_view source = {};  ///< empty: none was chosen yet
    std::uint32_t mark = 0;
};

/// As the kernel does it (fib4_rule_match() and fib6_rule_match()).
bool matches(const RoutingRule& rule, const Packet& packet) {
    if (rule.family != packet.family || (rule.unmarked && packet.mark != 0)) return false;
    if (!rule.source) return true;
    if (!packet.source.empty()) {
        return rule.source->contains(parse<Address>("source", packet.source));
    }
    return packet.family == Family::ipv4 && rule.source->contains(Address::v4(0));
}

std::uint32_t table_of(const Packet& packet, const DefaultRoutes& routes) {
    for (const auto& rule : routes.rules()) {
        if (matches(rule, packet) && !rule.but_default) return rule.table;
    }
    return main_table;
}

TEST(DefaultRoutesTest, LeadIntoTheTunnelWhatHasNoOtherSourceAndNoMark) {
    DefaultRoutes routes;
    EXPECT_THAT(routes.rules(), IsEmpty());
    routes.add(wg0, both_families, everything);
    EXPECT_EQ(table_of({}, routes), own_table);
    EXPECT_EQ(table_of({.source = "10.9.0.1"}, routes), own_table);
    EXPECT_EQ(table_of({.family = Family::ipv6}, routes), own_table);
    EXPECT_EQ(table_of({.family = Family::ipv6, .source = "fd00:9::1"}, routes), own_table);
    // Answers of the gateway's services, from where they were asked.
    for (const auto* source : {"203.0.113.1", "192.168.2.1", "10.9.0.2"}) {
        EXPECT_EQ(table_of({.source = source}, routes), main_table) << source;
    }
    for (const auto* source : {"2001:db8::1", "::1", "fd00:9::2", "fe80::9"}) {
        EXPECT_EQ(table_of({.family = Family::ipv6, .source = source}, routes), main_table)
            << source;
    }
    // The packets of tunnels.
    EXPECT_EQ(table_of({.mark = own_table}, routes), main_table);
    EXPECT_EQ(table_of({.mark = 8}, routes), main_table);
    EXPECT_EQ(table_of({.family = Family::ipv6, .mark = own_table}, routes), main_table);
}

TEST(DefaultRoutesTest, GoBehindWhatTheMainTableKnowsBetter) {
    DefaultRoutes routes;
    routes.add(wg0, both_families, everything);
    for (const auto family : {Family::ipv4, Family::ipv6}) {
        const auto rules = routes.rules();
        const auto first = std::ranges::find(rules, family, &RoutingRule::family);
        ASSERT_NE(first, rules.end());
        EXPECT_EQ(*first,
                  (RoutingRule{.family = family, .table = main_table, .but_default = true}));
    }
}

TEST(DefaultRoutesTest, AreOfTheFamilyThatTheTunnelHasAnAddressOf) {
    DefaultRoutes routes;
    routes.add(wg0, settings({"10.9.0.1/24", "fe80::9/64"}), everything);
    EXPECT_EQ(table_of({}, routes), own_table);
    EXPECT_EQ(table_of({.family = Family::ipv6}, routes), main_table);
    EXPECT_THAT(routes.warnings(), ElementsAre(testing::AllOf(HasSubstr("wg0"), HasSubstr("::/0"),
                                                              HasSubstr("no IPv6 address"))));
}

TEST(DefaultRoutesTest, BelongToOneTunnelForEachFamily) {
    DefaultRoutes routes;
    routes.add(wg0, both_families, peer({"0.0.0.0/0"}));
    const auto before = routes;
    try {
        routes.add(wg1, settings({"10.8.0.1/24"}, 8), everything);
        FAIL() << "it was taken twice";
    } catch (const Refused& refused) {
        EXPECT_EQ(refused.reason(), Refusal::allowed_ip_taken);
        EXPECT_THAT(refused.what(), testing::AllOf(HasSubstr("0.0.0.0/0"), HasSubstr("wg0")));
    }
    EXPECT_EQ(routes, before);
    routes.add(wg1, settings({"fd00:8::1/64"}, 8), peer({"::/0"}));
    EXPECT_EQ(table_of({}, routes), own_table);
    EXPECT_EQ(table_of({.family = Family::ipv6}, routes), 8U);
    routes.remove(wg0, everything);  // what another tunnel has stays
    EXPECT_EQ(table_of({}, routes), main_table);
    EXPECT_EQ(table_of({.family = Family::ipv6}, routes), 8U);
    routes.remove(wg1);
    EXPECT_EQ(routes, DefaultRoutes());
}

TEST(DefaultRoutesTest, AreLeftToWhoeverChoosesTheTable) {
    DefaultRoutes routes;
    auto chosen = both_families;
    chosen.table = {RouteTable::Choice::number, 77};
    routes.add(wg0, chosen, everything);
    chosen.table = {RouteTable::Choice::off, 0};
    routes.add(wg0, chosen, peer({"0.0.0.0/1"}));
    EXPECT_THAT(routes.rules(), IsEmpty());
}

TEST(DefaultRoutesTest, RefuseWhatWouldTakeTheWayToThePeerItself) {
    DefaultRoutes routes;
    const auto refusal = [&routes](const TunnelSettings& settings, const PeerSettings& peer) {
        try {
            routes.add(wg0, settings, peer);
        } catch (const InvalidArgument& invalid) {
            return std::string(invalid.what());
        }
        return std::string();
    };
    EXPECT_THAT(refusal(both_families, peer({"128.0.0.0/1"})),
                testing::AllOf(HasSubstr("128.0.0.0/1"), HasSubstr("expected \"0.0.0.0/0\"")));
    EXPECT_THAT(refusal(both_families, peer({"8000::/1"})), HasSubstr("expected \"::/0\""));
    auto in_main = both_families;
    in_main.table = {RouteTable::Choice::number, main_table};
    EXPECT_THAT(refusal(in_main, everything), HasSubstr("table \"auto\""));
    for (const std::uint32_t number : {0U, 253U, 254U, 255U}) {
        EXPECT_THAT(refusal(settings({"10.9.0.1/24"}, number), everything),
                    HasSubstr("fwmark \"" + std::to_string(number)));
    }
    EXPECT_EQ(routes, DefaultRoutes());
}

TEST(DefaultRoutesTest, HaveAMarkThatNoTunnelHas) {
    std::map<InterfaceName, Tunnel> tunnels;
    const auto first = free_mark(tunnels);
    tunnels.emplace(wg0, Tunnel{wg0, settings({}, first)});
    const auto second = free_mark(tunnels);
    EXPECT_NE(second, first);
    Tunnel other{wg1, settings({}, 3)};
    other.settings.table = {RouteTable::Choice::number, second};
    tunnels.emplace(wg1, other);
    EXPECT_THAT(free_mark(tunnels), testing::AllOf(testing::Ne(first), testing::Ne(second)));
}

}  // namespace
}  // namespace porthole
