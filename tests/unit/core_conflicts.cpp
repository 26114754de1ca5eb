// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/conflicts.hpp"
#include "core_support.hpp"

namespace porthole {
namespace {

using namespace support;
using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr std::array causes{ConflictCause::port_wanted_twice, ConflictCause::overload,
                            ConflictCause::remapped,          ConflictCause::own_listener,
                            ConflictCause::answered_inbound,  ConflictCause::foreign_firewall,
                            ConflictCause::flow_offload};

Finding finding(std::uint64_t outside, ConflictCause cause = ConflictCause::overload) {
    return {cause, {Protocol::udp, port(outside)}, "192.168.2.2", "192.168.2.3:51820"};
}

Evidence evidence(std::size_t flows) {
    return {.remote = "198.51.100.7:51820", .flows = flows, .used = port(42000)};
}

Conflicts::Findings findings_on(std::uint64_t first, std::size_t count) {
    Conflicts::Findings findings;
    for (std::size_t i = 0; i < count; ++i) findings[finding(first + i)] = evidence(1);
    return findings;
}

auto is(std::uint64_t outside, ConflictState state) {
    return AllOf(Field(&Conflict::finding, finding(outside)), Field(&Conflict::state, state));
}

std::vector<std::uint64_t> ids(const std::vector<Conflict>& conflicts) {
    std::vector<std::uint64_t> result;
    result.reserve(conflicts.size());
    for (const auto& each : conflicts) result.push_back(each.id);
    return result;
}

TEST(ConflictsTest, AreNoneAtFirst) {
    Conflicts conflicts;
    conflicts.update({}, now);
    EXPECT_THAT(conflicts.open(), IsEmpty());
    EXPECT_FALSE(conflicts.has_news());
    EXPECT_THAT(conflicts.take_news(), IsEmpty());
}

TEST(ConflictsTest, OpenWithWhatWasFound) {
    Conflicts conflicts;
    conflicts.update({{finding(51820), evidence(3)}}, now);
    ASSERT_THAT(conflicts.open(), SizeIs(1));
    const auto opened = conflicts.open()[0];
    EXPECT_NE(opened.id, 0U);
    EXPECT_EQ(opened.finding, finding(51820));
    EXPECT_EQ(opened.evidence, evidence(3));
    EXPECT_EQ(opened.state, ConflictState::open);
    EXPECT_EQ(opened.since, now);
    EXPECT_TRUE(conflicts.has_news());
    EXPECT_THAT(conflicts.take_news(), ElementsAre(opened));
    EXPECT_FALSE(conflicts.has_news());
}

TEST(ConflictsTest, AreTheSameWhileTheyLast) {
    Conflicts conflicts;
    conflicts.update({{finding(51820), evidence(1)}}, now);
    auto expected = conflicts.take_news().at(0);
    conflicts.update({{finding(51820), evidence(2)}}, now + 60s);
    conflicts.update({{finding(51820), {}}}, now + 120s);
    expected.evidence = {};
    EXPECT_THAT(conflicts.open(), ElementsAre(expected));
    EXPECT_THAT(conflicts.take_news(), IsEmpty()) << "only what is opened or resolved is news";
}

TEST(ConflictsTest, AreToldApartByEverythingButTheEvidence) {
    auto other_cause = finding(51820, ConflictCause::remapped);
    auto other_protocol = finding(51820);
    other_protocol.port.protocol = Protocol::tcp;
    auto other_owner = finding(51820);
    other_owner.owner = "gateway";
    auto other_other = finding(51820);
    other_other.other = "gateway";
    Conflicts conflicts;
    conflicts.update({{finding(51820), {}},
                      {other_cause, {}},
                      {other_protocol, {}},
                      {other_owner, {}},
                      {other_other, {}}},
                     now);
    const auto opened = ids(conflicts.open());
    EXPECT_THAT(opened, SizeIs(5));
    EXPECT_EQ(std::set(opened.begin(), opened.end()).size(), 5U);
}

TEST(ConflictsTest, AreListedById) {
    Conflicts conflicts;
    auto findings = findings_on(51820, 1);
    conflicts.update(findings, now);
    findings.merge(findings_on(51810, 3));
    conflicts.update(findings, now + 1s);
    findings.merge(findings_on(51800, 1));
    conflicts.update(findings, now + 2s);
    const auto open = conflicts.open();
    ASSERT_THAT(open, SizeIs(5));
    EXPECT_THAT(ids(open), ::testing::WhenSorted(::testing::ElementsAreArray(ids(open))));
    EXPECT_EQ(open.front().finding, finding(51820));
    EXPECT_EQ(open.back().finding, finding(51800));
    EXPECT_EQ(open.back().since, now + 2s);
}

TEST(ConflictsTest, AreResolvedOnceWhenTheyAreNotFoundAnyMore) {
    Conflicts conflicts;
    conflicts.update(findings_on(51820, 2), now);
    const auto opened = conflicts.take_news();
    conflicts.update(findings_on(51821, 1), now + 60s);
    EXPECT_THAT(conflicts.open(), ElementsAre(is(51821, ConflictState::open)));
    const auto news = conflicts.take_news();
    ASSERT_THAT(news, ElementsAre(is(51820, ConflictState::resolved)));
    EXPECT_EQ(news[0].id, opened.at(0).id);
    EXPECT_EQ(news[0].evidence, evidence(1));
    conflicts.update(findings_on(51821, 1), now + 120s);
    EXPECT_THAT(conflicts.take_news(), IsEmpty());
}

TEST(ConflictsTest, AreOtherOnesWhenTheyComeBack) {
    Conflicts conflicts;
    conflicts.update(findings_on(51820, 1), now);
    conflicts.update({}, now + 1s);
    conflicts.update(findings_on(51820, 1), now + 2s);
    ASSERT_THAT(conflicts.open(), SizeIs(1));
    EXPECT_EQ(conflicts.open()[0].since, now + 2s);
    const auto news = conflicts.take_news();
    ASSERT_THAT(news,
                ElementsAre(is(51820, ConflictState::open), is(51820, ConflictState::resolved),
                            is(51820, ConflictState::open)));
    EXPECT_EQ(news[1].id, news[0].id);
    EXPECT_NE(news[2].id, news[0].id);
}

TEST(ConflictsTest, TellTheirNewsInTheOrderInWhichTheyHappened) {
    Conflicts conflicts;
    conflicts.update(findings_on(51829, 1), now);
    auto findings = findings_on(51829, 1);
    findings.merge(findings_on(51820, 1));
    conflicts.update(findings, now + 1s);
    conflicts.update(findings_on(51820, 1), now + 2s);
    conflicts.update({}, now + 3s);
    EXPECT_THAT(
        conflicts.take_news(),
        ElementsAre(is(51829, ConflictState::open), is(51820, ConflictState::open),
                    is(51829, ConflictState::resolved), is(51820, ConflictState::resolved)));
}

TEST(ConflictsTest, AreNoMoreThanThereIsRoomFor) {
    Conflicts conflicts;
    const auto findings = findings_on(1024, Conflicts::capacity + 7);
    conflicts.update(findings, now);
    const auto open = conflicts.open();
    EXPECT_THAT(open, SizeIs(Conflicts::capacity));
    EXPECT_THAT(conflicts.take_news(), SizeIs(Conflicts::capacity));
    conflicts.update(findings, now + 1s);
    EXPECT_EQ(conflicts.open(), open);
    EXPECT_THAT(conflicts.take_news(), IsEmpty());

    conflicts.update({}, now + 2s);
    EXPECT_THAT(conflicts.open(), IsEmpty());
    EXPECT_THAT(
        conflicts.take_news(),
        AllOf(SizeIs(Conflicts::capacity), Each(Field(&Conflict::state, ConflictState::resolved))));
}

TEST(ConflictsTest, LeaveTheirRoomToTheNextOnes) {
    Conflicts conflicts;
    conflicts.update(findings_on(1024, Conflicts::capacity), now);
    EXPECT_THAT(conflicts.take_news(), SizeIs(Conflicts::capacity));
    conflicts.update(findings_on(2048, Conflicts::capacity), now + 1s);
    ASSERT_THAT(conflicts.open(), SizeIs(Conflicts::capacity));
    EXPECT_EQ(conflicts.open()[0].finding, finding(2048));
    EXPECT_THAT(conflicts.take_news(), SizeIs(2 * Conflicts::capacity));
}

TEST(ConflictsTest, HaveCausesThatCanBeReadAndWritten) {
    const std::string allowed(TextForm<ConflictCause>::allowed);
    std::set<std::string> texts;
    for (const auto cause : causes) {
        const auto text = to_text(cause);
        EXPECT_TRUE(texts.insert(text).second) << text;
        EXPECT_THAT(allowed, ::testing::HasSubstr('"' + text + '"'));
        EXPECT_EQ(TextForm<ConflictCause>::parse(text), cause);
    }
    for (const auto* text : {"", "Overload", "overload ", "port_wanted_twice", "0"}) {
        EXPECT_EQ(TextForm<ConflictCause>::parse(text), std::nullopt) << text;
    }
}

TEST(ConflictsTest, AreExplainedAndHaveAnEnd) {
    std::set<std::string> explanations;
    for (const auto cause : causes) {
        for (const auto* owner : {"192.168.2.2", "gateway"}) {
            Conflict conflict{1, finding(51820, cause), {}, ConflictState::open, now};
            conflict.finding.owner = owner;
            const auto text = explanation(conflict);
            EXPECT_THAT(text, Not(IsEmpty()));
            explanations.insert(text);
            EXPECT_THAT(actions(conflict), AllOf(Not(IsEmpty()), Each(Not(IsEmpty()))));
            conflict.evidence = evidence(3);
            EXPECT_THAT(explanation(conflict), Not(IsEmpty()));
        }
    }
    EXPECT_GE(explanations.size(), causes.size());
}

}  // namespace
}  // namespace porthole
