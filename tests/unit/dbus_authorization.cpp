// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dbus/authorization.hpp"

namespace porthole::dbus {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;

TEST(DBusAuthorization, LetsRootChangeThings) {
    EXPECT_EQ(denial(0, {}, std::nullopt), std::nullopt);
    EXPECT_EQ(denial(0, {0}, 990), std::nullopt);
}

TEST(DBusAuthorization, LetsMembersOfTheGroupChangeThings) {
    EXPECT_EQ(denial(1000, {1000, 27, 990}, 990), std::nullopt);
}

TEST(DBusAuthorization, DeniesEverybodyElse) {
    EXPECT_THAT(denial(1000, {1000, 27}, 990), Optional(HasSubstr("user 1000")));
    EXPECT_THAT(denial(1000, {1000, 0}, 990),
                Optional(HasSubstr("members of the group \"porthole\"")));
    EXPECT_THAT(denial(1000, {}, 990), Optional(HasSubstr("user 1000")));
}

TEST(DBusAuthorization, SaysThatTheGroupIsMissing) {
    EXPECT_THAT(denial(1000, {1000}, std::nullopt), Optional(HasSubstr("does not exist")));
}

TEST(DBusCredentials, AreReadFromTheAnswerOfTheBus) {
    const auto credentials =
        parse_credentials({{"UnixUserID", std::uint32_t{1000}},
                           {"UnixGroupIDs", std::vector<std::uint32_t>{1000, 27}},
                           {"ProcessID", std::uint32_t{4711}}});
    ASSERT_TRUE(credentials);
    EXPECT_EQ(credentials->user, 1000U);
    EXPECT_THAT(credentials->groups, Optional(ElementsAre(1000U, 27U)));
}

TEST(DBusCredentials, MayLackTheGroups) {
    const auto credentials = parse_credentials({{"UnixUserID", std::uint32_t{1000}}});
    ASSERT_TRUE(credentials);
    EXPECT_EQ(credentials->groups, std::nullopt);
}

TEST(DBusCredentials, AreNothingWithoutAUser) {
    EXPECT_FALSE(parse_credentials({}));
    EXPECT_FALSE(parse_credentials({{"UnixUserID", std::string("root")}}));
}

class DBusAdmission : public testing::Test {
  protected:
    Admission::Call call(const std::string& name) {
        return [this, name](const Denial& denial) {
            answers_.push_back(denial ? name + " denied: " + *denial : name);
        };
    }

    std::vector<std::string> asked_;
    std::vector<std::string> answers_;
    Admission admission_{[this](const std::string& client) { asked_.push_back(client); }};
};

TEST_F(DBusAdmission, AsksNothingForReading) {
    admission_.read(":1.1", call("list"));
    EXPECT_THAT(answers_, ElementsAre("list"));
    EXPECT_THAT(asked_, IsEmpty());
}

TEST_F(DBusAdmission, HoldsAChangeBackUntilItIsDecided) {
    admission_.change(":1.1", call("reserve"));
    EXPECT_THAT(asked_, ElementsAre(":1.1"));
    EXPECT_THAT(answers_, IsEmpty());
    admission_.decide(":1.1", std::nullopt);
    EXPECT_THAT(answers_, ElementsAre("reserve"));
}

TEST_F(DBusAdmission, AnswersTheCallsOfAClientInOrder) {
    admission_.change(":1.1", call("reserve"));
    admission_.read(":1.1", call("list"));
    admission_.change(":1.1", call("release"));
    admission_.read(":1.2", call("somebody else's"));
    EXPECT_THAT(answers_, ElementsAre("somebody else's"));
    EXPECT_THAT(asked_, ElementsAre(":1.1"));
    admission_.decide(":1.1", std::nullopt);
    EXPECT_THAT(answers_, ElementsAre("somebody else's", "reserve", "list", "release"));
}

TEST_F(DBusAdmission, RemembersTheDecision) {
    admission_.change(":1.1", call("first"));
    admission_.decide(":1.1", "no");
    admission_.change(":1.1", call("second"));
    EXPECT_THAT(asked_, ElementsAre(":1.1"));
    EXPECT_THAT(answers_, ElementsAre("first denied: no", "second denied: no"));
}

TEST_F(DBusAdmission, AsksAboutEveryClient) {
    admission_.change(":1.1", call("one"));
    admission_.decide(":1.1", std::nullopt);
    admission_.change(":1.2", call("two"));
    EXPECT_THAT(asked_, ElementsAre(":1.1", ":1.2"));
    EXPECT_THAT(answers_, ElementsAre("one"));
}

TEST_F(DBusAdmission, DropsTheCallsOfAClientThatHasLeft) {
    admission_.change(":1.1", call("reserve"));
    admission_.forget(":1.1");
    admission_.decide(":1.1", std::nullopt);
    EXPECT_THAT(answers_, IsEmpty());
}

TEST_F(DBusAdmission, ForgetsTheDecisionWhenAClientLeaves) {
    admission_.change(":1.1", call("first"));
    admission_.decide(":1.1", std::nullopt);
    admission_.forget(":1.1");
    admission_.change(":1.1", call("second"));
    EXPECT_THAT(asked_, ElementsAre(":1.1", ":1.1"));
    EXPECT_THAT(answers_, ElementsAre("first"));
}

TEST_F(DBusAdmission, DeniesWhatNobodyCanDecideAndAsksAgain) {
    admission_.change(":1.1", call("first"));
    admission_.fail(":1.1", "the bus is silent");
    EXPECT_THAT(answers_, ElementsAre("first denied: the bus is silent"));
    admission_.change(":1.1", call("second"));
    admission_.decide(":1.1", std::nullopt);
    EXPECT_THAT(asked_, ElementsAre(":1.1", ":1.1"));
    EXPECT_EQ(answers_.back(), "second");
}

}  // namespace
}  // namespace porthole::dbus
