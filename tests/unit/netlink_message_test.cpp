// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <system_error>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "netlink/message.hpp"
#include "netlink_script.hpp"

namespace porthole::netlink {
namespace {

using namespace script;
using testing::ElementsAre;

Bytes numbered(std::uint32_t sequence, std::size_t payload_bytes = 0) {
    return message(NLMSG_MIN_TYPE, 0, sequence, [&](nlmsghdr* made) {
        if (payload_bytes > 0) mnl_nlmsg_put_extra_header(made, payload_bytes);
    });
}

std::vector<std::uint32_t> sequences_of(const Bytes& datagram, bool whole) {
    std::vector<std::uint32_t> sequences;
    EXPECT_EQ(for_each_message(datagram,
                               [&](const nlmsghdr* each) { sequences.push_back(each->nlmsg_seq); }),
              whole);
    return sequences;
}

TEST(NetlinkMessages, AreTakenFromADatagramInOrder) {
    EXPECT_THAT(sequences_of(joined({numbered(1), numbered(2, 5), numbered(3)}), true),
                ElementsAre(1, 2, 3));
    EXPECT_THAT(sequences_of({}, true), ElementsAre());
}

TEST(NetlinkMessages, AreTakenUpToTheOneThatIsCutShort) {
    const auto datagram = joined({numbered(1), numbered(2, 8)});
    for (auto length = numbered(1).size() + 1; length < datagram.size(); ++length) {
        const Bytes part(datagram.begin(), datagram.begin() + static_cast<std::ptrdiff_t>(length));
        EXPECT_THAT(sequences_of(part, false), ElementsAre(1)) << length;
    }
}

TEST(NetlinkMessages, EndWhereALengthMakesNoSense) {
    for (const std::uint32_t length : {0U, 15U, 17U, 0x7FFFFFFFU, 0xFFFFFFFFU}) {
        auto broken = numbered(2);
        static_cast<nlmsghdr*>(static_cast<void*>(broken.data()))->nlmsg_len = length;
        EXPECT_THAT(sequences_of(joined({numbered(1), broken}), false), ElementsAre(1)) << length;
    }
}

TEST(NetlinkMessages, AreAllReceivedEvenIfSomeWereDropped) {
    ScriptedTransport kernel;
    kernel.pending = {numbered(1), EMSGSIZE, numbered(2), ENOBUFS, numbered(3)};
    Bytes buffer(Transport::max_datagram_bytes);
    std::vector<std::uint32_t> sequences;
    const auto note = [&](const nlmsghdr* each) { sequences.push_back(each->nlmsg_seq); };
    EXPECT_FALSE(receive_all(kernel, buffer, note));
    EXPECT_THAT(sequences, ElementsAre(1, 2, 3));

    kernel.pending = {numbered(4)};
    EXPECT_TRUE(receive_all(kernel, buffer, note));
    kernel.pending = {EBADF, numbered(5)};
    EXPECT_THROW(receive_all(kernel, buffer, note), std::system_error);
    EXPECT_THAT(sequences, ElementsAre(1, 2, 3, 4));
}

Bytes with_attributes() {
    return message(NLMSG_MIN_TYPE, 0, 1, [](nlmsghdr* made) {
        put_header<std::uint32_t>(made) = 0xFFFFFFFF;
        mnl_attr_put_u32(made, 1, 0x01020304);
        mnl_attr_put_u8(made, 2, 5);
        mnl_attr_put_strz(made, 3, "with a terminator");
        mnl_attr_put_str(made, 4, "without");
        auto* nest = mnl_attr_nest_start(made, 5);
        mnl_attr_put_u32(made, 1, 42);
        mnl_attr_nest_end(made, nest);
        mnl_attr_put_u32(made, 1, 0xBAD);
        mnl_attr_put(made, 6, 0, nullptr);
    });
}

TEST(NetlinkAttributes, AreFoundByType) {
    const auto whole = with_attributes();
    const auto attributes = Attributes::of(header(whole), sizeof(std::uint32_t));
    ASSERT_TRUE(attributes);
    EXPECT_EQ(attributes->u32(1), 0x01020304U);
    EXPECT_EQ(attributes->u8(2), 5);
    EXPECT_EQ(attributes->text(3), "with a terminator");
    EXPECT_EQ(attributes->text(4), "without");
    ASSERT_TRUE(attributes->nested(5));
    EXPECT_EQ(attributes->nested(5)->u32(1), 42U);
    EXPECT_EQ(attributes->payload(4)->size(), 7U);
    EXPECT_EQ(attributes->payload(6)->size(), 0U);
}

TEST(NetlinkAttributes, AreNothingWhereThereAreNone) {
    const auto whole = with_attributes();
    const auto attributes = Attributes::of(header(whole), sizeof(std::uint32_t));
    ASSERT_TRUE(attributes);
    EXPECT_FALSE(attributes->payload(7));
    EXPECT_FALSE(attributes->nested(7));
    EXPECT_FALSE(attributes->nested(3)) << "a text is no attribute";
    EXPECT_FALSE(attributes->u32(2));
    EXPECT_FALSE(attributes->u32(6));
    EXPECT_FALSE(attributes->u8(1));
    EXPECT_EQ(attributes->text(6), "");
    EXPECT_EQ(attributes->text(7), "");
}

TEST(NetlinkAttributes, AreNothingOfAMessageThatIsCutShort) {
    const auto whole = message(NLMSG_MIN_TYPE, 0, 1, [](nlmsghdr* made) {
        put_header<std::uint32_t>(made) = 0xFFFFFFFF;
        mnl_attr_put_u32(made, 1, 1);
        mnl_attr_put_strz(made, 2, "123");
    });
    const auto first = NLMSG_HDRLEN + sizeof(std::uint32_t);
    for (std::size_t length = NLMSG_HDRLEN; length <= whole.size(); ++length) {
        const auto part = cut(whole, length);
        const bool between = length == first || length == first + 8 || length == first + 16;
        EXPECT_EQ(Attributes::of(header(part), sizeof(std::uint32_t)).has_value(), between)
            << length;
    }
}

TEST(NetlinkAttributes, NeverLeaveAMessageWithAWrongByte) {
    const auto whole = with_attributes();
    std::size_t readable = 0;
    std::size_t unreadable = 0;
    for (auto at = NLMSG_HDRLEN + sizeof(std::uint32_t); at < whole.size(); ++at) {
        for (unsigned value = 0; value < 256; ++value) {
            auto broken = whole;
            broken[at] = static_cast<std::byte>(value);
            const auto attributes = Attributes::of(header(broken), sizeof(std::uint32_t));
            ++(attributes ? readable : unreadable);
            for (std::uint16_t type = 0; attributes && type < 8; ++type) {
                EXPECT_LE(attributes->text(type).size(), whole.size());
                if (const auto nested = attributes->nested(type)) {
                    EXPECT_LE(nested->text(1).size(), whole.size());
                }
            }
        }
    }
    EXPECT_GT(readable, 1000U);
    EXPECT_GT(unreadable, 1000U);
}

}  // namespace
}  // namespace porthole::netlink
