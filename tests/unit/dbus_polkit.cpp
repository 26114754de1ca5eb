// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dbus/polkit.hpp"

namespace porthole::dbus {
namespace {

using testing::HasSubstr;
using testing::Optional;
using Kind = PolkitAnswer::Kind;

constexpr Question silently{Action::manage, false};
constexpr Question interactively{Action::secrets, true};

TEST(DBusPolkit, DecidesByItsRules) {
    const auto yes = parse_polkit_answer(silently, true, false, {});
    EXPECT_EQ(yes.kind, Kind::decided);
    EXPECT_EQ(yes.denial, std::nullopt);
    const auto no = parse_polkit_answer(silently, false, false, {});
    EXPECT_EQ(no.kind, Kind::decided);
    EXPECT_THAT(no.denial, Optional(HasSubstr("org.porthole.gateway1.manage")));
}

TEST(DBusPolkit, SaysThatAnAuthenticationIsWanted) {
    const auto answer = parse_polkit_answer(silently, false, true, {});
    EXPECT_EQ(answer.kind, Kind::asked);
    EXPECT_THAT(answer.denial, Optional(HasSubstr("authentication")));
}

TEST(DBusPolkit, KnowsHowLongAPersonsWordCounts) {
    EXPECT_EQ(parse_polkit_answer(interactively, true, false, {}).kind, Kind::asked);
    EXPECT_EQ(parse_polkit_answer(interactively, false, false, {}).kind, Kind::asked);
    const std::map<std::string, std::string> kept{
        {"polkit.temporary_authorization_id", "tmpauthz0"}};
    EXPECT_EQ(parse_polkit_answer(silently, true, false, kept).kind, Kind::asked);
}

TEST(DBusPolkit, IsMissingOnlyWhereNobodyHasItsName) {
    for (const auto* name : {"ServiceUnknown", "NameHasNoOwner"}) {
        EXPECT_EQ(parse_polkit_error(std::string("org.freedesktop.DBus.Error.") + name, "").kind,
                  Kind::missing);
    }
    for (const auto* name : {"NoReply", "AccessDenied", "Spawn.ExecFailed", "TimedOut", "Failed"}) {
        const auto answer =
            parse_polkit_error(std::string("org.freedesktop.DBus.Error.") + name, "the reason");
        EXPECT_EQ(answer.kind, Kind::failed) << name;
        EXPECT_THAT(answer.denial, Optional(HasSubstr("the reason")));
    }
}

}  // namespace
}  // namespace porthole::dbus
