// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>

#include "dbus/stall.hpp"

namespace porthole::dbus {
namespace {

using namespace std::chrono_literals;

TEST(DBusStall, LastsWhileNothingIsTaken) {
    const Stall::Time begin{1h};
    Stall stall;
    EXPECT_EQ(stall.lasts(4096, begin), 0s);
    EXPECT_EQ(stall.lasts(4096, begin + 3s), 3s);
    EXPECT_EQ(stall.lasts(4096, begin + 5s), 5s);
}

TEST(DBusStall, BeginsAnewWithEveryByteThatIsTaken) {
    const Stall::Time begin{1h};
    Stall stall;
    EXPECT_EQ(stall.lasts(4096, begin), 0s);
    EXPECT_EQ(stall.lasts(4095, begin + 4s), 0s);
    EXPECT_EQ(stall.lasts(4095, begin + 6s), 2s);
}

TEST(DBusStall, BeginsAnewAfterItsEnd) {
    const Stall::Time begin{1h};
    Stall stall;
    EXPECT_EQ(stall.lasts(4096, begin), 0s);
    stall.end();
    EXPECT_EQ(stall.lasts(4096, begin + 6s), 0s);
}

}  // namespace
}  // namespace porthole::dbus
