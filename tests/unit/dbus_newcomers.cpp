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
    // `text`: the length of its argument.
    [[nodiscard]] bool keep(const std::string& client, const char* member, std::size_t text = 0) {
        const auto call = bus_.call(member);
        EXPECT_GE(sd_bus_message_append(call.get(), "s", std::string(text, 'x').c_str()), 0);
        EXPECT_GE(sd_bus_message_seal(call.get(), 1, 0), 0);
        static_cast<void>(newcomers_.expect(client));
        return newcomers_.keep(call.get(), client);
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
    EXPECT_TRUE(newcomers_.expect(":1.1"));
    EXPECT_TRUE(keep(":1.1", "First"));
    EXPECT_TRUE(keep(":1.2", "Other"));
    EXPECT_TRUE(keep(":1.1", "Second"));
    EXPECT_FALSE(newcomers_.expect(":1.1"));
    EXPECT_THAT(taken(":1.1"), ElementsAre("First", "Second"));
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

TEST_F(DBusNewcomers, KeepOneLargeCall) {
    constexpr auto large = limits::bytes_of_a_large_call;
    EXPECT_TRUE(keep(":1.1", "Large", large));
    EXPECT_FALSE(keep(":1.2", "Large", large));
    EXPECT_TRUE(keep(":1.2", "Small", large - 1024));
    EXPECT_THAT(taken(":1.2"), ElementsAre("Small"));
    EXPECT_FALSE(keep(":1.3", "Large", large));
    EXPECT_THAT(taken(":1.1"), ElementsAre("Large"));
    EXPECT_TRUE(keep(":1.2", "Large", large));
}

TEST_F(DBusNewcomers, HaveRoomForTheFirstCallOfEach) {
    const auto client = [](int number) { return ":1." + std::to_string(number); };
    constexpr std::size_t size = limits::bytes_of_a_large_call - 2048;
    int number = 0;
    for (; number < 253; ++number) EXPECT_TRUE(keep(client(number), "Small", size)) << number;
    for (int i = 0; i < 50; ++i) {
        while (keep(client(i), "Short")) continue;
    }
    EXPECT_FALSE(keep(client(50), "Short")) << "there is no room";
    EXPECT_TRUE(keep(client(number), "Short"));
    EXPECT_FALSE(keep(client(number), "Short")) << "which is its second one";
    EXPECT_FALSE(keep(client(number + 1), "Long", limits::bytes_of_a_first_call));
    for (int i = 60; i < 62; ++i) EXPECT_THAT(taken(client(i)), ElementsAre("Small"));
    EXPECT_TRUE(keep(client(number + 1), "Small", size)) << "there is room again";
}

}  // namespace
}  // namespace porthole::dbus
