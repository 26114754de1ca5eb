// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dbus/call_limits.hpp"
#include "dbus/limits.hpp"

namespace porthole::dbus {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr uid_t user = 1000;
constexpr uid_t other = 1001;

TEST(DBusTokenBucket, LetsThroughWhatItHolds) {
    const TokenBucket::Time start;
    TokenBucket bucket(10, 3, start);
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(bucket.wait(start).count(), 0);
        bucket.take(1, start);
    }
    EXPECT_DOUBLE_EQ(bucket.wait(start).count(), 0.1);
    EXPECT_EQ(bucket.wait(start + 101ms).count(), 0);
}

TEST(DBusTokenBucket, IsPaidForWhatCostMore) {
    const TokenBucket::Time start;
    TokenBucket bucket(10, 3, start);
    bucket.take(33, start);
    EXPECT_DOUBLE_EQ(bucket.wait(start).count(), 3.1);
    EXPECT_GT(bucket.wait(start + 3099ms).count(), 0);
    EXPECT_EQ(bucket.wait(start + 3101ms).count(), 0);
}

TEST(DBusTokenBucket, HoldsNoMoreThanItsSize) {
    const TokenBucket::Time start;
    TokenBucket bucket(10, 3, start);
    bucket.take(2, start);
    EXPECT_FALSE(bucket.is_full(start + 199ms));
    EXPECT_TRUE(bucket.is_full(start + 1h));
    bucket.take(4, start + 1h);
    EXPECT_DOUBLE_EQ(bucket.wait(start + 1h).count(), 0.2);
}

class DBusCallLimits : public testing::Test {
  protected:
    // How many are taken, one after the other.
    int calls(uid_t whose, int most = 10'000) {
        for (int i = 0; i < most; ++i) {
            if (limits_.admit(whose, now_)) continue;
            excess_ = limits_.excess(whose, now_);
            return i;
        }
        return most;
    }

    CallLimits::Excess excess_;
    TokenBucket::Time now_{1h};
    CallLimits limits_;
};

TEST_F(DBusCallLimits, AreOfEachUser) {
    EXPECT_EQ(calls(user), limits::calls_at_once);
    EXPECT_EQ(calls(user), 0);
    EXPECT_THAT(excess_.message,
                HasSubstr("user 1000 may make 1000 calls a second, and 128 at once"));
    EXPECT_EQ(calls(other), limits::calls_at_once);
}

TEST_F(DBusCallLimits, TakeMoreAfterAWhile) {
    calls(user);
    now_ += 10'250us;
    EXPECT_EQ(calls(user), 10);
    now_ += 1h;
    EXPECT_EQ(calls(user), limits::calls_at_once);
}

TEST_F(DBusCallLimits, CountACallThatTakesLongAsSeveral) {
    limits_.charge(user, 2000 + limits::calls_at_once, 0, now_);
    EXPECT_EQ(calls(user), 0);
    now_ += 2s;
    EXPECT_EQ(calls(user), 0);
    now_ += 10ms;
    EXPECT_GT(calls(user), 0);
}

TEST_F(DBusCallLimits, CountTheBytesOfAnswers) {
    limits_.charge(user, 0, limits::bytes_at_once + limits::bytes_per_second, now_);
    EXPECT_EQ(calls(user), 0);
    EXPECT_EQ(excess_.message, "user 1000 may be answered 128 KiB a second, and 1024 KiB at once");
    EXPECT_GT(excess_.until, now_ + 1s);
    EXPECT_LT(excess_.until, now_ + 1001ms);
    now_ = excess_.until;
    EXPECT_GT(calls(user), 0);
}

TEST_F(DBusCallLimits, RememberNobodyForLong) {
    for (uid_t each = 1; each <= 10'000; ++each) {
        EXPECT_TRUE(limits_.admit(each, now_));
        now_ += 10ms;
    }
    EXPECT_LT(limits_.size(), 10U);
}

TEST_F(DBusCallLimits, RememberWhoIsInDebt) {
    limits_.charge(user, 1e6, 0, now_);
    for (uid_t each = other; each <= 10'000; ++each) EXPECT_TRUE(limits_.admit(each, now_));
    now_ += 10min;
    EXPECT_EQ(calls(other + 20'000), limits::calls_at_once);
    EXPECT_EQ(calls(user), 0);
}

}  // namespace
}  // namespace porthole::dbus
