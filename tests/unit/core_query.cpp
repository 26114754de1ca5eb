// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/query.hpp"
#include "core_support.hpp"

namespace porthole {
namespace {

using namespace support;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

Reservation row(std::uint64_t id, Endpoint internal, std::uint64_t external_port, Origin origin,
                ReservationState state, std::string_view text, Time expires, Time last_seen) {
    return {.id = ReservationId{id},
            .internal = internal,
            .external_port = port(external_port),
            .filtering = default_filtering,
            .origin = origin,
            .state = state,
            .comment = comment(text),
            .expires = expires,
            .last_seen = last_seen};
}

class QueryTest : public ::testing::Test {
  protected:
    const Time soon_ = now + std::chrono::seconds(1);
    const Time late_ = now + std::chrono::seconds(2);
    const Reservations reservations_{
        {row(1, endpoint("192.168.2.10", 51820), 51820, Origin::api, ReservationState::active,
             "Anna's Laptop", late_, never),
         row(2, endpoint("192.168.2.9", 51820), 51821, Origin::configured,
             ReservationState::settling, "", never, soon_),
         row(3, endpoint("02:00:5e:10:00:01", 22, Protocol::tcp), 51820, Origin::automatic,
             ReservationState::waiting, "GRÖSSE 9", soon_, late_),
         row(4, endpoint("2001:db8::1", 9), 9, Origin::api, ReservationState::active, "", never,
             never)},
        ReservationId{5}};

    [[nodiscard]] std::vector<std::uint64_t> ids(const ReservationQuery& query,
                                                 std::size_t offset = 0,
                                                 std::size_t limit = max_page_rows) const {
        std::vector<std::uint64_t> result;
        for (const auto& found : list(reservations_, query, offset, limit).rows) {
            result.push_back(number(found.id));
        }
        return result;
    }
};

TEST_F(QueryTest, WithoutConditionsFindsEverythingById) {
    EXPECT_THAT(ids({}), ElementsAre(1, 2, 3, 4));
    EXPECT_EQ(list(Reservations(), {}, 0, 10).total, 0U);
}

TEST_F(QueryTest, FindsRowsThatMeetEveryCondition) {
    EXPECT_THAT(ids({.host = parse<HostKey>("host", "192.168.2.9")}), ElementsAre(2));
    EXPECT_THAT(ids({.host = parse<HostKey>("host", "02:00:5e:10:00:01")}), ElementsAre(3));
    EXPECT_THAT(ids({.host = parse<HostKey>("host", "192.168.2.1")}), IsEmpty());
    EXPECT_THAT(ids({.protocol = Protocol::tcp}), ElementsAre(3));
    EXPECT_THAT(ids({.port = port(51820)}), ElementsAre(1, 2, 3));
    EXPECT_THAT(ids({.port = port(22)}), ElementsAre(3));
    EXPECT_THAT(ids({.origin = Origin::api}), ElementsAre(1, 4));
    EXPECT_THAT(ids({.state = ReservationState::waiting}), ElementsAre(3));
    EXPECT_THAT(ids({.protocol = Protocol::udp, .port = port(51820), .origin = Origin::configured}),
                ElementsAre(2));
}

TEST_F(QueryTest, SearchesInHostsAndCommentsWithoutRegardToAsciiCase) {
    EXPECT_THAT(ids({.search = "lapTOP"}), ElementsAre(1));
    EXPECT_THAT(ids({.search = "2001:DB8"}), ElementsAre(4));
    EXPECT_THAT(ids({.search = "2.9"}), ElementsAre(2));
    EXPECT_THAT(ids({.search = "größe"}), IsEmpty());
    EXPECT_THAT(ids({.search = "grÖsse"}), ElementsAre(3));
    EXPECT_THAT(ids({.search = "Anna's Laptop and more"}), IsEmpty());
}

TEST_F(QueryTest, SortsByEveryKeyBothWaysAndEqualRowsById) {
    struct Order {
        SortKey key;
        std::vector<std::uint64_t> ascending, descending;
    };
    for (const auto& [key, ascending, descending] : {
             Order{SortKey::id, {1, 2, 3, 4}, {4, 3, 2, 1}},
             Order{SortKey::host, {2, 1, 4, 3}, {3, 4, 1, 2}},
             Order{SortKey::protocol, {3, 1, 2, 4}, {1, 2, 4, 3}},
             Order{SortKey::internal_port, {4, 3, 1, 2}, {1, 2, 3, 4}},
             Order{SortKey::external_port, {4, 1, 3, 2}, {2, 1, 3, 4}},
             Order{SortKey::origin, {2, 1, 4, 3}, {3, 1, 4, 2}},
             Order{SortKey::state, {2, 1, 4, 3}, {3, 1, 4, 2}},
             Order{SortKey::expires, {3, 1, 2, 4}, {2, 4, 1, 3}},
             Order{SortKey::last_seen, {1, 4, 2, 3}, {3, 2, 1, 4}},
         }) {
        EXPECT_THAT(ids({.sort = key}), ElementsAreArray(ascending)) << to_text(key);
        EXPECT_THAT(ids({.sort = key, .descending = true}), ElementsAreArray(descending))
            << to_text(key);
        EXPECT_EQ(TextForm<SortKey>::parse(to_text(key)), key);
    }
    EXPECT_EQ(TextForm<SortKey>::parse("ID"), std::nullopt);
}

TEST_F(QueryTest, ReturnsPagesAndHowManyRowsAllOfThemHave) {
    const ReservationQuery query{.origin = Origin::api, .sort = SortKey::external_port};
    EXPECT_THAT(ids(query, 0, 1), ElementsAre(4));
    EXPECT_THAT(ids(query, 1, 1), ElementsAre(1));
    EXPECT_THAT(ids(query, 1, 500), ElementsAre(1));
    EXPECT_THAT(ids(query, 2, 1), IsEmpty());
    EXPECT_THAT(ids(query, SIZE_MAX, SIZE_MAX), IsEmpty());
    EXPECT_THAT(ids(query, 0, 0), IsEmpty());
    for (const std::size_t offset : {0U, 1U, 2U, 9U}) {
        EXPECT_EQ(list(reservations_, query, offset, 1).total, 2U) << offset;
    }
}

TEST_F(QueryTest, FindsThatAllWaitWhereNothingIsInForce) {
    ReservationQuery query{.state = ReservationState::waiting, .all_wait = true};
    EXPECT_EQ(list(reservations_, query, 0, 10).total, reservations_.size());
    query.state = ReservationState::active;
    EXPECT_EQ(list(reservations_, query, 0, 10).total, 0U);
}

}  // namespace
}  // namespace porthole
