// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdint>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/journal.hpp"
#include "core_support.hpp"

namespace porthole {
namespace {

using namespace support;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<Reservation> rows(std::uint64_t first, std::uint64_t last) {
    std::vector<Reservation> result;
    for (auto id = first; id <= last; ++id) {
        result.push_back({.id = ReservationId{id},
                          .internal = endpoint("192.168.2.2", id),
                          .external_port = port(id),
                          .filtering = default_filtering,
                          .origin = Origin::api,
                          .state = ReservationState::active,
                          .comment = Comment()});
    }
    return result;
}

ReservationDifference created(std::uint64_t first, std::uint64_t last) {
    return {{}, rows(first, last)};
}
ReservationDifference changed(std::uint64_t first, std::uint64_t last) {
    return {rows(first, last), rows(first, last)};
}
ReservationDifference removed(std::uint64_t first, std::uint64_t last) {
    return {rows(first, last), {}};
}

TEST(JournalTest, TellsEachChangeOnceAndForgetsIt) {
    Journal journal;
    EXPECT_TRUE(journal.empty());
    journal.record(created(7, 8));
    journal.record(changed(3, 3));
    journal.record(changed(8, 8));
    journal.record(removed(2, 2));
    EXPECT_FALSE(journal.empty());
    const auto entry = journal.drain();
    EXPECT_FALSE(entry.reset);
    EXPECT_THAT(entry.changed, ElementsAre(ReservationId{3}, ReservationId{7}, ReservationId{8}));
    EXPECT_THAT(entry.removed, ElementsAre(ReservationId{2}));
    EXPECT_TRUE(journal.empty());
    EXPECT_THAT(journal.drain().changed, IsEmpty());
}

TEST(JournalTest, KeepsSilentAboutWhatCameAndWent) {
    Journal journal;
    journal.record(created(1, 1));
    journal.record(changed(1, 1));
    journal.record(removed(1, 1));
    EXPECT_TRUE(journal.empty());
}

TEST(JournalTest, TellsTheRemovalOfWhatWasAnnounced) {
    Journal journal;
    journal.record(created(1, 2));
    journal.drain();
    journal.record(changed(1, 1));
    journal.record(removed(1, 2));
    const auto entry = journal.drain();
    EXPECT_THAT(entry.changed, IsEmpty());
    EXPECT_THAT(entry.removed, ElementsAre(ReservationId{1}, ReservationId{2}));
}

TEST(JournalTest, TellsALittleAtATime) {
    Journal journal;
    journal.record(created(1, 3));
    EXPECT_THAT(journal.drain(2).changed, ElementsAre(ReservationId{1}, ReservationId{2}));
    journal.record(removed(2, 3));
    const auto entry = journal.drain(2);
    EXPECT_THAT(entry.removed, ElementsAre(ReservationId{2})) << "nobody was told of the third";
    EXPECT_THAT(entry.changed, IsEmpty());
    EXPECT_TRUE(journal.empty());
}

TEST(JournalTest, ListsUpToItsBoundAndThenSaysReset) {
    Journal journal;
    journal.record(changed(1, 250));
    journal.record(removed(251, 500));
    auto entry = journal.drain();
    EXPECT_FALSE(entry.reset);
    EXPECT_THAT(entry.changed, SizeIs(250));
    EXPECT_THAT(entry.removed, SizeIs(250));

    journal.record(changed(1, 250));
    journal.record(removed(251, 501));
    journal.record(created(600, 600));
    EXPECT_FALSE(journal.empty());
    entry = journal.drain();
    EXPECT_TRUE(entry.reset);
    EXPECT_THAT(entry.changed, IsEmpty());
    EXPECT_THAT(entry.removed, IsEmpty());

    journal.record(created(601, 601));
    EXPECT_FALSE(journal.drain().reset);
}

TEST(JournalTest, SaysResetAfterOneChangeThatIsTooLarge) {
    for (const auto& change : {created(1, 501), changed(1, 501), removed(1, 501)}) {
        Journal journal;
        journal.record(change);
        EXPECT_TRUE(journal.drain().reset);
    }
    for (const auto& change : {created(1, 500), changed(1, 500), removed(1, 500)}) {
        Journal journal;
        journal.record(change);
        EXPECT_FALSE(journal.drain().reset);
    }
}

}  // namespace
}  // namespace porthole
