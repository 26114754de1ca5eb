// SPDX-License-Identifier: GPL-2.0-or-later
// That firewall_difference() agrees with difference() is a property in
// core_reservations_property.cpp.
#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/desired_firewall.hpp"
#include "core_support.hpp"

namespace porthole {
namespace {

using namespace support;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(DesiredFirewall, MapsHostsAndKeepsThePortsOfThoseThatAreAway) {
    Reservations reservations;
    std::vector<ReservationId> ids;
    reservations.apply(reservations.reserve_many(
        std::array{ReserveRequest{.internal = endpoint("192.168.2.3", 51820),
                                  .external_port = port(51821)},
                   ReserveRequest{.internal = endpoint("02:00:5e:10:00:01", 51820)},
                   ReserveRequest{.internal = endpoint("192.168.2.2", 22, Protocol::tcp)}},
        Origin::api, now, ids));
    const Scope scope{all<InterfaceName>({"wan"}), {}, all<Network>({"192.168.2.0/24"}), {}};
    const auto firewall = desired_firewall(scope, reservations);
    EXPECT_EQ(firewall.scope, scope);
    EXPECT_THAT(
        firewall.mappings,
        ElementsAre(
            Mapping{Protocol::tcp, parse<Address>("", "192.168.2.2"), port(22), port(22)},
            Mapping{Protocol::udp, std::nullopt, port(51820), port(51820)},
            Mapping{Protocol::udp, parse<Address>("", "192.168.2.3"), port(51820), port(51821)}));
}

TEST(DesiredFirewall, DoesNotDependOnWhatThePacketFilterDoesNotSee) {
    Reservations reservations;
    reservations.apply(
        reservations.reserve({.internal = endpoint("192.168.2.2", 7)}, Origin::api, now));
    const auto change = reservations.change(
        ReservationId{1}, {.lifetime = std::chrono::seconds(9), .comment = comment("laptop")}, now);
    EXPECT_FALSE(change.empty());
    EXPECT_TRUE(firewall_difference(change).empty());
}

TEST(FirewallDifference, NamesWhatGoesAndWhatComesInEveryList) {
    const Firewall from{
        {all<InterfaceName>({"ppp0", "wan"}), all<InterfaceName>({"wan"}),
         all<Network>({"10.0.0.0/8", "192.168.2.0/24"}), all<Network>({"10.9.0.0/16"})},
        {}};
    const Firewall to{{all<InterfaceName>({"wan", "wwan0"}),
                       {},
                       all<Network>({"192.168.2.0/24"}),
                       all<Network>({"10.9.0.0/17"})},
                      {}};
    const auto way = difference(from, to);
    EXPECT_THAT(way.wans.removed, ElementsAre(parse<InterfaceName>("", "ppp0")));
    EXPECT_THAT(way.wans.added, ElementsAre(parse<InterfaceName>("", "wwan0")));
    EXPECT_THAT(way.masquerade_wans.removed, ElementsAre(parse<InterfaceName>("", "wan")));
    EXPECT_THAT(way.masquerade_wans.added, IsEmpty());
    EXPECT_THAT(way.nat_sources.removed, ElementsAre(parse<Network>("", "10.0.0.0/8")));
    EXPECT_THAT(way.nat_sources.added, IsEmpty());
    EXPECT_THAT(way.exempt.removed, ElementsAre(parse<Network>("", "10.9.0.0/16")));
    EXPECT_THAT(way.exempt.added, ElementsAre(parse<Network>("", "10.9.0.0/17")));
    EXPECT_EQ(way.inverse(), difference(to, from));
    EXPECT_TRUE(difference(from, from).empty());
}

}  // namespace
}  // namespace porthole
