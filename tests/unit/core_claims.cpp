// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/claims.hpp"
#include "core/reservations.hpp"
#include "core_support.hpp"

namespace porthole {
namespace {

using namespace support;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr int lan = 3;

Address address(std::string_view text) { return parse<Address>("address", text); }

MacAddress mac(unsigned last) {
    return MacAddress::from({2, 0, 0x5E, 0x10, 0, static_cast<std::uint8_t>(last)}).value();
}

PortRange ports(std::uint64_t first, std::uint64_t last) {
    return PortRange::from(port(first), port(last)).value();
}

Sighting sighting(std::string_view host, std::uint64_t from = 51820) {
    return {address(host), Protocol::udp, port(from)};
}

Neighbour neighbour(std::string_view host, unsigned last_of_mac, bool confirmed = true,
                    int link_index = lan) {
    return {link_index, address(host), mac(last_of_mac), confirmed};
}

class CandidatesTest : public ::testing::Test {
  protected:
    std::vector<Claim> take(const std::vector<Neighbour>& neighbours, Time when = now) {
        return candidates_.take_confirmed(neighbours, when);
    }
    Candidates candidates_;
};

TEST_F(CandidatesTest, AreTakenWhenTheyAreConfirmed) {
    EXPECT_TRUE(candidates_.empty());
    candidates_.add(sighting("192.168.2.2"), lan, now);
    EXPECT_FALSE(candidates_.empty());
    EXPECT_THAT(take({}), IsEmpty());
    EXPECT_THAT(take({neighbour("192.168.2.2", 2, false)}), IsEmpty());
    EXPECT_FALSE(candidates_.empty());
    EXPECT_THAT(take({neighbour("192.168.2.2", 2)}),
                ElementsAre(Claim{endpoint("192.168.2.2", 51820), mac(2)}));
    EXPECT_TRUE(candidates_.empty());
    EXPECT_THAT(take({neighbour("192.168.2.2", 2)}), IsEmpty());
}

TEST_F(CandidatesTest, AreConfirmedOnTheirOwnLinkAndAddressOnly) {
    candidates_.add(sighting("192.168.2.2"), lan, now);
    EXPECT_THAT(take({neighbour("192.168.2.2", 2, true, lan + 1), neighbour("192.168.2.3", 3)}),
                IsEmpty());
    EXPECT_THAT(take({neighbour("192.168.2.2", 2, true, lan + 1), neighbour("192.168.2.3", 3),
                      neighbour("192.168.2.2", 4)}),
                ElementsAre(Claim{endpoint("192.168.2.2", 51820), mac(4)}));
}

TEST_F(CandidatesTest, AreTakenInTheOrderOfTheirAddressesAndPorts) {
    candidates_.add(sighting("192.168.2.10", 51820), lan, now);
    candidates_.add(sighting("192.168.2.9", 51821), lan, now);
    candidates_.add(sighting("192.168.2.9", 51820), lan, now);
    candidates_.add(sighting("192.168.2.77", 51820), lan, now);
    EXPECT_THAT(take({neighbour("192.168.2.10", 10), neighbour("192.168.2.9", 9)}),
                ElementsAre(Claim{endpoint("192.168.2.9", 51820), mac(9)},
                            Claim{endpoint("192.168.2.9", 51821), mac(9)},
                            Claim{endpoint("192.168.2.10", 51820), mac(10)}));
    EXPECT_FALSE(candidates_.empty());
}

TEST_F(CandidatesTest, AreWaitedForNoLongerThanPatienceLasts) {
    candidates_.add(sighting("192.168.2.2"), lan, now);
    EXPECT_THAT(take({}, now + Candidates::patience - 1s), IsEmpty());
    EXPECT_FALSE(candidates_.empty());
    EXPECT_THAT(take({}, now + Candidates::patience + 1s), IsEmpty());
    EXPECT_TRUE(candidates_.empty());
}

TEST_F(CandidatesTest, AreTakenAsLongAsPatienceLasts) {
    candidates_.add(sighting("192.168.2.2"), lan, now);
    EXPECT_THAT(take({neighbour("192.168.2.2", 2)}, now + Candidates::patience - 1s), SizeIs(1));
}

TEST_F(CandidatesTest, KeepTheirPlaceWhenTheyAreSeenAgain) {
    candidates_.add(sighting("192.168.2.2"), lan, now);
    EXPECT_THAT(candidates_.take_unasked(), SizeIs(1));
    candidates_.add(sighting("192.168.2.2"), lan, now + Candidates::patience);
    EXPECT_THAT(candidates_.take_unasked(), IsEmpty());
    take({}, now + Candidates::patience + 1s);
    EXPECT_TRUE(candidates_.empty());
}

TEST_F(CandidatesTest, AreAskedOnceForEachAddress) {
    candidates_.add(sighting("192.168.2.2", 51820), lan, now);
    candidates_.add(sighting("192.168.2.2", 51821), lan, now);
    candidates_.add(sighting("192.168.3.2"), lan + 1, now);
    EXPECT_THAT(candidates_.take_unasked(),
                UnorderedElementsAre(LinkNeighbour{lan, address("192.168.2.2")},
                                     LinkNeighbour{lan + 1, address("192.168.3.2")}));
    EXPECT_THAT(candidates_.take_unasked(), IsEmpty());
    candidates_.add(sighting("192.168.2.4"), lan, now);
    EXPECT_THAT(candidates_.take_unasked(),
                ElementsAre(LinkNeighbour{lan, address("192.168.2.4")}));
    EXPECT_FALSE(candidates_.empty());
}

TEST_F(CandidatesTest, AreAskedAgainWhenTheyComeBack) {
    candidates_.add(sighting("192.168.2.2"), lan, now);
    EXPECT_THAT(candidates_.take_unasked(), SizeIs(1));
    take({}, now + Candidates::patience + 1s);
    candidates_.add(sighting("192.168.2.2"), lan, now + Candidates::patience + 1s);
    EXPECT_THAT(candidates_.take_unasked(), SizeIs(1));
}

TEST_F(CandidatesTest, OfOneAddressAreNoMoreThanThereIsRoomFor) {
    constexpr std::uint64_t first = 51820;
    const auto full = Candidates::capacity_per_address;
    for (std::uint64_t i = 0; i < full + 1; ++i) {
        candidates_.add(sighting("192.168.2.2", first + i), lan, now);
    }
    candidates_.add(sighting("192.168.2.3"), lan, now);
    const auto taken = take({neighbour("192.168.2.2", 2)});
    ASSERT_THAT(taken, SizeIs(full));
    EXPECT_EQ(taken.back().internal.port, port(first + full - 1));
    candidates_.add(sighting("192.168.2.2", first + full), lan, now);
    EXPECT_THAT(take({neighbour("192.168.2.2", 2), neighbour("192.168.2.3", 3)}), SizeIs(2));
}

TEST_F(CandidatesTest, TakeThePlaceOfWhoWaitsLongestWhereNoRoomIsLeft) {
    const auto host = [](std::size_t i) {
        return "10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256);
    };
    std::vector<Neighbour> neighbours{neighbour("192.168.2.2", 2), neighbour("192.168.2.3", 3)};
    for (std::size_t i = 0; i < Candidates::capacity; ++i) {
        candidates_.add(sighting(host(i)), lan, i == 700 ? now : now + 1s);
        neighbours.push_back(neighbour(host(i), 4));
    }
    candidates_.add(sighting(host(3)), lan, now + 2s);
    candidates_.add(sighting("192.168.2.2"), lan, now + 2s);
    const auto taken = take(neighbours, now + 2s);
    EXPECT_THAT(taken, SizeIs(Candidates::capacity));
    const auto waited = [&](const std::string& address) {
        return std::ranges::count(taken, endpoint(address, 51820), &Claim::internal) == 1;
    };
    EXPECT_FALSE(waited(host(700)));
    EXPECT_TRUE(waited(host(3)));
    EXPECT_TRUE(waited("192.168.2.2"));
    EXPECT_TRUE(candidates_.empty());
}

const auto anna = endpoint("192.168.2.2", 51820);
const auto ben = endpoint("192.168.2.3", 51820);
const auto carl = endpoint("192.168.2.4", 51820);

bool is_alternate(Port port) { return ClaimPolicy().alternates.contains(port); }

class ClaimedReservationsTest : public ::testing::Test {
  protected:
    [[nodiscard]] ClaimedDifference decide(const std::vector<Claim>& claims,
                                           Time when = now) const {
        return all_.claim(claims, policy_, when);
    }
    const Reservation& claim(const Endpoint& internal, unsigned last_of_mac = 2) {
        const auto claimed = decide({{internal, mac(last_of_mac)}});
        EXPECT_THAT(claimed.refused, IsEmpty());
        all_.apply(claimed.difference);
        return *all_.find(internal);
    }
    const Reservation& reserve(const ReserveRequest& request) {
        all_.apply(all_.reserve(request, Origin::api, now));
        return *all_.find(request.internal);
    }
    void hold_back(const std::set<ProtocolPort>& waiting) { all_.apply(all_.hold_back(waiting)); }
    void set_alternates(std::uint64_t first, std::uint64_t last) {
        policy_.alternates = ports(first, last);
        all_.set_claim_alternates(policy_.alternates);
    }
    [[nodiscard]] Port alternate_of(const Endpoint& internal) const {
        Reservations others;
        others.set_own_ports({{internal.protocol, internal.port}});
        const auto claimed = others.claim(std::array{Claim{internal, mac(9)}}, policy_, now);
        return claimed.difference.after.at(0).external_port;
    }

    Reservations all_;
    ClaimPolicy policy_;
};

TEST_F(ClaimedReservationsTest, GiveAHostItsOwnPort) {
    const auto claimed = decide({{anna, mac(2)}});
    EXPECT_EQ(all_.size(), 0U) << "deciding changed something";
    const Reservation expected{.id = ReservationId{1},
                               .internal = anna,
                               .external_port = port(51820),
                               .filtering = default_filtering,
                               .origin = Origin::automatic,
                               .state = ReservationState::settling,
                               .mac = mac(2),
                               .comment = Comment(),
                               .expires = never,
                               .last_seen = now};
    EXPECT_THAT(claimed.difference.before, IsEmpty());
    EXPECT_THAT(claimed.difference.after, ElementsAre(expected));
    EXPECT_THAT(claimed.refused, IsEmpty());
    all_.apply(claimed.difference);
    EXPECT_THAT(all_.claims(), ElementsAre(ReservationId{1}));
}

TEST_F(ClaimedReservationsTest, GiveNothingToWhoHasAReservation) {
    reserve({.internal = anna, .external_port = port(7)});
    claim(ben);
    const auto claimed = decide({{anna, mac(2)}, {ben, mac(3)}}, now + 1s);
    EXPECT_TRUE(claimed.difference.empty());
    EXPECT_THAT(claimed.refused, IsEmpty());
}

TEST_F(ClaimedReservationsTest, CountAHostThatIsNamedTwiceOnce) {
    const auto claimed = decide({{anna, mac(2)}, {anna, mac(2)}});
    EXPECT_THAT(claimed.difference.after, SizeIs(1));
}

TEST_F(ClaimedReservationsTest, GiveAnAlternateWhereThePortIsTaken) {
    const auto claimed = decide({{anna, mac(2)}, {ben, mac(3)}, {carl, mac(4)}});
    all_.apply(claimed.difference);
    EXPECT_EQ(all_.find(anna)->external_port, port(51820));
    EXPECT_TRUE(is_alternate(all_.find(ben)->external_port));
    EXPECT_TRUE(is_alternate(all_.find(carl)->external_port));
    EXPECT_NE(all_.find(ben)->external_port, all_.find(carl)->external_port);
    EXPECT_THAT(all_.claims(), SizeIs(3));
}

TEST_F(ClaimedReservationsTest, GiveAHostTheSameAlternateEachTime) {
    reserve({.internal = anna});
    const auto first = claim(ben);
    all_.apply(all_.release(std::array{first.id}));
    claim(endpoint("192.168.2.9", 51821), 9);
    EXPECT_EQ(claim(ben).external_port, first.external_port);

    EXPECT_EQ(alternate_of(ben), first.external_port);
}

TEST_F(ClaimedReservationsTest, GiveAnotherAlternateWhereSomebodyHasTheUsualOne) {
    const auto usual = alternate_of(ben);
    reserve({.internal = anna});
    reserve({.internal = carl, .external_port = usual});
    const auto other = claim(ben).external_port;
    EXPECT_TRUE(is_alternate(other));
    EXPECT_NE(other, usual);
}

TEST_F(ClaimedReservationsTest, AreNeverInThePool) {
    all_.set_pool(ports(51000, 52000));
    EXPECT_TRUE(is_alternate(claim(anna).external_port));
    set_alternates(51900, 52001);
    EXPECT_EQ(claim(ben).external_port, port(52001));
    EXPECT_THAT(decide({{carl, mac(4)}}).refused, ElementsAre(Claim{carl, mac(4)}));
}

TEST_F(ClaimedReservationsTest, AreNeverOnTheGatewaysOwnPorts) {
    set_alternates(42000, 42002);
    all_.set_own_ports(
        {{Protocol::udp, port(42000)}, {Protocol::udp, port(42001)}, {Protocol::udp, port(51820)}});
    EXPECT_EQ(claim(anna).external_port, port(42002));
    EXPECT_THAT(decide({{ben, mac(3)}}).refused, ElementsAre(Claim{ben, mac(3)}));
    all_.set_own_ports({{Protocol::tcp, port(51820)}});
    EXPECT_EQ(claim(ben).external_port, port(51820));
}

TEST_F(ClaimedReservationsTest, AreRefusedWhereNoPortIsLeft) {
    set_alternates(42000, 42001);
    const auto claimed = decide({{anna, mac(2)},
                                 {ben, mac(3)},
                                 {carl, mac(4)},
                                 {endpoint("192.168.2.5", 51820), mac(5)},
                                 {endpoint("192.168.2.5", 51821), mac(5)}});
    EXPECT_THAT(claimed.refused, ElementsAre(Claim{endpoint("192.168.2.5", 51820), mac(5)}));
    EXPECT_THAT(claimed.difference.after, SizeIs(4));
}

TEST_F(ClaimedReservationsTest, HaveALimit) {
    policy_.limit = 2;
    reserve({.internal = endpoint("192.168.2.9", 9)});
    claim(anna);
    const auto claimed = decide({{ben, mac(3)}, {carl, mac(4)}});
    EXPECT_THAT(claimed.difference.after, SizeIs(1));
    EXPECT_THAT(claimed.refused, ElementsAre(Claim{carl, mac(4)}));
    all_.apply(claimed.difference);
    all_.apply(all_.release(std::array{all_.find(anna)->id}));
    claim(carl, 4);
}

TEST_F(ClaimedReservationsTest, HaveALimitForEachMacAddress) {
    policy_.limit_per_mac = 2;
    claim(anna, 2);
    const auto claimed =
        decide({{ben, mac(2)}, {carl, mac(2)}, {endpoint("192.168.2.5", 51825), mac(3)}});
    EXPECT_THAT(claimed.difference.after, SizeIs(2));
    EXPECT_THAT(claimed.refused, ElementsAre(Claim{carl, mac(2)}));
    all_.apply(claimed.difference);
    EXPECT_THAT(decide({{carl, mac(2)}}).refused, SizeIs(1));
    claim(carl, 3);
}

TEST_F(ClaimedReservationsTest, MakeWayForWhoAsks) {
    const auto before = claim(anna);
    const auto usual = alternate_of(anna);
    EXPECT_EQ(reserve({.internal = ben}).external_port, port(51820));
    auto expected = before;
    expected.external_port = usual;
    EXPECT_EQ(*all_.find(anna), expected);
    EXPECT_THAT(all_.claims(), ElementsAre(before.id));
}

TEST_F(ClaimedReservationsTest, MakeWayForWhoAsksForTheirAlternate) {
    reserve({.internal = anna});
    const auto alternate = claim(ben).external_port;
    EXPECT_EQ(reserve({.internal = carl, .external_port = alternate}).external_port, alternate);
    EXPECT_TRUE(is_alternate(all_.find(ben)->external_port));
    EXPECT_NE(all_.find(ben)->external_port, alternate);
}

TEST_F(ClaimedReservationsTest, MakeWayForChanges) {
    claim(anna);
    const auto id = reserve({.internal = ben, .external_port = port(7)}).id;
    all_.apply(all_.change(id, {.external_port = port(51820)}, now));
    EXPECT_EQ(all_.find(ben)->external_port, port(51820));
    EXPECT_TRUE(is_alternate(all_.find(anna)->external_port));
}

TEST_F(ClaimedReservationsTest, CountForWhoMakesReservationsOfThem) {
    const auto id = claim(anna).id;
    all_.apply(
        all_.change(id, {.comment = *TextForm<Comment>::parse("laptop"), .user = 1000}, now));
    EXPECT_EQ(all_.count_of(1000), 0U);
    all_.apply(all_.change(id, {.external_port = port(7), .user = 1000}, now));
    EXPECT_EQ(all_.find(anna)->origin, Origin::api);
    EXPECT_EQ(all_.count_of(1000), 1U);
}

TEST_F(ClaimedReservationsTest, MakeWayForTheConfiguration) {
    claim(anna);
    const auto configured = all_.configure(std::array{ReserveRequest{.internal = ben}}, now);
    EXPECT_THAT(configured.refused, IsEmpty());
    all_.apply(configured.difference);
    EXPECT_EQ(all_.find(ben)->external_port, port(51820));
    EXPECT_EQ(all_.find(ben)->origin, Origin::configured);
    EXPECT_TRUE(is_alternate(all_.find(anna)->external_port));
}

TEST_F(ClaimedReservationsTest, MakeWayAsOftenAsManyRequestsWantIt) {
    claim(anna);
    const auto usual = alternate_of(anna);
    const std::array requests{
        ReserveRequest{.internal = ben},
        ReserveRequest{.internal = carl, .external_port = usual},
    };
    std::vector<ReservationId> ids;
    all_.apply(all_.reserve_many(requests, Origin::api, now, ids));
    EXPECT_EQ(all_.find(ben)->external_port, port(51820));
    EXPECT_EQ(all_.find(carl)->external_port, usual);
    EXPECT_TRUE(is_alternate(all_.find(anna)->external_port));
    EXPECT_NE(all_.find(anna)->external_port, usual);
}

TEST_F(ClaimedReservationsTest, DoNotStopWhoAsksWhereNoPortIsLeft) {
    set_alternates(42000, 42000);
    claim(anna);
    reserve({.internal = carl, .external_port = port(42000)});
    EXPECT_EQ(reserve({.internal = ben}).external_port, port(51820));
    EXPECT_EQ(all_.find(anna), nullptr);
    EXPECT_THAT(all_.claims(), IsEmpty());
}

TEST_F(ClaimedReservationsTest, DoNotMakeWayForEachOther) {
    const auto first = claim(anna);
    claim(ben);
    EXPECT_EQ(*all_.find(anna), first);
}

TEST_F(ClaimedReservationsTest, BecomeReservationsOfWhoAsksForThem) {
    const auto claimed = claim(anna);
    const auto& row = reserve({.internal = anna});
    EXPECT_EQ(row.id, claimed.id);
    EXPECT_EQ(row.external_port, port(51820));
    EXPECT_EQ(row.origin, Origin::api);
    EXPECT_EQ(row.mac, std::nullopt);
    EXPECT_THAT(all_.claims(), IsEmpty());
    EXPECT_TRUE(all_.forget(now).empty());
}

TEST_F(ClaimedReservationsTest, BecomeReservationsOfTheConfiguration) {
    const auto claimed = claim(anna);
    all_.apply(all_.configure(std::array{ReserveRequest{.internal = anna}}, now).difference);
    const auto& row = *all_.find(anna);
    EXPECT_EQ(row.id, claimed.id);
    EXPECT_EQ(row.origin, Origin::configured);
    EXPECT_EQ(row.mac, std::nullopt);
    EXPECT_THAT(all_.claims(), IsEmpty());
}

TEST_F(ClaimedReservationsTest, DoNotWaitAnyMoreWhenSomebodyAsksForThem) {
    for (const bool by_file : {false, true}) {
        SCOPED_TRACE(by_file ? "configure" : "reserve");
        all_ = Reservations();
        claim(anna);
        hold_back({{Protocol::udp, port(51820)}});
        ASSERT_EQ(all_.find(anna)->state, ReservationState::waiting);
        const ReserveRequest request{.internal = anna};
        all_.apply(by_file ? all_.configure(std::array{request}, now).difference
                           : all_.reserve(request, Origin::api, now));
        EXPECT_NE(all_.find(anna)->state, ReservationState::waiting);
    }
}

TEST_F(ClaimedReservationsTest, LeaveTheGatewaysOwnPorts) {
    const auto first = claim(anna);
    const auto second = claim(endpoint("192.168.2.3", 51821), 3);
    reserve({.internal = carl, .external_port = port(7)});
    EXPECT_TRUE(all_.leave_own_ports().empty());
    const auto usual = alternate_of(anna);
    all_.set_own_ports(
        {{Protocol::tcp, port(51821)}, {Protocol::udp, port(7)}, {Protocol::udp, port(51820)}});
    EXPECT_EQ(*all_.find(anna), first) << "a row that has such a port keeps it until then";
    const auto difference = all_.leave_own_ports();
    auto moved = first;
    moved.external_port = usual;
    EXPECT_THAT(difference.before, ElementsAre(first));
    EXPECT_THAT(difference.after, ElementsAre(moved));
    all_.apply(difference);
    EXPECT_EQ(*all_.find(second.id), second);
    EXPECT_EQ(all_.find(carl)->external_port, port(7));
    EXPECT_TRUE(all_.leave_own_ports().empty());
}

TEST_F(ClaimedReservationsTest, LeaveTheGatewaysOwnPortsForOthersThanThose) {
    set_alternates(42000, 42001);
    claim(anna);
    const auto usual = alternate_of(anna);
    std::vector<ProtocolPort> own{{Protocol::udp, usual}, {Protocol::udp, port(51820)}};
    std::ranges::sort(own);
    all_.set_own_ports(own);
    all_.apply(all_.leave_own_ports());
    ASSERT_NE(all_.find(anna), nullptr);
    EXPECT_TRUE(policy_.alternates.contains(all_.find(anna)->external_port));
    EXPECT_NE(all_.find(anna)->external_port, usual);
}

TEST_F(ClaimedReservationsTest, AreForgottenWhenNobodyHasSeenThem) {
    claim(anna);
    claim(ben);
    reserve({.internal = carl, .external_port = port(7)});
    all_.saw(carl, now);
    all_.saw(ben, now + 1s);
    EXPECT_TRUE(all_.forget(now - 1s).empty());
    const auto difference = all_.forget(now);
    EXPECT_THAT(difference.before, ElementsAre(*all_.find(anna)));
    EXPECT_THAT(difference.after, IsEmpty());
    all_.apply(difference);
    EXPECT_EQ(all_.find(anna), nullptr);
    all_.apply(all_.forget(now + 1h));
    EXPECT_EQ(all_.find(ben), nullptr);
    EXPECT_EQ(all_.find(carl)->last_seen, now);
    EXPECT_THAT(all_.claims(), IsEmpty());
}

TEST_F(ClaimedReservationsTest, KnowWhenTheyWereSeen) {
    auto expected = claim(anna);
    all_.saw(anna, now + 60s);
    all_.saw(ben, now + 60s);
    expected.last_seen = now + 60s;
    EXPECT_EQ(*all_.find(anna), expected);
    EXPECT_EQ(all_.size(), 1U);
}

TEST_F(ClaimedReservationsTest, WaitAsLongAsTheyAreHeldBack) {
    const auto first = claim(anna);
    const auto second = claim(ben);
    all_.set_state(std::array{first.id, second.id}, ReservationState::active);
    const std::set<ProtocolPort> both{{Protocol::udp, first.external_port},
                                      {Protocol::udp, second.external_port}};
    hold_back(both);
    EXPECT_EQ(all_.find(anna)->state, ReservationState::waiting);
    EXPECT_EQ(all_.find(ben)->state, ReservationState::waiting);
    EXPECT_TRUE(all_.hold_back(both).empty());
    all_.set_state(std::array{first.id, second.id}, ReservationState::active);
    EXPECT_EQ(all_.find(anna)->state, ReservationState::waiting);

    hold_back({{Protocol::udp, second.external_port}});
    EXPECT_EQ(all_.find(anna)->state, ReservationState::settling);
    EXPECT_EQ(all_.find(ben)->state, ReservationState::waiting);
    all_.set_state(std::array{first.id}, ReservationState::active);
    const auto back = all_.hold_back({});
    EXPECT_THAT(back.after, SizeIs(1)) << "who does not wait stays as he is";
    all_.apply(back);
    EXPECT_EQ(all_.find(anna)->state, ReservationState::active);
    EXPECT_EQ(all_.find(ben)->state, ReservationState::settling);
    EXPECT_TRUE(all_.hold_back({}).empty());
}

TEST_F(ClaimedReservationsTest, AreTheOnlyOnesThatAreHeldBack) {
    reserve({.internal = anna});
    all_.apply(
        all_.configure(std::array{ReserveRequest{.internal = ben, .external_port = port(7)}}, now)
            .difference);
    claim(carl);
    EXPECT_TRUE(all_.hold_back({{Protocol::tcp, all_.find(carl)->external_port},
                                {Protocol::udp, port(7)},
                                {Protocol::udp, port(51820)},
                                {Protocol::udp, port(51829)}})
                    .empty());
}

TEST_F(ClaimedReservationsTest, KeepTheirPortWhileTheyWait) {
    claim(anna);
    hold_back({{Protocol::udp, port(51820)}});
    EXPECT_TRUE(is_alternate(claim(ben).external_port));
    EXPECT_TRUE(decide({{anna, mac(2)}}).difference.empty());
}

TEST_F(ClaimedReservationsTest, AreKnownInCopiesAndWhenTheyWereStored) {
    const auto first = claim(anna);
    reserve({.internal = ben, .external_port = port(7)});
    const auto copy = all_;
    EXPECT_EQ(copy, all_);
    EXPECT_EQ(copy.claims(), all_.claims());
    const Reservations loaded({first, *all_.find(ben)}, all_.next_id());
    EXPECT_EQ(loaded, all_);
    EXPECT_THAT(loaded.claims(), ElementsAre(first.id));
}

// Few hosts, ports and alternates, so that everything meets.
class RandomOperations {
  public:
    explicit RandomOperations(std::uint32_t seed) : engine_(seed) {
        all_.set_pool(pool);
        all_.set_claim_alternates(policy_.alternates);
    }

    static constexpr PortRange pool =
        *PortRange::from(Port::constant<51824>(), Port::constant<51825>());

    void step() {
        if (one_in(3)) now_ += 1s;
        if (one_in(3)) all_.saw(some_endpoint(), now_);
        const auto before = all_;
        const auto difference = decide();
        ASSERT_EQ(all_, before) << "deciding changed something";
        expect_well_formed(difference);
        all_.apply(difference);
        expect_consistent(all_);
        auto back = all_;
        all_.apply(difference.inverse());
        ASSERT_EQ(all_, before);
        expect_consistent(all_);
        all_.apply(difference);
        ASSERT_EQ(all_, back);
        expect_only_what_may_change(before);
    }

  private:
    enum class Operation {
        claim,
        reserve,
        reserve_many,
        change,
        release,
        configure,
        leave_own_ports,
        hold_back,
        forget,
    };
    static constexpr std::size_t operations = 9;

    std::size_t below(std::size_t count) {
        return std::uniform_int_distribution<std::size_t>(0, count - 1)(engine_);
    }
    bool one_in(std::size_t count) { return below(count) == 0; }

    Endpoint some_endpoint() {
        return endpoint("192.168.2." + std::to_string(2 + below(6)), 51820 + below(6),
                        one_in(8) ? Protocol::tcp : Protocol::udp);
    }
    Port some_port() { return port(one_in(2) ? 51820 + below(4) : 42000 + below(6)); }
    ReserveRequest some_request() {
        ReserveRequest request{.internal = some_endpoint()};
        request.external_port = some_port();
        request.on_conflict = one_in(3) ? OnConflict::next : OnConflict::fail;
        return request;
    }
    ReservationId some_id() { return ReservationId{below(number(all_.next_id()) + 1)}; }
    ReservationId some_row() {
        if (all_.rows().empty()) return ReservationId{1};
        return std::next(all_.rows().begin(), static_cast<std::ptrdiff_t>(below(all_.size())))
            ->first;
    }
    std::set<ProtocolPort> some_ports() {
        std::set<ProtocolPort> result;
        for (auto i = below(5); i > 0; --i) result.insert({Protocol::udp, some_port()});
        return result;
    }

    ReservationDifference decide() {
        operation_ = static_cast<Operation>(below(operations));
        try {
            return planned();
        } catch (const Refused&) {
            return {};
        }
    }

    ReservationDifference planned() {
        switch (operation_) {
            case Operation::claim:
                return claimed();
            case Operation::reserve:
                return all_.reserve(some_request(), Origin::api, now_);
            case Operation::reserve_many: {
                std::vector<ReserveRequest> requests(below(4), some_request());
                for (auto& request : requests) request = some_request();
                std::vector<ReservationId> ids;
                return all_.reserve_many(requests, Origin::api, now_, ids);
            }
            case Operation::change:
                return all_.change(some_row(), {.external_port = some_port()}, now_);
            case Operation::release:
                return all_.release(std::array{some_row(), some_row()});
            case Operation::configure: {
                std::vector<ReserveRequest> wanted(below(3), some_request());
                for (auto& request : wanted) request = some_request();
                for (auto& request : wanted) request.on_conflict = OnConflict::fail;
                return all_.configure(wanted, now_).difference;
            }
            case Operation::leave_own_ports: {
                const auto ports = some_ports();
                all_.set_own_ports({ports.begin(), ports.end()});
                return all_.leave_own_ports();
            }
            case Operation::hold_back:
                return all_.hold_back(held_back_ = some_ports());
            case Operation::forget:
                forgotten_ = now_ - std::chrono::seconds(below(20));
                return all_.forget(forgotten_);
        }
        return {};
    }

    ReservationDifference claimed() {
        std::vector<Claim> claims;
        for (auto i = below(4); i > 0; --i) {
            claims.push_back({some_endpoint(), mac(static_cast<unsigned>(2 + below(3)))});
        }
        const auto result = all_.claim(claims, policy_, now_);
        for (const auto& row : result.difference.after) {
            const auto& wanted = row.internal;
            const bool natural = row.external_port == wanted.port;
            EXPECT_TRUE(natural || policy_.alternates.contains(row.external_port));
            const bool free = all_.can_be_reserved(wanted.protocol, wanted.port) &&
                              all_.find(wanted.protocol, wanted.port) == nullptr;
            EXPECT_TRUE(free || !natural);
            const bool taken_by_another =
                std::ranges::any_of(result.difference.after, [&](const Reservation& other) {
                    return other.id != row.id && other.internal.protocol == wanted.protocol &&
                           other.external_port == wanted.port;
                });
            EXPECT_TRUE(natural || !free || taken_by_another);
        }
        for (const auto& refused : result.refused) {
            EXPECT_GT(std::ranges::count(claims, refused), 0);
            EXPECT_EQ(all_.find(refused.internal), nullptr);
        }
        return result.difference;
    }

    static void expect_well_formed(const ReservationDifference& difference) {
        for (const auto* rows : {&difference.before, &difference.after}) {
            EXPECT_TRUE(std::ranges::is_sorted(*rows, std::less(), &Reservation::id));
            EXPECT_EQ(std::ranges::adjacent_find(*rows, {}, &Reservation::id), rows->end());
        }
        for (const auto& row : difference.before) {
            EXPECT_EQ(std::ranges::count(difference.after, row), 0) << "not minimal";
        }
    }

    void expect_consistent(const Reservations& all) const {
        std::set<ProtocolPort> external_ports;
        std::set<ReservationId> automatic;
        std::map<MacAddress, std::size_t> of_mac;
        for (const auto& [id, row] : all.rows()) {
            const auto protocol = row.internal.protocol;
            EXPECT_TRUE(external_ports.insert({protocol, row.external_port}).second)
                << to_text(row.external_port);
            EXPECT_EQ(all.find(protocol, row.external_port), &row);
            EXPECT_EQ(all.find(row.internal), &row);
            EXPECT_LT(id, all.next_id());
            EXPECT_FALSE(pool.contains(row.external_port));
            if (row.origin == Origin::automatic) {
                ASSERT_TRUE(row.mac);
                automatic.insert(id);
                ++of_mac[*row.mac];
            } else {
                EXPECT_NE(row.state, ReservationState::waiting);
            }
        }
        EXPECT_EQ(all.claims(), automatic);
        EXPECT_LE(automatic.size(), policy_.limit);
        for (const auto& [mac, count] : of_mac) EXPECT_LE(count, policy_.limit_per_mac);
    }

    // `all_` is what the last operation has made of `before`.
    void expect_only_what_may_change(const Reservations& before) const {
        const bool asked = operation_ == Operation::reserve ||
                           operation_ == Operation::reserve_many ||
                           operation_ == Operation::change || operation_ == Operation::release ||
                           operation_ == Operation::configure;
        for (const auto& [id, row] : before.rows()) {
            if (asked || row.origin == Origin::automatic) continue;
            ASSERT_NE(all_.find(id), nullptr);
            EXPECT_EQ(*all_.find(id), row) << "of somebody who asked";
        }
        for (const auto id : all_.claims()) {
            const auto& row = *all_.find(id);
            const ProtocolPort outside{row.internal.protocol, row.external_port};
            switch (operation_) {
                case Operation::leave_own_ports:
                    EXPECT_FALSE(all_.is_own(outside.protocol, outside.port));
                    break;
                case Operation::hold_back:
                    EXPECT_EQ(row.state == ReservationState::waiting, held_back_.contains(outside));
                    break;
                case Operation::forget:
                    EXPECT_GT(row.last_seen, forgotten_);
                    break;
                default:
                    break;
            }
        }
    }

    std::mt19937 engine_;
    Reservations all_;
    ClaimPolicy policy_{.ports = ports(51820, 51823),
                        .alternates = ports(42000, 42004),
                        .limit = 9,
                        .limit_per_mac = 4};
    Time now_ = now;
    Operation operation_ = Operation::claim;
    std::set<ProtocolPort> held_back_;
    Time forgotten_{};
};

class ClaimsProperty : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(ClaimsProperty, NeverShareAPortWhateverHappens) {
    RandomOperations random(GetParam());
    for (int operation = 0; operation < 1000; ++operation) {
        SCOPED_TRACE("operation " + std::to_string(operation));
        ASSERT_NO_FATAL_FAILURE(random.step());
        if (HasFailure()) FAIL() << "after the first operation that went wrong";
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ClaimsProperty, ::testing::Range<std::uint32_t>(1, 9));

}  // namespace
}  // namespace porthole
