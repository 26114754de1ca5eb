// SPDX-License-Identifier: GPL-2.0-or-later
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <systemd/sd-bus.h>

#include "dbus/limits.hpp"
#include "dbus/newcomers.hpp"
#include "unconnected_bus.hpp"

namespace porthole::dbus {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class DBusNewcomers : public testing::Test {
  protected:
    [[nodiscard]] bool keep(const std::string& client, const char* member, std::size_t bytes = 0) {
        return newcomers_.keep(bus_.call(member).get(), client, bytes);
    }
    std::vector<std::string> taken(const std::string& client) {
        std::vector<std::string> members;
        for (const auto& call : newcomers_.take(client)) {
            members.emplace_back(sd_bus_message_get_member(call.get()));
        }
        return members;
    }

    UnconnectedBus bus_;
    Newcomers newcomers_;
};

TEST_F(DBusNewcomers, KeepTheirOrder) {
    EXPECT_FALSE(newcomers_.wait(":1.1"));
    EXPECT_TRUE(keep(":1.1", "First"));
    EXPECT_TRUE(keep(":1.2", "Other"));
    EXPECT_TRUE(keep(":1.1", "Second"));
    EXPECT_TRUE(newcomers_.wait(":1.1"));
    EXPECT_THAT(taken(":1.1"), ElementsAre("First", "Second"));
    EXPECT_FALSE(newcomers_.wait(":1.1"));
    EXPECT_THAT(taken(":1.1"), IsEmpty());
    EXPECT_THAT(taken(":1.2"), ElementsAre("Other"));
}

TEST_F(DBusNewcomers, KeepAFewCallsOfEach) {
    for (std::size_t i = 0; i < limits::calls_of_a_newcomer; ++i) {
        EXPECT_TRUE(keep(":1.1", "Any"));
    }
    EXPECT_FALSE(keep(":1.1", "Any"));
    EXPECT_TRUE(keep(":1.2", "Any"));
}

TEST_F(DBusNewcomers, KeepNoMoreThanThereIsRoomFor) {
    EXPECT_TRUE(keep(":1.1", "Large", limits::bytes));
    EXPECT_FALSE(keep(":1.2", "Large", limits::bytes));
    EXPECT_FALSE(newcomers_.wait(":1.2"));
    EXPECT_TRUE(keep(":1.2", "Small"));
    int more = 0;
    while (keep(":1." + std::to_string(more + 3), "Empty")) ++more;
    EXPECT_LT(more, 1024) << "a message takes memory also without arguments";
    EXPECT_THAT(taken(":1.1"), ElementsAre("Large"));
    EXPECT_TRUE(keep(":2.1", "Large", limits::bytes - (1U << 20U)));
}

}  // namespace
}  // namespace porthole::dbus
