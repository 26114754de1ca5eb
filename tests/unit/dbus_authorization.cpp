// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dbus/authorization.hpp"
#include "dbus/clients.hpp"

namespace porthole::dbus {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

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

}  // namespace
}  // namespace porthole::dbus
