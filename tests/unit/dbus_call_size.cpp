// SPDX-License-Identifier: GPL-2.0-or-later
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <systemd/sd-bus.h>

#include "dbus/call_size.hpp"
#include "dbus/limits.hpp"
#include "types/error.hpp"
#include "unconnected_bus.hpp"

namespace porthole::dbus {
namespace {

using testing::HasSubstr;

// A call as it is read, without a bus.
class DBusCallSize : public testing::Test {
  protected:
    template <typename... Values>
    void append(const char* types, Values... values) {
        ASSERT_GE(sd_bus_message_append(message_.get(), types, values...), 0);
    }
    void open(char type, const char* contents) {
        ASSERT_GE(sd_bus_message_open_container(message_.get(), type, contents), 0);
    }
    void end() { ASSERT_GE(sd_bus_message_close_container(message_.get()), 0); }

    std::size_t size(std::size_t most_text = limits::text_bytes) {
        EXPECT_GE(sd_bus_message_seal(message_.get(), 1, 0), 0);
        return size_of(message_.get(), most_text);
    }
    void expect_refused(const std::string& message) {
        try {
            size();
            ADD_FAILURE() << "it was taken";
        } catch (const Refused& refused) {
            EXPECT_EQ(refused.reason(), Refusal::limit_exceeded);
            EXPECT_THAT(refused.what(), HasSubstr(message));
        }
    }

    UnconnectedBus bus_;
    UnconnectedBus::Message message_ = bus_.call("Any");
};

TEST_F(DBusCallSize, IsNothingOfNothing) { EXPECT_EQ(size(), 0U); }

TEST_F(DBusCallSize, IsThatOfWhatIsUnpacked) {
    append("ssq", "192.168.2.2", "udp", 51820);
    append("a(sq)", 2, "a", 1, "b", 2);
    append("at", 3, std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{3});
    const auto without_dictionaries = size();
    EXPECT_EQ(without_dictionaries, 4 * sizeof(std::string) + 11 + 3 + 1 + 1 + 3 * 8 + 24);
    const char* first = nullptr;
    ASSERT_GE(sd_bus_message_read(message_.get(), "s", &first), 0);
    EXPECT_STREQ(first, "192.168.2.2") << "it can be read from its beginning";
}

TEST_F(DBusCallSize, CountsEveryKeyOfADictionary) {
    append("a{sv}", 2, "settle", "b", 1, "names", "as", 2, "c", "d");
    append("aa{sv}", 2, 1, "x", "u", 1, 0);
    const auto counted = size();
    EXPECT_GT(counted, 3U * 1024);
    EXPECT_LT(counted, 4U * 1024);
}

TEST_F(DBusCallSize, HasALimitForTexts) {
    append("s", std::string(limits::text_bytes, 'x').c_str());
    EXPECT_GT(size(), limits::text_bytes);
    message_ = bus_.call("Any");
    append("v", "s", std::string(limits::text_bytes + 1, 'x').c_str());
    expect_refused("32769 bytes of a text in a call would be too many: at most 32768");
    ASSERT_GE(sd_bus_message_rewind(message_.get(), 1), 0);
    EXPECT_GT(size_of(message_.get(), limits::file_bytes), limits::text_bytes);
}

TEST_F(DBusCallSize, HasALimitForNumbers) {
    const std::vector<std::uint64_t> ids(limits::rows + 1);
    ASSERT_GE(sd_bus_message_append_array(message_.get(), 't', ids.data(), ids.size() * 8), 0);
    expect_refused("65537 elements in all arrays");
}

TEST_F(DBusCallSize, HasALimitForRows) {
    for (int half = 0; half < 2; ++half) {
        open('a', "(sq)");
        for (std::size_t i = 0; i < limits::rows / 2 + 1; ++i) append("(sq)", "x", 1);
        end();
    }
    expect_refused("65537 elements in all arrays");
}

TEST_F(DBusCallSize, HasALimitForKeys) {
    open('a', "{sv}");
    for (std::size_t i = 0; i < limits::keys + 1; ++i) append("{sv}", "x", "b", 1);
    end();
    expect_refused("33 keys in a dictionary");
}

TEST_F(DBusCallSize, HasALimitForMemory) {
    open('a', "a{sv}");
    for (int i = 0; i < 20'000; ++i) append("a{sv}", 2, "x", "b", 1, "y", "b", 1);
    end();
    expect_refused("bytes in a call would be too many: at most 25165824");
}

TEST_F(DBusCallSize, HasALimitForDepth) {
    for (std::size_t i = 0; i < limits::depth; ++i) open('v', "v");
    append("v", "s", "deep");
    for (std::size_t i = 0; i < limits::depth; ++i) end();
    expect_refused("9 values within each other");
}

// Whatever there is much of: what is not small is not looked at to its end.
TEST_F(DBusCallSize, IsKnownOfASmallCallOnly) {
    append("ssq", "192.168.2.2", "udp", 51820);
    ASSERT_GE(sd_bus_message_seal(message_.get(), 1, 0), 0);
    EXPECT_GT(size_if_small(message_.get()).value_or(0), 100U);
    const char* first = nullptr;
    ASSERT_GE(sd_bus_message_read(message_.get(), "s", &first), 0);
    EXPECT_STREQ(first, "192.168.2.2") << "it can be read from its beginning";

    message_ = bus_.call("Any");
    open('a', "as");
    for (std::size_t i = 0; i < 9000; ++i) append("as", 0);
    end();
    ASSERT_GE(sd_bus_message_seal(message_.get(), 1, 0), 0);
    EXPECT_EQ(size_if_small(message_.get()), std::nullopt) << "empty arrays";
    EXPECT_GT(sd_bus_message_enter_container(message_.get(), 'a', "as"), 0)
        << "it can be read from its beginning";

    message_ = bus_.call("Any");
    const std::vector<std::uint8_t> bytes(limits::bytes_of_a_large_call);
    ASSERT_GE(sd_bus_message_append_array(message_.get(), 'y', bytes.data(), bytes.size()), 0);
    ASSERT_GE(sd_bus_message_seal(message_.get(), 1, 0), 0);
    EXPECT_EQ(size_if_small(message_.get()), std::nullopt) << "bytes";
}

// Structs cost nothing else.
TEST_F(DBusCallSize, CountsWhatIsLookedAt) {
    open('a', "(yyyyyyyy)");
    for (std::size_t i = 0; i < limits::rows; ++i) {
        append("(yyyyyyyy)", 1, 2, 3, 4, 5, 6, 7, 8);
    }
    end();
    expect_refused("524289 values in a call would be too many: at most 524288 are possible");
}

}  // namespace
}  // namespace porthole::dbus
