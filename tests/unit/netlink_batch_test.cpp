// SPDX-License-Identifier: GPL-2.0-or-later
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netfilter/nfnetlink.h>

#include "netlink/batch.hpp"
#include "netlink_script.hpp"

namespace porthole::netlink {
namespace {

using script::messages_of;

constexpr std::uint16_t some_type = 0x0A07;

void nothing(nlmsghdr* /*message*/) {}

void one_byte(nlmsghdr* message) { mnl_attr_put_u8(message, 1, 7); }

TEST(NetlinkBatch, NumbersAndNamesItsCommandsAndAsksForEachAcknowledgement) {
    Batch batch;
    batch.add("first", some_type, NLM_F_CREATE, one_byte);
    batch.add("second", some_type + 1, 0, nothing);
    const auto finalized = std::move(batch).finalize();

    const auto messages = messages_of(finalized.bytes());
    ASSERT_EQ(messages.size(), 2U);
    EXPECT_EQ(finalized.size(), 2U);
    EXPECT_EQ(messages[0]->nlmsg_type, some_type);
    EXPECT_EQ(messages[0]->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE);
    EXPECT_EQ(messages[0]->nlmsg_seq, 1U);
    EXPECT_EQ(Attributes::of(messages[0], 0)->u8(1), 7);
    EXPECT_EQ(messages[1]->nlmsg_type, some_type + 1);
    EXPECT_EQ(messages[1]->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK);
    EXPECT_EQ(messages[1]->nlmsg_seq, 2U);
    EXPECT_EQ(finalized.name(1), "first");
    EXPECT_EQ(finalized.name(2), "second");
    EXPECT_EQ(finalized.last_acknowledged(), 2U);
}

TEST(NetlinkBatch, FramesATransactionAndAsksForTheLastAcknowledgementOnly) {
    auto batch = Batch::nfnetlink_transaction(NFNL_SUBSYS_NFTABLES);
    EXPECT_TRUE(batch.empty());
    batch.add("first", some_type, 0, nothing);
    batch.add("second", some_type, 0, one_byte);
    EXPECT_FALSE(batch.empty());
    const auto finalized = std::move(batch).finalize();

    const auto messages = messages_of(finalized.bytes());
    ASSERT_EQ(messages.size(), 4U);
    for (const auto index : {0U, 3U}) {
        const auto* frame = messages[index];
        EXPECT_EQ(frame->nlmsg_type, index == 0 ? NFNL_MSG_BATCH_BEGIN : NFNL_MSG_BATCH_END);
        EXPECT_EQ(frame->nlmsg_flags, NLM_F_REQUEST);
        ASSERT_EQ(mnl_nlmsg_get_payload_len(frame), sizeof(nfgenmsg));
        const auto* payload = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(frame));
        EXPECT_EQ(payload->nfgen_family, AF_UNSPEC);
        EXPECT_EQ(payload->version, NFNETLINK_V0);
        EXPECT_EQ(payload->res_id, htons(NFNL_SUBSYS_NFTABLES));
    }
    EXPECT_EQ(messages[1]->nlmsg_flags, NLM_F_REQUEST);
    EXPECT_EQ(messages[2]->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK);
    EXPECT_EQ(messages[3]->nlmsg_seq, 4U);
    EXPECT_EQ(finalized.last_acknowledged(), 3U);
    EXPECT_EQ(finalized.name(1), "begin batch");
    EXPECT_EQ(finalized.name(3), "second");
    EXPECT_EQ(finalized.name(4), "end batch");
}

TEST(NetlinkBatch, WithoutCommandsHasNoMessages) {
    EXPECT_EQ(Batch().finalize().size(), 0U);
    const auto transaction = Batch::nfnetlink_transaction(NFNL_SUBSYS_NFTABLES).finalize();
    EXPECT_EQ(transaction.size(), 0U);
    EXPECT_TRUE(transaction.bytes().empty());
}

TEST(NetlinkBatch, IsNamedAfterItsFirstCommand) {
    Batch one;
    one.add("add table", some_type, 0, nothing);
    EXPECT_EQ(std::move(one).finalize().name(), "add table");

    auto three = Batch::nfnetlink_transaction(NFNL_SUBSYS_NFTABLES);
    for (const auto* name : {"add table", "add chain", "add rule"}) {
        three.add(name, some_type, 0, nothing);
    }
    EXPECT_EQ(std::move(three).finalize().name(), "add table and 2 more");
}

TEST(NetlinkBatch, IsRenumberedAcrossTheWrapOfSequenceNumbers) {
    constexpr auto last = std::numeric_limits<std::uint32_t>::max();
    auto batch = Batch::nfnetlink_transaction(NFNL_SUBSYS_NFTABLES);
    batch.add("first", some_type, 0, nothing);
    batch.add("second", some_type, 0, nothing);
    auto finalized = std::move(batch).finalize();
    finalized.renumber(last - 1);

    const auto messages = messages_of(finalized.bytes());
    ASSERT_EQ(messages.size(), 4U);
    EXPECT_EQ(messages[0]->nlmsg_seq, last - 1);
    EXPECT_EQ(messages[1]->nlmsg_seq, last);
    EXPECT_EQ(messages[2]->nlmsg_seq, 0U);
    EXPECT_EQ(messages[3]->nlmsg_seq, 1U);
    EXPECT_EQ(finalized.name(last), "first");
    EXPECT_EQ(finalized.name(0), "second");
    EXPECT_EQ(finalized.last_acknowledged(), 0U);
    EXPECT_FALSE(finalized.contains(last - 2));
    EXPECT_TRUE(finalized.contains(last - 1));
    EXPECT_TRUE(finalized.contains(1));
    EXPECT_FALSE(finalized.contains(2));
}

TEST(NetlinkBatch, TakesTheLargestAttributeBesideSmallOnes) {
    const std::string largest(65'531, 'x');
    Batch batch;
    for (int i = 0; i < 3; ++i) {
        batch.add("large", some_type, 0, [&](nlmsghdr* message) {
            mnl_attr_put(message, 1, largest.size(), largest.data());
            mnl_attr_put_u32(message, 2, 0xABCD);
        });
        batch.add("small", some_type, 0, one_byte);
    }
    const auto finalized = std::move(batch).finalize();
    const auto messages = messages_of(finalized.bytes());
    ASSERT_EQ(messages.size(), 6U);
    for (std::size_t i = 0; i < messages.size(); i += 2) {
        const auto attributes = Attributes::of(messages[i], 0);
        ASSERT_TRUE(attributes);
        EXPECT_EQ(attributes->text(1), largest);
        EXPECT_EQ(attributes->u32(2), 0xABCDU);
        EXPECT_EQ(Attributes::of(messages[i + 1], 0)->u8(1), 7);
    }
}

TEST(NetlinkBatch, RefusesACommandThatLeftItsRoom) {
    Batch batch;
    const auto overflow = [](nlmsghdr* message) {
        message->nlmsg_len = Batch::max_message_bytes + 1;
    };
    EXPECT_THROW(batch.add("too long", some_type, 0, overflow), std::length_error);
    EXPECT_TRUE(batch.empty());
}

TEST(NetlinkBatch, IsUnchangedByACommandThatCannotBeWritten) {
    auto batch = Batch::nfnetlink_transaction(NFNL_SUBSYS_NFTABLES);
    batch.add("first", some_type, 0, nothing);
    const auto fail = [](nlmsghdr* message) {
        mnl_attr_put_u32(message, 1, 1);
        throw std::runtime_error("no");
    };
    EXPECT_THROW(batch.add("second", some_type, 0, fail), std::runtime_error);
    const auto finalized = std::move(batch).finalize();
    EXPECT_EQ(messages_of(finalized.bytes()).size(), 3U);
    EXPECT_EQ(finalized.name(), "first");
    EXPECT_EQ(finalized.last_acknowledged(), 2U);
}

}  // namespace
}  // namespace porthole::netlink
