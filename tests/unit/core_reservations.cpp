// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/reservations.hpp"
#include "core_support.hpp"
#include "types/limits.hpp"

namespace porthole {
namespace {

using namespace support;
using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::ThrowsMessage;

const auto anna = endpoint("192.168.2.2", 51820);
const auto ben = endpoint("192.168.2.3", 51820);
const auto carl = endpoint("192.168.2.4", 51820);

class ReservationsTest : public ::testing::Test {
  protected:
    Reservations all_;

    const Reservation& reserve(const ReserveRequest& request, Origin origin = Origin::api,
                               Time when = now) {
        all_.apply(all_.reserve(request, origin, when));
        return *all_.find(request.internal);
    }
    void configure(const std::vector<ReserveRequest>& wanted) {
        const auto [difference, refused, invalid] = all_.configure(wanted, now);
        EXPECT_THAT(refused, IsEmpty());
        all_.apply(difference);
    }
};

TEST_F(ReservationsTest, GiveAHostItsOwnPortWithDefaults) {
    const auto difference = all_.reserve({.internal = anna}, Origin::api, now);
    EXPECT_EQ(all_.size(), 0U) << "deciding changed something";
    const Reservation expected{.id = ReservationId{1},
                               .internal = anna,
                               .external_port = port(51820),
                               .filtering = Filtering::address_dependent,
                               .origin = Origin::api,
                               .state = ReservationState::settling,
                               .comment = Comment(),
                               .expires = never,
                               .last_seen = never};
    EXPECT_THAT(difference.before, IsEmpty());
    EXPECT_THAT(difference.after, ElementsAre(expected));
    all_.apply(difference);
    EXPECT_EQ(*all_.find(ReservationId{1}), expected);
    EXPECT_EQ(*all_.find(anna), expected);
    EXPECT_EQ(*all_.find(Protocol::udp, port(51820)), expected);
    EXPECT_EQ(all_.find(Protocol::tcp, port(51820)), nullptr);
}

TEST_F(ReservationsTest, CountWhatTheClientsOfAUserAskFor) {
    constexpr std::uint32_t user = 1000;
    constexpr std::uint32_t other = 1001;
    const auto request = [](std::size_t number, std::uint32_t who) {
        const auto protocol = number % 2 == 0 ? Protocol::udp : Protocol::tcp;
        return ReserveRequest{.internal = endpoint("192.168.2.2", number / 2 + 1, protocol),
                              .user = who};
    };
    constexpr std::size_t most = most_reservations_of_a_user;
    std::vector<ReserveRequest> requests;
    for (std::size_t i = 0; i < most; ++i) requests.push_back(request(i, user));
    std::vector<ReservationId> ids;
    const auto all_of_them = all_.reserve_many(requests, Origin::api, now, ids);
    all_.require_room(all_of_them);
    all_.apply(all_of_them);
    const auto require_room = [&](const ReserveRequest& wanted) {
        all_.require_room(all_.reserve(wanted, Origin::api, now));
    };
    EXPECT_THAT([&] { require_room(request(most, user)); },
                is_refused(Refusal::limit_exceeded,
                           "32769 reservations of user 1000 would be too "
                           "many: at most 32768 are possible"));
    require_room(request(0, user));
    require_room(request(most, other));
    require_room(request(most, 0));

    // Who asks again for somebody else's has it from then on.
    reserve(request(0, other));
    EXPECT_EQ(all_.count_of(other), 1U);
    EXPECT_EQ(all_.count_of(user), most - 1);
    reserve(request(most, user));
    EXPECT_THAT([&] { require_room(request(0, user)); },
                is_refused(Refusal::limit_exceeded, "32769 reservations of user 1000"));
    all_.apply(all_.release(ids));
    EXPECT_EQ(all_.count_of(user), 1U);
    EXPECT_EQ(all_.count_of(other), 0U);
}

TEST_F(ReservationsTest, GiveWhatARequestAsksFor) {
    const auto& row = reserve({.internal = anna,
                               .external_port = port(7),
                               .filtering = Filtering::endpoint_independent,
                               .lifetime = 60s,
                               .comment = comment("laptop")},
                              Origin::automatic);
    EXPECT_EQ(row.external_port, port(7));
    EXPECT_EQ(row.filtering, Filtering::endpoint_independent);
    EXPECT_EQ(row.expires, now + 60s);
    EXPECT_EQ(row.comment, comment("laptop"));
    EXPECT_EQ(row.origin, Origin::automatic);
}

TEST_F(ReservationsTest, RenewedWithoutOptionsKeepEverythingButTheLifetime) {
    const auto first = reserve({.internal = anna,
                                .external_port = port(7),
                                .filtering = Filtering::endpoint_independent,
                                .lifetime = 60s,
                                .comment = comment("laptop")},
                               Origin::automatic);
    auto expected = first;
    expected.origin = Origin::api;
    expected.expires = never;
    EXPECT_EQ(reserve({.internal = anna}), expected);
    EXPECT_TRUE(all_.reserve({.internal = anna}, Origin::api, now + 1s).empty());
}

TEST_F(ReservationsTest, RenewedWithOptionsTakeThem) {
    const auto first = reserve({.internal = anna, .lifetime = 60s});
    const auto& row = reserve({.internal = anna,
                               .external_port = port(7),
                               .filtering = Filtering::endpoint_independent,
                               .lifetime = 30s,
                               .comment = comment("laptop")},
                              Origin::api, now + 50s);
    EXPECT_EQ(row.id, first.id);
    EXPECT_EQ(row.external_port, port(7));
    EXPECT_EQ(row.filtering, Filtering::endpoint_independent);
    EXPECT_EQ(row.expires, now + 80s);
    EXPECT_EQ(row.comment, comment("laptop"));
    EXPECT_EQ(all_.find(Protocol::udp, port(51820)), nullptr);
}

TEST_F(ReservationsTest, NameTheOwnerOfAPortThatIsTaken) {
    reserve({.internal = anna});
    EXPECT_THAT(
        [&] { reserve({.internal = ben}); },
        is_refused(Refusal::port_taken, "51820/udp is owned by 192.168.2.2 (reservation 1, api)"));
    reserve({.internal = endpoint("192.168.2.3", 51820, Protocol::tcp)});
    EXPECT_EQ(all_.size(), 2U);
}

TEST_F(ReservationsTest, GiveTheSecondHostTheNextPortAndAlwaysTheSame) {
    reserve({.internal = anna});
    const ReserveRequest request{
        .internal = ben, .external_port = port(51820), .on_conflict = OnConflict::next};
    EXPECT_EQ(reserve(request).external_port, port(51821));
    EXPECT_EQ(reserve(request).external_port, port(51821)) << "renewed";
    reserve({.internal = carl, .on_conflict = OnConflict::next});
    EXPECT_EQ(all_.find(carl)->external_port, port(51822));
    all_.apply(all_.release(std::array{all_.find(ben)->id}));
    EXPECT_EQ(
        reserve({.internal = carl, .external_port = port(51820), .on_conflict = OnConflict::next})
            .external_port,
        port(51822))
        << "a nearer port is free now, but remotes know this one";
}

TEST_F(ReservationsTest, FindTheNextFreePortWithinTheRangeOfThePort) {
    const auto next = [&](std::uint64_t value) {
        return all_.next_free_port(Protocol::udp, port(value));
    };
    all_.set_pool(*PortRange::from(port(40000), port(40999)));
    EXPECT_EQ(next(39999), port(41000)) << "ports of the pool are never free";
    EXPECT_EQ(next(51820), port(51821));
    EXPECT_EQ(next(65535), port(1024));
    EXPECT_EQ(next(1024), port(1025));
    EXPECT_EQ(next(1023), port(1));
    EXPECT_EQ(next(1), port(2));
    for (const auto taken : {1U, 1024U, 65535U}) {
        reserve({.internal = endpoint("192.168.2.2", taken)});
    }
    EXPECT_EQ(next(65535), port(1025));
    EXPECT_EQ(next(65534), port(1025));
    EXPECT_EQ(next(1023), port(2));
    EXPECT_EQ(all_.next_free_port(Protocol::tcp, port(65535)), port(1024));
}

// What displaced flows leave from cannot be reserved, and the message says so.
TEST_F(ReservationsTest, KeepThePoolFree) {
    const auto refused = [&](const ReserveRequest& request) {
        EXPECT_THAT([&] { (void)all_.reserve(request, Origin::api, now); },
                    ThrowsMessage<Refused>(AllOf(HasSubstr("61440-65535"), HasSubstr("pool"))));
    };
    refused({.internal = endpoint("192.168.2.2", 61440)});
    refused({.internal = anna, .external_port = port(65535)});
    EXPECT_EQ(reserve({.internal = endpoint("192.168.2.2", 61440), .on_conflict = OnConflict::next})
                  .external_port,
              port(1024));
    const auto id = reserve({.internal = anna}).id;
    EXPECT_THROW((void)all_.change(id, {.external_port = port(62000)}, now), Refused);
}

TEST_F(ReservationsTest, RefuseTheNextPortWhereItsRangeIsFull) {
    std::vector<ReserveRequest> well_known;
    for (std::uint64_t value = 1; value <= 1023; ++value) {
        well_known.push_back({.internal = endpoint("192.168.2.2", value)});
    }
    std::vector<ReservationId> ids;
    all_.apply(all_.reserve_many(well_known, Origin::api, now, ids));
    EXPECT_EQ(all_.next_free_port(Protocol::udp, port(80)), std::nullopt);
    EXPECT_THAT(
        [&] {
            reserve({.internal = endpoint("192.168.2.3", 80), .on_conflict = OnConflict::next});
        },
        is_refused(Refusal::limit_exceeded, "no external port of udp is free in the range of 80"));

    all_.apply(all_.release(std::array{all_.find(Protocol::udp, port(79))->id}));
    EXPECT_EQ(reserve({.internal = endpoint("192.168.2.3", 80), .on_conflict = OnConflict::next})
                  .external_port,
              port(79));
}

TEST_F(ReservationsTest, OfTheConfigurationCannotBeChangedByOthers) {
    configure({{.internal = anna}});
    const auto id = all_.find(anna)->id;
    EXPECT_THAT([&] { reserve({.internal = anna, .external_port = port(7)}); },
                is_refused(Refusal::read_only, "configuration file"));
    EXPECT_THAT([&] { (void)all_.change(id, {.external_port = port(7)}, now); },
                is_refused(Refusal::read_only, "reservation 1 of 192.168.2.2"));
    EXPECT_THAT([&] { (void)all_.release(std::array{id}); },
                is_refused(Refusal::read_only, "configuration file"));
    EXPECT_THAT([&] { reserve({.internal = ben}); },
                is_refused(Refusal::port_taken, "192.168.2.2 (reservation 1, static)"));
}

TEST_F(ReservationsTest, AreReservedTogetherInOrder) {
    reserve({.internal = anna});
    const std::array requests{
        ReserveRequest{.internal = carl, .on_conflict = OnConflict::next},
        ReserveRequest{.internal = anna, .external_port = port(7)},
        ReserveRequest{.internal = ben},
        ReserveRequest{.internal = carl, .comment = comment("again")},
    };
    std::vector<ReservationId> ids;
    const auto difference = all_.reserve_many(requests, Origin::api, now, ids);
    EXPECT_THAT(
        ids, ElementsAre(ReservationId{2}, ReservationId{1}, ReservationId{3}, ReservationId{2}));
    EXPECT_THAT(difference.before, SizeIs(1));
    EXPECT_THAT(difference.after, SizeIs(3));
    all_.apply(difference);
    EXPECT_EQ(all_.find(carl)->external_port, port(51821)) << "anna still owned the port then";
    EXPECT_EQ(all_.find(carl)->comment, comment("again"));
    EXPECT_EQ(all_.find(anna)->external_port, port(7));
    EXPECT_EQ(all_.find(ben)->external_port, port(51820));
}

TEST_F(ReservationsTest, AreReservedTogetherOrNotAtAll) {
    reserve({.internal = anna, .external_port = port(9)});
    const auto before = all_;
    const std::array requests{ReserveRequest{.internal = ben},
                              ReserveRequest{.internal = anna, .external_port = port(7)},
                              ReserveRequest{.internal = carl}};
    std::vector<ReservationId> ids;
    EXPECT_THAT([&] { (void)all_.reserve_many(requests, Origin::api, now, ids); },
                is_refused(Refusal::port_taken,
                           "rows[2]: external port 51820/udp is owned by 192.168.2.3"));
    EXPECT_EQ(all_, before);
    EXPECT_TRUE(all_.reserve_many({}, Origin::api, now, ids).empty());
    EXPECT_THAT(ids, IsEmpty());
}

TEST_F(ReservationsTest, ChangeOnlyWhatAChangeNames) {
    const auto old = reserve({.internal = anna, .lifetime = 60s, .comment = comment("laptop")});
    EXPECT_TRUE(all_.change(old.id, {}, now + 1s).empty());
    EXPECT_TRUE(all_.change(old.id, {.external_port = old.external_port}, now + 1s).empty());

    auto expected = old;
    const auto change = [&](const ReservationChanges& changes) {
        all_.apply(all_.change(old.id, changes, now + 50s));
        EXPECT_EQ(*all_.find(old.id), expected);
    };
    expected.external_port = port(7);
    change({.external_port = port(7)});
    expected.filtering = Filtering::endpoint_independent;
    change({.filtering = Filtering::endpoint_independent});
    expected.expires = now + 80s;
    change({.lifetime = 30s});
    expected.expires = never;
    change({.lifetime = 0s});
    expected.comment = Comment();
    change({.comment = Comment()});
    EXPECT_EQ(all_.find(Protocol::udp, port(7))->id, old.id);
    EXPECT_EQ(all_.find(Protocol::udp, port(51820)), nullptr);
}

TEST_F(ReservationsTest, RefuseChangesToAPortThatIsTakenAndOfRowsThatAreNotThere) {
    reserve({.internal = anna});
    const auto id = reserve({.internal = ben, .external_port = port(7)}).id;
    EXPECT_THAT([&] { (void)all_.change(id, {.external_port = port(51820)}, now); },
                is_refused(Refusal::port_taken, "owned by 192.168.2.2 (reservation 1, api)"));
    EXPECT_THAT([&] { (void)all_.change(ReservationId{9}, {}, now); },
                is_refused(Refusal::no_such_reservation, "there is no reservation 9"));
}

TEST_F(ReservationsTest, AreReleasedTogetherOrNotAtAll) {
    const auto first = reserve({.internal = anna});
    const auto second = reserve({.internal = ben, .external_port = port(7)});
    EXPECT_THAT(
        [&] {
            (void)all_.release(std::array{first.id, ReservationId{9}});
        },
        is_refused(Refusal::no_such_reservation, "there is no reservation 9"));
    const auto difference = all_.release(std::array{second.id, first.id, second.id});
    EXPECT_THAT(difference.before, ElementsAre(first, second));
    EXPECT_THAT(difference.after, IsEmpty());
    all_.apply(difference);
    EXPECT_EQ(all_, Reservations());
    EXPECT_EQ(reserve({.internal = anna}).id, ReservationId{3}) << "ids are never used again";
}

TEST_F(ReservationsTest, ExpireWhenTheirLifetimeIsOver) {
    EXPECT_EQ(all_.next_expiry(), std::nullopt);
    const auto late = reserve({.internal = anna, .lifetime = 20s});
    const auto soon = reserve({.internal = ben, .external_port = port(7), .lifetime = 10s});
    reserve({.internal = carl, .external_port = port(8)});
    EXPECT_EQ(all_.next_expiry(), now + 10s);
    EXPECT_TRUE(all_.expire(now + 9s).empty());
    EXPECT_THAT(all_.expire(now + 10s).before, ElementsAre(soon));
    EXPECT_THAT(all_.expire(now + 20s).before, ElementsAre(late, soon));
    all_.apply(all_.expire(now + 20s));
    EXPECT_EQ(all_.next_expiry(), std::nullopt);
    EXPECT_NE(all_.find(carl), nullptr);
}

TEST_F(ReservationsTest, OfTheConfigurationFollowIt) {
    configure({{.internal = anna}, {.internal = ben, .external_port = port(7)}});
    const auto anna_id = all_.find(anna)->id;
    EXPECT_EQ(all_.find(anna)->origin, Origin::configured);
    EXPECT_TRUE(all_.configure(std::array{ReserveRequest{.internal = ben, .external_port = port(7)},
                                          ReserveRequest{.internal = anna}},
                               now)
                    .difference.empty())
        << "their order does not matter";

    configure({{.internal = carl, .external_port = port(7)}, {.internal = anna}});
    EXPECT_EQ(all_.find(ben), nullptr);
    EXPECT_EQ(all_.find(carl)->external_port, port(7));
    EXPECT_EQ(all_.find(anna)->id, anna_id);
    configure({});
    EXPECT_EQ(all_.size(), 0U);
}

TEST_F(ReservationsTest, OfTheConfigurationCanExchangeTheirPorts) {
    configure({{.internal = anna}, {.internal = ben, .external_port = port(7)}});
    const auto anna_id = all_.find(anna)->id;
    const auto ben_id = all_.find(ben)->id;
    configure({{.internal = anna, .external_port = port(7)}, {.internal = ben}});
    EXPECT_EQ(all_.find(Protocol::udp, port(7))->id, anna_id);
    EXPECT_EQ(all_.find(Protocol::udp, port(51820))->id, ben_id);
}

TEST_F(ReservationsTest, OfTheConfigurationTakeOverRowsOfTheSameEndpoint) {
    const auto before = reserve({.internal = anna, .lifetime = 60s, .comment = comment("laptop")});
    configure({{.internal = anna, .external_port = port(7)}});
    auto expected = before;
    expected.external_port = port(7);
    expected.origin = Origin::configured;
    expected.expires = never;
    EXPECT_EQ(*all_.find(anna), expected);
}

TEST_F(ReservationsTest, OfTheConfigurationGiveWayToOwnersOfOtherOrigins) {
    reserve({.internal = anna});
    const auto [difference, refused, invalid] =
        all_.configure(std::array{ReserveRequest{.internal = carl, .external_port = port(7)},
                                  ReserveRequest{.internal = ben}},
                       now);
    EXPECT_THAT(refused, ElementsAre("reservation[1]: external port 51820/udp is owned by "
                                     "192.168.2.2 (reservation 1, api)"));
    EXPECT_THAT(difference.before, IsEmpty());
    ASSERT_THAT(difference.after, SizeIs(1));
    EXPECT_EQ(difference.after[0].internal, carl);
}

TEST_F(ReservationsTest, OfTheConfigurationKeepWhenTheirHostWasSeen) {
    const Reservation seen{.id = ReservationId{1},
                           .internal = anna,
                           .external_port = port(51820),
                           .filtering = default_filtering,
                           .origin = Origin::configured,
                           .state = ReservationState::active,
                           .comment = Comment(),
                           .last_seen = now};
    const Reservations stored({seen}, ReservationId{2});
    EXPECT_TRUE(
        stored.configure(std::array{ReserveRequest{.internal = anna}}, now).difference.empty());
}

TEST_F(ReservationsTest, AreNotMadeOfRowsThatContradictEachOther) {
    const auto stored = reserve({.internal = anna});
    auto same_id = reserve({.internal = ben, .external_port = port(7)});
    auto same_endpoint = same_id;
    auto same_port = same_id;
    same_id.id = stored.id;
    same_endpoint.internal = stored.internal;
    same_port.external_port = stored.external_port;
    for (const auto& other : {same_id, same_endpoint, same_port}) {
        EXPECT_THROW(Reservations({stored, other}, ReservationId{3}), StorageFailure);
    }
    EXPECT_THROW(Reservations({stored}, stored.id), StorageFailure) << "its id may be given again";
    auto no_id = stored;
    no_id.id = ReservationId{0};
    EXPECT_THROW(Reservations({no_id}, ReservationId{2}), StorageFailure);

    Reservations loaded({stored}, ReservationId{9});
    loaded.apply(loaded.reserve({.internal = ben, .external_port = port(7)}, Origin::api, now));
    EXPECT_EQ(loaded.find(ben)->id, ReservationId{9});
}

const ExternalAddress first_address(parse<Address>("", "203.0.113.1"));
const ExternalAddress second_address(parse<Address>("", "203.0.113.2"));

class FixedAddresses : public ReservationsTest {
  protected:
    FixedAddresses() { all_.set_perimeter(all<Address>({"203.0.113.1", "203.0.113.2"})); }
    const Reservation& reserve_at(const Endpoint& internal, ExternalAddress address,
                                  OnConflict on_conflict = OnConflict::fail) {
        return reserve(
            {.internal = internal, .external_address = address, .on_conflict = on_conflict});
    }
};

TEST_F(FixedAddresses, HavePortsOfTheirOwn) {
    EXPECT_EQ(reserve_at(anna, first_address).external_port, port(51820));
    EXPECT_EQ(reserve_at(ben, second_address).external_port, port(51820));
    EXPECT_EQ(all_.find(Protocol::udp, port(51820)), nullptr) << "nobody has it on all";
    EXPECT_THAT(all_.all_outside({Protocol::udp, port(51820)}), SizeIs(2));
}

TEST_F(FixedAddresses, ArePartOfThePortsOfAll) {
    reserve_at(anna, first_address);
    EXPECT_THAT([&] { reserve({.internal = ben}); },
                is_refused(Refusal::port_taken, "192.168.2.2 (reservation 1, api) on 203.0.113.1"));
    EXPECT_EQ(reserve_at(ben, {}, OnConflict::next).external_port, port(51821));
    EXPECT_THAT(
        [&] {
            reserve({.internal = carl,
                     .external_port = port(51821),
                     .external_address = first_address});
        },
        is_refused(Refusal::port_taken, "51821/udp of 203.0.113.1 is owned by 192.168.2.3"));
    EXPECT_EQ(reserve_at(carl, first_address, OnConflict::next).external_port, port(51822));
}

TEST_F(FixedAddresses, AreKeptByARenewal) {
    reserve_at(anna, first_address);
    EXPECT_EQ(reserve({.internal = anna}).external_address, first_address);
    EXPECT_EQ(reserve_at(anna, {}).external_address, ExternalAddress());
    EXPECT_THAT(all_.fixed(), IsEmpty());
}

TEST_F(FixedAddresses, MakeClaimsGiveWay) {
    const MacAddress mac = parse<MacAddress>("", "02:00:5e:10:00:03");
    all_.apply(all_.claim(std::array{Claim{ben, mac}}, ClaimPolicy(), now).difference);
    EXPECT_EQ(reserve_at(anna, first_address).external_port, port(51820));
    EXPECT_NE(all_.find(ben)->external_port, port(51820));
    all_.apply(all_.claim(std::array{Claim{carl, mac}}, ClaimPolicy(), now).difference);
    EXPECT_NE(all_.find(carl)->external_port, port(51820));
}

TEST_F(FixedAddresses, AreWaitedFor) {
    reserve_at(anna, first_address);
    reserve_at(ben, second_address);
    all_.set_perimeter(all<Address>({"203.0.113.1"}));
    all_.apply(all_.follow_perimeter());
    EXPECT_EQ(all_.find(anna)->state, ReservationState::settling);
    EXPECT_EQ(all_.find(ben)->state, ReservationState::waiting);
    EXPECT_THAT(all_.missing_addresses(),
                ElementsAre(std::pair(parse<Address>("", "203.0.113.2"), std::size_t{1})));
    // Its place is kept.
    EXPECT_THAT([&] { reserve_at(carl, second_address); },
                is_refused(Refusal::port_taken, "192.168.2.3"));
    all_.set_perimeter(all<Address>({"203.0.113.1", "203.0.113.2"}));
    all_.apply(all_.follow_perimeter());
    EXPECT_EQ(all_.find(ben)->state, ReservationState::settling);
    EXPECT_THAT(all_.follow_perimeter().after, IsEmpty());
}

TEST_F(FixedAddresses, AreNotForIpv6Hosts) {
    const auto ipv6 = endpoint("2001:db8:2::2", 51820);
    EXPECT_THAT([&] { reserve_at(ipv6, first_address); },
                ThrowsMessage<InvalidArgument>(HasSubstr("external-address \"203.0.113.1\"")));
    const auto id = reserve_at(ipv6, {}).id;
    EXPECT_THAT([&] { all_.apply(all_.change(id, {.external_address = first_address}, now)); },
                ThrowsMessage<InvalidArgument>(HasSubstr("external-address")));
}

}  // namespace
}  // namespace porthole
