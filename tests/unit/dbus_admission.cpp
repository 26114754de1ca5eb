// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dbus/admission.hpp"
#include "dbus/limits.hpp"
#include "types/error.hpp"

namespace porthole::dbus {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Question manage{Action::manage, false};
constexpr Question manage_interactively{Action::manage, true};
constexpr Question secrets{Action::secrets, false};

class DBusAdmission : public testing::Test {
  protected:
    Admission::Call call(const std::string& name) {
        return [this, name](const Denial& denial) {
            answers_.push_back(denial ? name + " denied: " + *denial : name);
        };
    }

    std::vector<std::string> asked_;
    std::vector<std::string> answers_;
    Admission admission_{[this](const std::string& client, Question question) {
        asked_.push_back(client + (question.action == Action::secrets ? " secrets" : "") +
                         (question.interactive ? " interactively" : ""));
    }};
};

TEST_F(DBusAdmission, AsksNothingForReading) {
    admission_.read(":1.1", call("list"));
    EXPECT_THAT(answers_, ElementsAre("list"));
    EXPECT_THAT(asked_, IsEmpty());
}

TEST_F(DBusAdmission, HoldsAChangeBackUntilItIsDecided) {
    admission_.change(":1.1", manage, call("reserve"));
    EXPECT_THAT(asked_, ElementsAre(":1.1"));
    EXPECT_THAT(answers_, IsEmpty());
    admission_.decide(":1.1", std::nullopt, Validity::lasting);
    EXPECT_THAT(answers_, ElementsAre("reserve"));
}

TEST_F(DBusAdmission, AnswersTheCallsOfAClientInOrder) {
    admission_.change(":1.1", manage, call("reserve"));
    admission_.read(":1.1", call("list"));
    admission_.change(":1.1", manage, call("release"));
    admission_.read(":1.2", call("somebody else's"));
    EXPECT_THAT(answers_, ElementsAre("somebody else's"));
    EXPECT_THAT(asked_, ElementsAre(":1.1"));
    admission_.decide(":1.1", std::nullopt, Validity::lasting);
    EXPECT_THAT(answers_, ElementsAre("somebody else's", "reserve", "list", "release"));
}

TEST_F(DBusAdmission, RemembersALastingDecision) {
    admission_.change(":1.1", manage, call("first"));
    admission_.decide(":1.1", "no", Validity::lasting);
    admission_.change(":1.1", manage_interactively, call("second"));
    EXPECT_THAT(asked_, ElementsAre(":1.1"));
    EXPECT_THAT(answers_, ElementsAre("first denied: no", "second denied: no"));
}

TEST_F(DBusAdmission, AsksForEachActionByItself) {
    admission_.change(":1.1", manage, call("reserve"));
    admission_.change(":1.1", secrets, call("export"));
    admission_.decide(":1.1", std::nullopt, Validity::lasting);
    EXPECT_THAT(answers_, ElementsAre("reserve"));
    admission_.decide(":1.1", "no", Validity::lasting);
    EXPECT_THAT(asked_, ElementsAre(":1.1", ":1.1 secrets"));
    EXPECT_THAT(answers_, ElementsAre("reserve", "export denied: no"));
}

TEST_F(DBusAdmission, AsksAgainAfterAnAnswerForOneCall) {
    admission_.change(":1.1", manage_interactively, call("first"));
    admission_.change(":1.1", manage, call("second"));
    admission_.decide(":1.1", std::nullopt, Validity::once);
    EXPECT_THAT(answers_, ElementsAre("first"));
    EXPECT_THAT(asked_, ElementsAre(":1.1 interactively", ":1.1"));
}

TEST_F(DBusAdmission, DeniesWhatHasWaitedWhenNobodyCanDecideAndAsksAgain) {
    admission_.change(":1.1", manage, call("first"));
    admission_.read(":1.1", call("list"));
    admission_.change(":1.1", manage, call("second"));
    admission_.change(":1.1", secrets, call("export"));
    admission_.decide(":1.1", "silence", Validity::waiting);
    EXPECT_THAT(answers_, ElementsAre("first denied: silence", "list", "second denied: silence"));
    EXPECT_THAT(asked_, ElementsAre(":1.1", ":1.1 secrets"));
    admission_.decide(":1.1", std::nullopt, Validity::lasting);
    admission_.change(":1.1", manage, call("third"));
    EXPECT_EQ(asked_.size(), 3U);
}

TEST_F(DBusAdmission, AsksAgainWhenTheRulesMayHaveChanged) {
    admission_.change(":1.1", manage, call("first"));
    admission_.decide(":1.1", std::nullopt, Validity::lasting);
    admission_.reconsider();
    admission_.change(":1.1", manage, call("second"));
    admission_.decide(":1.1", "no", Validity::lasting);
    EXPECT_THAT(asked_, ElementsAre(":1.1", ":1.1"));
    EXPECT_THAT(answers_, ElementsAre("first", "second denied: no"));
}

TEST_F(DBusAdmission, DropsTheCallsOfAClientThatHasLeft) {
    admission_.change(":1.1", manage, call("reserve"));
    admission_.forget(":1.1");
    admission_.decide(":1.1", std::nullopt, Validity::lasting);
    EXPECT_THAT(answers_, IsEmpty());
    admission_.change(":1.1", manage, call("as if it were new"));
    EXPECT_THAT(asked_, ElementsAre(":1.1", ":1.1"));
}

TEST_F(DBusAdmission, TakesNoMoreCallsThanMayWait) {
    for (std::size_t i = 0; i < limits::waiting_of_a_client; ++i) {
        admission_.change(":1.1", manage, call(fmt::format("{}", i)));
    }
    EXPECT_THROW(admission_.change(":1.1", manage, call("change")), Refused);
    EXPECT_THROW(admission_.read(":1.1", call("read")), Refused);
    admission_.change(":1.2", manage, call("another's"));
    admission_.decide(":1.1", std::nullopt, Validity::lasting);
    EXPECT_EQ(answers_.size(), limits::waiting_of_a_client);
    admission_.change(":1.1", manage, call("change"));
    EXPECT_EQ(answers_.back(), "change");
}

TEST_F(DBusAdmission, KeepsOneLargeCallOfAClient) {
    const auto refusal = [this](const std::string& client, std::size_t bytes) {
        std::optional<Refusal> reason;
        try {
            admission_.change(client, manage, call("reserve many"), bytes);
        } catch (const Refused& refused) {
            reason = refused.reason();
        }
        return reason;
    };
    constexpr auto large = limits::waiting_bytes / 3 - limits::bytes_of_a_large_call;
    EXPECT_EQ(refusal(":1.1", large), std::nullopt);
    EXPECT_EQ(refusal(":1.1", limits::bytes_of_a_large_call + 1), Refusal::limit_exceeded);
    EXPECT_EQ(refusal(":1.1", limits::bytes_of_a_large_call), std::nullopt);
    EXPECT_EQ(admission_.bytes_waiting(":1.1"), large + limits::bytes_of_a_large_call);
    for (int i = 2; i <= 3; ++i) {
        EXPECT_EQ(refusal(":1." + std::to_string(i), large), std::nullopt);
    }
    EXPECT_EQ(refusal(":1.4", large), Refusal::busy);
    EXPECT_EQ(refusal(":1.4", 1), std::nullopt) << "small ones have room";
    admission_.forget(":1.1");
    EXPECT_EQ(refusal(":1.5", large), std::nullopt);
    admission_.decide(":1.5", std::nullopt, Validity::lasting);
    EXPECT_EQ(refusal(":1.6", large), std::nullopt);
    EXPECT_EQ(refusal(":1.5", large), std::nullopt) << "it need not wait";
}

}  // namespace
}  // namespace porthole::dbus
