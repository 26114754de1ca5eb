// SPDX-License-Identifier: GPL-2.0-or-later
// A kernel without CONFIG_NF_CONNTRACK_TIMEOUT, which is not at hand: what it says was read in its
// source (nft_obj_type_get of nf_tables_api.c).
#include <cerrno>
#include <memory>
#include <set>
#include <vector>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "netlink_script.hpp"
#include "nft/firewall_table.hpp"

namespace porthole::nft {
namespace {

using namespace netlink::script;

bool is_about_an_object(const nlmsghdr* message) {
    return message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8U | NFT_MSG_NEWOBJ);
}

std::uint32_t object_type(const nlmsghdr* message) {
    const auto attributes = netlink::Attributes::of(message, sizeof(nfgenmsg));
    return ntohl(attributes->u32(NFTA_OBJ_TYPE).value_or(0));
}

class TimeoutsTest : public testing::Test {
  protected:
    TimeoutsTest() {
        kernel_.answer = [this](const nlmsghdr* first) -> std::vector<Event> {
            if ((first->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP) {
                return {done(first->nlmsg_seq)};
            }
            std::vector<Event> answers;
            timeouts_ = 0;
            for (const auto* message : messages_of(kernel_.sent.back())) {
                const bool timeout =
                    is_about_an_object(message) && object_type(message) == NFT_OBJECT_CT_TIMEOUT;
                if (timeout) ++timeouts_;
                const int error = timeout ? refusal_ : 0;
                const bool asks = (message->nlmsg_flags & NLM_F_ACK) != 0;
                if (asks || error != 0) answers.emplace_back(report(message->nlmsg_seq, error));
            }
            ++batches_;
            return answers;
        };
    }

    std::unique_ptr<ScriptedTransport> owned_ = std::make_unique<ScriptedTransport>();
    ScriptedTransport& kernel_ = *owned_;
    FirewallTable table_{std::move(owned_)};
    int refusal_ = 0;
    int timeouts_ = 0;  // in the last batch
    int batches_ = 0;
};

TEST_F(TimeoutsTest, AreThereWhereTheKernelHasThem) {
    table_.replace({});
    EXPECT_EQ(batches_, 1);
    EXPECT_EQ(timeouts_, 2) << "of UDP and of TCP";
    EXPECT_TRUE(table_.has_timeouts());
}

TEST_F(TimeoutsTest, AreLeftOutWhereItHasNone) {
    refusal_ = ENOENT;
    table_.replace({});
    EXPECT_EQ(batches_, 2);
    EXPECT_EQ(timeouts_, 0);
    EXPECT_FALSE(table_.has_timeouts());
    table_.replace({});
    EXPECT_EQ(batches_, 3) << "it is not asked again";
}

TEST_F(TimeoutsTest, AreNotLeftOutForOtherFailures) {
    refusal_ = ENOMEM;
    EXPECT_THROW(table_.replace({}), KernelFailure);
    EXPECT_TRUE(table_.has_timeouts());
}

}  // namespace
}  // namespace porthole::nft
