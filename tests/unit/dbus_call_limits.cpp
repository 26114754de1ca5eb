// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dbus/call_limits.hpp"
#include "dbus/limits.hpp"
#include "types/error.hpp"

namespace porthole::dbus {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr uid_t root = 0;
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
    void identify(const std::string& client, uid_t whose) {
        EXPECT_TRUE(limits_.admit(client, now_));
        limits_.identify(client, whose, now_);
    }
    // How many are taken, one after the other.
    int calls(const std::string& client, int most = 10'000) {
        for (int i = 0; i < most; ++i) {
            if (limits_.admit(client, now_)) continue;
            excess_ = limits_.excess(client, now_);
            return i;
        }
        return most;
    }

    std::vector<std::string> asked_;
    CallLimits::Excess excess_;
    TokenBucket::Time now_{1h};
    CallLimits limits_{[this](const std::string& client) { asked_.push_back(client); }};
};

TEST_F(DBusCallLimits, AskOnceWhoAClientIs) {
    EXPECT_TRUE(limits_.admit(":1.1", now_));
    EXPECT_TRUE(limits_.admit(":1.1", now_));
    EXPECT_TRUE(limits_.admit(":1.2", now_));
    EXPECT_THAT(asked_, ElementsAre(":1.1", ":1.2"));
}

TEST_F(DBusCallLimits, LetAStrangerMakeAFewCalls) {
    EXPECT_EQ(calls(":1.1"), limits::calls_of_a_stranger);
    EXPECT_THAT(excess_.message,
                HasSubstr("a client may make 1000 calls a second, and 16 at once"));
    EXPECT_EQ(calls(":1.2"), limits::calls_of_a_stranger);
}

TEST_F(DBusCallLimits, CountAllClientsOfAUserTogether) {
    identify(":1.1", user);
    identify(":1.2", user);
    EXPECT_EQ(calls(":1.1") + calls(":1.2"), limits::calls_at_once - 2);
    EXPECT_THAT(excess_.message,
                HasSubstr("user 1000 may make 1000 calls a second, and 128 at once"));
    identify(":1.3", other);
    EXPECT_EQ(calls(":1.3"), limits::calls_at_once - 1);
}

TEST_F(DBusCallLimits, TakeMoreAfterAWhile) {
    identify(":1.1", user);
    calls(":1.1");
    now_ += 10'250us;
    EXPECT_EQ(calls(":1.1"), 10);
    now_ += 1h;
    EXPECT_EQ(calls(":1.1"), limits::calls_at_once);
}

TEST_F(DBusCallLimits, CountACallThatTakesLongAsSeveral) {
    identify(":1.1", user);
    limits_.charge(":1.1", 2000 + limits::calls_at_once, 0, now_);
    EXPECT_EQ(calls(":1.1"), 0);
    now_ += 2s;
    EXPECT_EQ(calls(":1.1"), 0);
    now_ += 10ms;
    EXPECT_GT(calls(":1.1"), 0);
}

TEST_F(DBusCallLimits, CountTheBytesOfAnswers) {
    identify(":1.1", user);
    limits_.charge(":1.1", 0,
                   limits::bytes_of_a_call + limits::bytes_at_once + limits::bytes_per_second,
                   now_);
    EXPECT_EQ(calls(":1.1"), 0);
    EXPECT_EQ(excess_.message, "user 1000 may be answered 128 KiB a second, and 1024 KiB at once");
    EXPECT_EQ(excess_.whose, "user 1000");
    EXPECT_GT(excess_.until, now_ + 1s);
    EXPECT_LT(excess_.until, now_ + 1001ms);
    now_ = excess_.until;
    EXPECT_GT(calls(":1.1"), 0);
}

TEST_F(DBusCallLimits, CountTheBytesOfAllStrangersTogether) {
    EXPECT_TRUE(limits_.admit(":1.2", now_));
    limits_.charge(":1.2", 0, limits::bytes_at_once, now_);
    EXPECT_EQ(calls(":1.3"), 0);
    EXPECT_EQ(
        excess_.message,
        "all clients that are not known yet may be answered 128 KiB a second, and 1024 KiB at "
        "once");
    EXPECT_EQ(excess_.whose, ":1.3");
    limits_.identify(":1.3", user, now_);
    EXPECT_GT(calls(":1.3"), 0) << "its user has what is left to it";
    EXPECT_EQ(calls(":1.4"), 0);
    limits_.identify(":1.2", other, now_);
    EXPECT_GT(calls(":1.4"), 0) << "what it was answered is its user's now";
}

TEST_F(DBusCallLimits, CountWhatAStrangerHasUsedUp) {
    EXPECT_TRUE(limits_.admit(":1.1", now_));
    limits_.charge(":1.1", 3000, 0, now_);
    limits_.identify(":1.1", user, now_);
    EXPECT_EQ(calls(":1.1"), 0);
    identify(":1.2", user);
    EXPECT_EQ(calls(":1.2"), 0);
    EXPECT_TRUE(limits_.admit(":1.3", now_));
    limits_.charge(":1.3", 0, 1e9, now_);
    limits_.identify(":1.3", other, now_);
    EXPECT_EQ(calls(":1.3"), 0);
}

TEST_F(DBusCallLimits, AreNotForRoot) {
    identify(":1.1", root);
    limits_.charge(":1.1", 1e6, 0, now_);
    EXPECT_EQ(calls(":1.1"), 10'000);
    EXPECT_TRUE(limits_.is_root(":1.1"));
    EXPECT_FALSE(limits_.is_root(":1.2"));
}

TEST_F(DBusCallLimits, RememberTheDebtsOfWhoLeaves) {
    identify(":1.1", user);
    limits_.charge(":1.1", 1e4, 0, now_);
    limits_.forget(":1.1");
    identify(":1.2", user);
    EXPECT_EQ(calls(":1.2"), 0);
}

TEST_F(DBusCallLimits, RememberNobodyForLong) {
    for (uid_t each = 1; each <= 10'000; ++each) {
        identify(":1.1", each);
        limits_.forget(":1.1");
        now_ += 10ms;
    }
    EXPECT_LT(limits_.size(), 10U);
}

TEST_F(DBusCallLimits, RememberSoManyClientsAndNoMore) {
    for (std::size_t i = 0; i < limits::clients; ++i) {
        identify(":1." + std::to_string(i), root);
    }
    try {
        EXPECT_TRUE(limits_.admit(":2.0", now_));
        ADD_FAILURE() << "one more was taken";
    } catch (const Refused& refused) {
        EXPECT_EQ(refused.reason(), Refusal::busy);
        EXPECT_THAT(refused.what(), HasSubstr("4096 other clients"));
    }
    limits_.forget(":1.7");
    EXPECT_TRUE(limits_.admit(":2.0", now_));
}

// Else who comes back each time as a new client would pay nothing.
TEST_F(DBusCallLimits, CountTheTimeOfAllStrangersTogether) {
    EXPECT_TRUE(limits_.admit(":1.1", now_));
    limits_.charge(":1.1", limits::calls_at_once + limits::calls_per_second, 0, now_);
    limits_.forget(":1.1");
    EXPECT_EQ(calls(":1.2"), 0);
    EXPECT_THAT(excess_.message, HasSubstr("all clients that are not known yet may make 1000 "
                                           "calls a second, and 128 at once"));
    EXPECT_GT(excess_.until, now_ + 1s);
    now_ += 1002ms;
    EXPECT_GT(calls(":1.2"), 0);
}

TEST_F(DBusCallLimits, CountTheCallsOfAllStrangersTogether) {
    int all = 0;
    for (int i = 0; i < 20; ++i) all += calls(":1." + std::to_string(i));
    EXPECT_EQ(all, limits::calls_at_once);
    EXPECT_THAT(excess_.message, HasSubstr("all clients that are not known yet may make 1000 "
                                           "calls a second, and 128 at once"));
}

// Else a user whose every call is a new client's would have no limit.
TEST_F(DBusCallLimits, LeaveToStrangersWhatTheirUserCannotPay) {
    identify(":1.1", user);
    limits_.charge(":1.1", 1e6, 0, now_);
    EXPECT_EQ(calls(":1.2"), limits::calls_of_a_stranger);
    limits_.identify(":1.2", user, now_);
    EXPECT_EQ(calls(":1.3"), limits::calls_of_a_stranger);
    limits_.identify(":1.3", other, now_);
    int all = 0;
    for (int i = 4; i < 24; ++i) all += calls(":1." + std::to_string(i));
    EXPECT_EQ(all, limits::calls_at_once - limits::calls_of_a_stranger);
}

TEST_F(DBusCallLimits, CountEveryByteThatAStrangerIsAnswered) {
    identify(":1.1", user);
    limits_.charge(":1.1", 0, limits::bytes_of_a_call, now_);
    EXPECT_TRUE(limits_.admit(":1.2", now_));
    limits_.charge(":1.2", 0, limits::bytes_of_a_call, now_);
    limits_.charge(":1.2", 0, limits::bytes_at_once - limits::bytes_of_a_call, now_);
    EXPECT_EQ(calls(":1.3"), 0);
}

TEST_F(DBusCallLimits, GiveTimeBackOnceAClientIsKnown) {
    EXPECT_TRUE(limits_.admit(":1.1", now_));
    limits_.charge(":1.1", limits::calls_at_once + limits::calls_per_second, 0, now_);
    limits_.identify(":1.1", user, now_);
    EXPECT_EQ(calls(":1.2"), limits::calls_of_a_stranger);
    EXPECT_EQ(calls(":1.1"), 0);
}

}  // namespace
}  // namespace porthole::dbus
