// SPDX-License-Identifier: GPL-2.0-or-later
// The order of things and what happens when one of them fails: on a real store, and on a packet
// filter that fails on demand.
#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/gateway.hpp"
#include "gateway_fixture.hpp"
#include "types/limits.hpp"

namespace porthole {
namespace {

using namespace support;
using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

using GatewayTest = GatewayFixture;

TEST_F(GatewayTest, StartsWithWhatItsInterfacesSay) {
    EXPECT_EQ(firewall_.held.scope.wans, all<InterfaceName>({"wan"}));
    EXPECT_EQ(firewall_.held.scope.nat_sources, all<Network>({"192.168.2.0/24"}));
    EXPECT_THAT(firewall_.held.mappings, IsEmpty());
    const auto status = gateway_->status();
    EXPECT_EQ(status.perimeter.interfaces.size(), 2U);
    EXPECT_EQ(status.reservations, 0U);
    EXPECT_EQ(status.generation, 0U);
    EXPECT_THAT(status.warnings, IsEmpty());
}

TEST_F(GatewayTest, SendsExactlyWhatAReservationChanges) {
    const auto row = reserve({.internal = anna});
    EXPECT_EQ(row, *gateway_->reservations().find(anna));
    ASSERT_THAT(firewall_.applied, SizeIs(1));
    FirewallDifference expected;
    expected.mappings.added = {mapping(anna, 51820)};
    EXPECT_EQ(firewall_.applied[0], expected);

    gateway_->change(row.id, {.external_port = port(7)}, std::nullopt);
    expected.mappings = {{mapping(anna, 51820)}, {mapping(anna, 7)}};
    ASSERT_THAT(firewall_.applied, SizeIs(2));
    EXPECT_EQ(firewall_.applied[1], expected);

    release(row.id);
    expected.mappings = {{mapping(anna, 7)}, {}};
    ASSERT_THAT(firewall_.applied, SizeIs(3));
    EXPECT_EQ(firewall_.applied[2], expected);
    EXPECT_EQ(firewall_.replaced, 0);
    EXPECT_EQ(gateway_->generation(), 3U);
}

TEST_F(GatewayTest, CountsAndStoresWhatTheKernelDoesNotNeed) {
    const auto row = reserve({.internal = anna});
    firewall_.forget_calls();
    const auto changed = gateway_->change(row.id, {.comment = comment("laptop")}, std::nullopt);
    EXPECT_EQ(changed.comment, comment("laptop"));
    EXPECT_EQ(gateway_->generation(), 2U);
    reserve({.internal = anna});
    EXPECT_EQ(gateway_->generation(), 2U) << "a renewal that changes nothing";
    EXPECT_THAT(firewall_.applied, IsEmpty());
}

TEST_F(GatewayTest, TellsTheJournalWhatChanged) {
    const auto first = reserve({.internal = anna});
    const auto second = reserve({.internal = ben, .external_port = port(7)});
    gateway_->journal().drain();
    gateway_->change(second.id, {.comment = comment("laptop")}, std::nullopt);
    release(first.id);
    const auto entry = gateway_->journal().drain();
    EXPECT_THAT(entry.changed, ElementsAre(second.id));
    EXPECT_THAT(entry.removed, ElementsAre(first.id));
}

TEST_F(GatewayTest, ReservesManyInOneTransaction) {
    const std::array requests{
        ReserveRequest{.internal = ben},
        ReserveRequest{.internal = anna, .on_conflict = OnConflict::next},
    };
    EXPECT_THAT(
        gateway_->reserve_many(requests, std::nullopt),
        ElementsAre(Pair(ReservationId{1}, port(51820)), Pair(ReservationId{2}, port(51821))));
    EXPECT_EQ(gateway_->generation(), 1U);
    ASSERT_THAT(firewall_.applied, SizeIs(1));
    EXPECT_THAT(firewall_.applied[0].mappings.added,
                ElementsAre(mapping(ben, 51820), mapping(anna, 51821)));
    EXPECT_THAT(gateway_->reserve_many({}, std::nullopt), IsEmpty());
}

TEST_F(GatewayTest, HasNoMoreReservationsThanItsLimit) {
    std::vector<ReserveRequest> requests;
    for (std::size_t i = 0; i <= most_reservations; ++i) {
        const auto protocol = i % 2 == 0 ? Protocol::udp : Protocol::tcp;
        requests.push_back({.internal = endpoint("192.168.2.2", i / 2 + 1, protocol)});
    }
    expect_unchanged<Refused>([&] { gateway_->reserve_many(requests, std::nullopt); },
                              "65537 reservations would be too many: at most 65536 are possible");
    EXPECT_THAT(firewall_.applied, IsEmpty());
}

TEST_F(GatewayTest, NamesTheBadRowOfMany) {
    const auto reserve_many = [&](const ReserveRequest& bad) {
        return [this, requests = std::array{ReserveRequest{.internal = anna}, bad}] {
            gateway_->reserve_many(requests, std::nullopt);
        };
    };
    expect_unchanged<InvalidArgument>(reserve_many({.internal = endpoint("192.168.3.2", 7)}),
                                      "rows[1]: invalid host \"192.168.3.2\"");
    expect_unchanged<InvalidArgument>(reserve_many({.internal = endpoint("2001:db8::2", 7)}),
                                      "rows[1]: invalid host \"2001:db8::2\"");
    expect_unchanged<Refused>(reserve_many({.internal = ben}), "rows[1]: external port 51820/udp");
    EXPECT_THAT(firewall_.applied, IsEmpty());
}

TEST_F(GatewayTest, RefusesWhatItCannotDo) {
    reserve({.internal = anna});
    EXPECT_THAT([&] { reserve({.internal = ben}); },
                is_refused(Refusal::port_taken, "owned by 192.168.2.2"));
    EXPECT_THAT([&] { release(ReservationId{9}); },
                is_refused(Refusal::no_such_reservation, "reservation 9"));
}

TEST_F(GatewayTest, RefusesChangesOfWhoLookedBeforeAnotherChange) {
    const auto id = reserve({.internal = anna}).id;
    const std::array many{ReserveRequest{.internal = ben, .external_port = port(7)}};
    for (const std::uint64_t stale : {0U, 2U}) {
        const auto is_stale =
            is_refused(Refusal::stale_generation, "if-generation " + std::to_string(stale) +
                                                      ": the reservations are at generation 1");
        EXPECT_THAT([&] { gateway_->reserve(many[0], stale); }, is_stale);
        EXPECT_THAT([&] { gateway_->reserve_many(many, stale); }, is_stale);
        EXPECT_THAT([&] { gateway_->change(id, {.external_port = port(8)}, stale); }, is_stale);
        EXPECT_THAT([&] { gateway_->release(std::array{id}, stale); }, is_stale);
    }
    EXPECT_EQ(gateway_->generation(), 1U);
    gateway_->reserve(many[0], 1);
    gateway_->change(id, {.external_port = port(8)}, 2);
    gateway_->release(std::array{id}, 3);
    EXPECT_EQ(gateway_->generation(), 4U);
}

TEST_F(GatewayTest, ChangesNothingWhereTheKernelFails) {
    const auto id = reserve({.internal = anna, .lifetime = 10s}).id;
    gateway_->journal().drain();
    now_ += 10s;
    const std::array many{ReserveRequest{.internal = ben, .external_port = port(7)}};
    const std::vector<std::function<void()>> actions{
        [&] { reserve(many[0]); },
        [&] { gateway_->reserve_many(many, std::nullopt); },
        [&] { gateway_->change(id, {.external_port = port(8)}, std::nullopt); },
        [&] { release(id); },
        [&] { gateway_->expire(); },
        [&] {
            gateway_->reload(configured({{carl, 9}}));
        },
        [&] { gateway_->interfaces_changed({}); },
    };
    for (const auto& action : actions) {
        firewall_.outcomes = {Outcome::failure};
        expect_unchanged<KernelFailure>(action, "add element: Cannot allocate memory");
        firewall_.outcomes = {Outcome::drift, Outcome::failure};
        expect_unchanged<KernelFailure>(action, "add element: Cannot allocate memory");
    }
    reserve(many[0]);
}

TEST_F(GatewayTest, TakesTheKernelBackWhereTheStoreFails) {
    const auto id = reserve({.internal = anna, .lifetime = 10s}).id;
    gateway_->journal().drain();
    now_ += 10s;
    const std::array many{ReserveRequest{.internal = ben, .external_port = port(7)}};
    auto other = configured({{carl, 9}});
    other.masquerade = true;
    const std::vector<std::function<void()>> actions{
        [&] { reserve(many[0]); },
        [&] { gateway_->reserve_many(many, std::nullopt); },
        [&] { gateway_->change(id, {.external_port = port(8)}, std::nullopt); },
        [&] { release(id); },
        [&] { gateway_->expire(); },
        [&] { gateway_->reload(other); },
    };
    for (const auto& action : actions) {
        firewall_.forget_calls();
        expect_unchanged<StorageFailure>(
            [&] {
                const FullDisk full_disk;
                action();
            },
            "SQLite");
        ASSERT_THAT(firewall_.applied, SizeIs(2));
        EXPECT_EQ(firewall_.applied[1], firewall_.applied[0].inverse());
    }
    EXPECT_FALSE(gateway_->status().masquerade);
    reserve(many[0]);
}

TEST_F(GatewayTest, TakesTheWholeTableBackWhereItChangedMeanwhile) {
    reserve({.internal = anna});
    gateway_->journal().drain();
    firewall_.forget_calls();
    firewall_.outcomes = {Outcome::success, Outcome::drift};
    expect_unchanged<StorageFailure>(
        [&] {
            const FullDisk full_disk;
            reserve({.internal = ben, .external_port = port(7)});
        },
        "SQLite");
    EXPECT_EQ(firewall_.replaced, 1);
}

TEST_F(GatewayTest, RebuildsTheTableOnceWhereSomebodyChangedIt) {
    reserve({.internal = anna});
    firewall_.forget_calls();
    firewall_.held = {};
    firewall_.outcomes = {Outcome::drift};
    reserve({.internal = ben, .external_port = port(7)});
    EXPECT_EQ(firewall_.replaced, 1);
    EXPECT_THAT(firewall_.applied, IsEmpty());
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapping(ben, 7), mapping(anna, 51820)));

    auto configuration = configured({{carl, 9}});
    configuration.masquerade = true;
    firewall_.outcomes = {Outcome::drift};
    gateway_->reload(configuration);
    EXPECT_EQ(firewall_.replaced, 2);
    EXPECT_EQ(firewall_.held.scope.masquerade_wans, all<InterfaceName>({"wan"}));
    EXPECT_THAT(firewall_.held.mappings, SizeIs(3));
}

TEST_F(GatewayTest, KeepsItsOwnPortsToItself) {
    const ProtocolPort own{Protocol::udp, port(51820)};
    const auto row = reserve({.internal = anna, .external_port = port(7)});
    gateway_->journal().drain();
    settler_.orders.clear();
    gateway_->own_ports_changed({own});
    EXPECT_THAT(firewall_.held.scope.own_ports, ElementsAre(own));
    ASSERT_THAT(settler_.orders, SizeIs(1));
    EXPECT_TRUE(settler_.orders[0].look);
    EXPECT_THAT(settler_.orders[0].scope.own_ports, ElementsAre(own));

    expect_unchanged<Refused>([&] { reserve({.internal = ben}); },
                              "external port 51820/udp is in use by the gateway itself");
    expect_unchanged<Refused>(
        [&] { gateway_->change(row.id, {.external_port = port(51820)}, std::nullopt); },
        "external port 51820/udp is in use by the gateway itself");
    EXPECT_EQ(reserve({.internal = ben, .on_conflict = OnConflict::next}).external_port,
              port(51821));

    // They outlast what else moves.
    gateway_->reload(configured({{carl, 9}}));
    EXPECT_THAT(firewall_.held.scope.own_ports, ElementsAre(own));
    gateway_->interfaces_changed(home("203.0.113.3"));
    EXPECT_THAT(firewall_.held.scope.own_ports, ElementsAre(own));
    gateway_->own_ports_changed({});
    EXPECT_THAT(firewall_.held.scope.own_ports, IsEmpty());
    reserve({.internal = anna, .external_port = port(51820)});
}

TEST_F(GatewayTest, LeavesAReservedPortWithItsOwnerWhereItOpensItItself) {
    const ProtocolPort own{Protocol::udp, port(51820)};
    const auto id = reserve({.internal = anna}).id;
    gateway_->own_ports_changed({own});
    EXPECT_THAT(firewall_.held.scope.own_ports, IsEmpty());
    EXPECT_THAT(gateway_->status().warnings,
                ElementsAre("the gateway itself receives on 51820/udp, which is reserved for "
                            "192.168.2.2: through a WAN nobody gets there"));
    reserve({.internal = anna});  // renewed
    release(id);
    gateway_->own_ports_changed({own});
    EXPECT_THAT(firewall_.held.scope.own_ports, ElementsAre(own));
}

TEST_F(GatewayTest, MakesANewTableWhereTheOldOneHasNoRoom) {
    reserve({.internal = anna});
    firewall_.forget_calls();
    firewall_.outcomes = {Outcome::no_room};
    reserve({.internal = ben, .external_port = port(7)});
    EXPECT_EQ(firewall_.replaced, 1);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapping(ben, 7), mapping(anna, 51820)));
    gateway_->journal().drain();

    // Nor has it for the way back.
    firewall_.outcomes = {Outcome::success, Outcome::no_room};
    expect_unchanged<StorageFailure>(
        [&] {
            const FullDisk full_disk;
            reserve({.internal = carl, .external_port = port(8)});
        },
        "SQLite");
    EXPECT_EQ(firewall_.replaced, 2);
}

TEST_F(GatewayTest, TakesOverANewConfigurationAsADifference) {
    gateway_->reload(configured({{anna, 7}, {ben, 8}}));
    const auto id = gateway_->reservations().find(anna)->id;
    firewall_.forget_calls();
    auto configuration = configured({{anna, 8}, {carl, 9}});
    configuration.masquerade = true;
    configuration.nat_exempt = all<Network>({"10.9.0.0/16"});
    gateway_->reload(configuration);
    FirewallDifference expected;
    expected.masquerade_wans.added = all<InterfaceName>({"wan"});
    expected.exempt.added = configuration.nat_exempt;
    expected.mappings = {{mapping(anna, 7), mapping(ben, 8)}, {mapping(anna, 8), mapping(carl, 9)}};
    expected.forget_contacts = true;  // 8 was Ben's
    EXPECT_THAT(firewall_.applied, ElementsAre(expected));
    EXPECT_EQ(gateway_->reservations().find(anna)->id, id);
    EXPECT_EQ(gateway_->reservations().find(ben), nullptr);
    EXPECT_TRUE(gateway_->status().masquerade);
    EXPECT_EQ(gateway_->generation(), 2U);
    gateway_->reload(configuration);
    EXPECT_THAT(firewall_.applied, SizeIs(1));
    EXPECT_EQ(gateway_->generation(), 2U);
}

TEST_F(GatewayTest, KeepsItsConfigurationWhereANewOneClashesWithAReservation) {
    gateway_->reload(configured({{anna, 7}}));
    reserve({.internal = ben});
    gateway_->journal().drain();
    auto configuration = configured({{anna, 8}, {carl, 51820}});
    configuration.masquerade = true;
    expect_unchanged<Refused>([&] { gateway_->reload(configuration); },
                              "reservation[1]: external port 51820/udp is owned by 192.168.2.3");
    EXPECT_FALSE(gateway_->status().masquerade);
    gateway_->interfaces_changed(home("203.0.113.3"));
    EXPECT_THAT(firewall_.held.scope.masquerade_wans, IsEmpty());
}

TEST_F(GatewayTest, StartsWithoutTheConfiguredRowsThatClashAndWarns) {
    const auto id = reserve({.internal = anna}).id;
    const auto configuration = configured({{ben, 51820}, {carl, 7}});
    start(configuration);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapping(carl, 7), mapping(anna, 51820)));
    EXPECT_EQ(gateway_->reservations().find(ben), nullptr);
    EXPECT_THAT(gateway_->status().warnings,
                ElementsAre(AllOf(HasSubstr("reservation[0]"), HasSubstr("owned by 192.168.2.2"))));
    release(id);
    gateway_->reload(configuration);
    EXPECT_THAT(gateway_->status().warnings, IsEmpty());
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapping(carl, 7), mapping(ben, 51820)));
}

TEST_F(GatewayTest, StartsWithoutWhatHasRunOutInTheMeantime) {
    reserve({.internal = anna, .lifetime = 10s});
    now_ += 10s;
    start(configured({{ben, 51820}}));
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapping(ben, 51820)));
    EXPECT_THAT(gateway_->status().warnings, IsEmpty());
}

TEST_F(GatewayTest, RestartsWithTheSameReservations) {
    reserve({.internal = anna, .comment = comment("laptop")});
    const auto configuration = configured({{ben, 7}});
    start(configuration);
    const auto rows = gateway_->reservations();
    EXPECT_EQ(rows.size(), 2U);
    EXPECT_EQ(gateway_->generation(), 2U);
    start(configuration);
    EXPECT_EQ(gateway_->reservations(), rows);
    EXPECT_EQ(gateway_->generation(), 2U);
    start({});
    EXPECT_EQ(gateway_->reservations().find(ben), nullptr);
    EXPECT_EQ(reserve({.internal = carl, .external_port = port(8)}).id, ReservationId{3});
}

TEST_F(GatewayTest, FollowsItsInterfacesWithoutTouchingReservations) {
    reserve({.internal = anna});
    firewall_.forget_calls();
    gateway_->interfaces_changed(home("203.0.113.3"));
    EXPECT_EQ(gateway_->perimeter().interfaces[1].addresses, all<Address>({"203.0.113.3"}));
    FirewallDifference readdressed;
    readdressed.wan_addresses = {.removed = all<Address>({"203.0.113.2"}),
                                 .added = all<Address>({"203.0.113.3"})};
    EXPECT_THAT(firewall_.applied, ElementsAre(readdressed));

    auto without_wan = home();
    without_wan.default_routes.clear();
    gateway_->interfaces_changed(without_wan);
    FirewallDifference expected;
    expected.wans.removed = all<InterfaceName>({"wan"});
    expected.wan_addresses.removed = all<Address>({"203.0.113.3"});
    EXPECT_THAT(firewall_.applied, ElementsAre(readdressed, expected));
    EXPECT_THAT(gateway_->status().warnings, ElementsAre(HasSubstr("no WAN is known")));

    gateway_->interfaces_changed({});
    EXPECT_THAT(gateway_->status().warnings,
                ElementsAre(HasSubstr("no WAN is known"), HasSubstr("no LAN")));
    EXPECT_EQ(gateway_->generation(), 1U);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapping(anna, 51820)));
}

TEST_F(GatewayTest, ReleasesWhatHasRunOut) {
    const auto first = reserve({.internal = anna, .lifetime = 10s});
    reserve({.internal = ben, .external_port = port(7), .lifetime = 20s});
    gateway_->journal().drain();
    EXPECT_EQ(gateway_->next_expiry(), now + 10s);
    gateway_->expire();
    EXPECT_TRUE(gateway_->journal().empty());
    now_ += 10s;
    gateway_->expire();
    EXPECT_THAT(gateway_->journal().drain().removed, ElementsAre(first.id));
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapping(ben, 7)));
    EXPECT_EQ(gateway_->next_expiry(), now + 20s);
}

TEST_F(GatewayTest, OrdersThatFlowsAgreeWithAReservation) {
    const auto row = reserve({.internal = anna});
    ASSERT_THAT(settler_.orders, SizeIs(1));
    const auto& order = settler_.orders[0];
    EXPECT_THAT(order.mappings.added, ElementsAre(mapping(anna, 51820)));
    EXPECT_THAT(order.mappings.removed, IsEmpty());
    EXPECT_EQ(order.scope, gateway_->perimeter().scope);
    EXPECT_EQ(row.state, ReservationState::settling);

    gateway_->journal().drain();
    const auto generation = gateway_->generation();
    report();
    EXPECT_EQ(gateway_->reservations().find(row.id)->state, ReservationState::active);
    EXPECT_THAT(gateway_->journal().drain().changed, ElementsAre(row.id));
    EXPECT_EQ(gateway_->generation(), generation);

    // The store does not know states: compare it with the state after a start.
    gateway_->settle_everything();
}

TEST_F(GatewayTest, OrdersNothingWhereNoMappingChanges) {
    const auto row = reserve({.internal = anna});
    report();
    settler_.orders.clear();
    gateway_->change(row.id, {.comment = parse<Comment>("", "laptop")}, std::nullopt);
    EXPECT_THAT(settler_.orders, IsEmpty());
    EXPECT_EQ(gateway_->reservations().find(row.id)->state, ReservationState::active);
    gateway_->settle_everything();
}

TEST_F(GatewayTest, IsSettlingUntilTheLastOrderForARowIsDone) {
    const auto row = reserve({.internal = anna});
    const auto first = gateway_->settling().ordered();
    gateway_->change(row.id, {.external_port = port(51830)}, std::nullopt);
    settler_.report = SettleReport{first, 0, {}};
    gateway_->settled();
    EXPECT_EQ(gateway_->reservations().find(row.id)->state, ReservationState::settling);
    report();
    EXPECT_EQ(gateway_->reservations().find(row.id)->state, ReservationState::active);
    gateway_->settle_everything();
}

TEST_F(GatewayTest, StaysSettlingAndSaysSoWhereSettlingFails) {
    const auto row = reserve({.internal = anna});
    report("list the flows in conntrack: Operation not permitted");
    EXPECT_EQ(gateway_->reservations().find(row.id)->state, ReservationState::settling);
    EXPECT_THAT(gateway_->status().warnings, ElementsAre(HasSubstr("list the flows")));

    // That something else is settled does not make it good.
    reserve({.internal = ben, .external_port = port(51821)});
    report();
    EXPECT_THAT(gateway_->status().warnings, ElementsAre(HasSubstr("list the flows")));
    gateway_->settle_everything();
    report();
    EXPECT_EQ(gateway_->reservations().find(row.id)->state, ReservationState::active);
    EXPECT_THAT(gateway_->status().warnings, IsEmpty());
    gateway_->settle_everything();
}

TEST_F(GatewayTest, SettlesEverythingAfterARebuildAndWhenAWanMoves) {
    reserve({.internal = anna});
    reserve({.internal = ben, .external_port = port(51821)});
    const auto everything = ElementsAre(mapping(anna, 51820), mapping(ben, 51821));
    settler_.orders.clear();
    gateway_->rebuild();
    ASSERT_THAT(settler_.orders, SizeIs(1));
    EXPECT_THAT(settler_.orders[0].mappings.added, everything);

    gateway_->interfaces_changed(home("203.0.113.77"));
    ASSERT_THAT(settler_.orders, SizeIs(2));
    EXPECT_THAT(settler_.orders[1].mappings.added, everything);
    EXPECT_EQ(settler_.orders[1].scope.wan_addresses, all<Address>({"203.0.113.77"}));

    firewall_.outcomes = {Outcome::drift};
    const auto row = reserve({.internal = carl, .external_port = port(51822)});
    ASSERT_THAT(settler_.orders, SizeIs(3));
    EXPECT_THAT(settler_.orders[2].mappings.added, SizeIs(3));
    EXPECT_EQ(row.state, ReservationState::settling);
    EXPECT_EQ(gateway_->status().rebuilds, 1U) << "the notification of a drift is counted";
}

TEST_F(GatewayTest, MakesTheTableAnewForAnotherPool) {
    reserve({.internal = anna});
    Configuration configuration;
    configuration.pool = *PortRange::from(port(50000), port(50999));
    gateway_->reload(configuration);
    gateway_->journal().drain();
    EXPECT_EQ(firewall_.replaced, 1);
    EXPECT_EQ(firewall_.held.scope.pool, configuration.pool);
    expect_unchanged<Refused>([&] { reserve({.internal = ben, .external_port = port(50500)}); },
                              "50000-50999");

    // A reload that fails keeps the old pool.
    Configuration other;
    other.pool = *PortRange::from(port(40000), port(40999));
    firewall_.outcomes = {Outcome::failure};
    expect_unchanged<KernelFailure>([&] { gateway_->reload(other); }, "add element");
    expect_unchanged<Refused>([&] { reserve({.internal = ben, .external_port = port(50500)}); },
                              "50000-50999");
}

}  // namespace
}  // namespace porthole
