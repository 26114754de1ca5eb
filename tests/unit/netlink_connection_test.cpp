// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netfilter/nfnetlink.h>

#include "netlink/connection.hpp"
#include "netlink_script.hpp"

namespace porthole::netlink {
namespace {

using namespace script;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint16_t some_type = 0x0A07;

void nothing(nlmsghdr* /*message*/) {}

FinalizedBatch transaction(const std::vector<std::string>& names = {"one", "two", "three"}) {
    auto batch = Batch::nfnetlink_transaction(NFNL_SUBSYS_NFTABLES);
    for (const auto& name : names) batch.add(name, some_type, 0, nothing);
    return std::move(batch).finalize();
}

class NetlinkConnection : public testing::Test {
  protected:
    std::vector<CommandFailure> failures_of(FinalizedBatch batch) {
        try {
            connection.execute(std::move(batch));
        } catch (const BatchFailure& failure) {
            return failure.failures();
        }
        return {};
    }

    std::unique_ptr<ScriptedTransport> owned = std::make_unique<ScriptedTransport>();
    ScriptedTransport& kernel = *owned;
    Connection connection{std::move(owned)};
};

using NetlinkExecute = NetlinkConnection;

TEST_F(NetlinkExecute, IsContentWithTheAcknowledgementOfTheLastCommand) {
    kernel.answer = [](const nlmsghdr* begin) -> std::vector<Event> {
        return {report(begin->nlmsg_seq + 3, 0)};
    };
    EXPECT_NO_THROW(connection.execute(transaction()));
    EXPECT_EQ(messages_of(kernel.sent.at(0)).size(), 5U);
}

TEST_F(NetlinkExecute, DoesNotMindAcknowledgementsOfTheFrame) {
    kernel.answer = [](const nlmsghdr* begin) -> std::vector<Event> {
        return {report(begin->nlmsg_seq, 0), report(begin->nlmsg_seq + 3, 0),
                report(begin->nlmsg_seq + 4, 0)};
    };
    EXPECT_NO_THROW(connection.execute(transaction()));
}

TEST_F(NetlinkExecute, HandsOverWhatElseTheKernelAnswers) {
    const auto object = [](std::uint32_t sequence) { return message(some_type, 0, sequence); };
    kernel.answer = [&](const nlmsghdr* begin) -> std::vector<Event> {
        const auto first = begin->nlmsg_seq;
        return {object(first + 9), object(first + 1), report(first + 3, 0)};
    };
    std::vector<std::uint32_t> answered;
    connection.execute(transaction(), [&](const nlmsghdr* answer) {
        answered.push_back(answer->nlmsg_seq - messages_of(kernel.sent.at(0)).front()->nlmsg_seq);
    });
    EXPECT_THAT(answered, ElementsAre(1)) << "and nothing that belongs to another request";
}

TEST_F(NetlinkExecute, SendsNothingForABatchWithoutCommands) {
    EXPECT_NO_THROW(connection.execute(transaction({})));
    EXPECT_TRUE(kernel.sent.empty());
}

TEST_F(NetlinkExecute, NeverUsesASequenceNumberTwice) {
    kernel.answer = [](const nlmsghdr* begin) -> std::vector<Event> {
        return {report(begin->nlmsg_seq + 3, 0)};
    };
    connection.execute(transaction());
    connection.execute(transaction());
    const auto last_of_first = messages_of(kernel.sent.at(0)).back()->nlmsg_seq;
    EXPECT_EQ(messages_of(kernel.sent.at(1)).front()->nlmsg_seq, last_of_first + 1);
}

TEST_F(NetlinkExecute, NamesEveryCommandThatWasRefused) {
    kernel.answer = [](const nlmsghdr* begin) -> std::vector<Event> {
        const auto first = begin->nlmsg_seq;
        return {joined({report(first + 2, ENOENT, "no such set", 36), report(first + 3, EEXIST)})};
    };
    EXPECT_THAT(failures_of(transaction()),
                ElementsAre(CommandFailure{"two", ENOENT, "no such set", 36},
                            CommandFailure{"three", EEXIST, "", 0}));
}

TEST_F(NetlinkExecute, TellsOfTheFirstFailure) {
    kernel.answer = [](const nlmsghdr* begin) -> std::vector<Event> {
        return {report(begin->nlmsg_seq + 1, EBUSY, "in use"), report(begin->nlmsg_seq + 2, EPERM)};
    };
    try {
        connection.execute(transaction());
        FAIL() << "no failure was reported";
    } catch (const KernelFailure& failure) {
        EXPECT_EQ(failure.code(), EBUSY);
        EXPECT_STREQ(failure.what(), "one: Device or resource busy (in use)");
    }
}

TEST_F(NetlinkExecute, FindsTheTextBehindARequestThatIsRepeatedInFull) {
    kernel.answer = [](const nlmsghdr* begin) -> std::vector<Event> {
        return {message(NLMSG_ERROR, NLM_F_ACK_TLVS, begin->nlmsg_seq + 1, [](nlmsghdr* made) {
            auto& error = put_header<nlmsgerr>(made);
            error.error = -EINVAL;
            error.msg.nlmsg_len = sizeof(nlmsghdr) + 12;
            mnl_nlmsg_put_extra_header(made, 12);
            mnl_attr_put_strz(made, NLMSGERR_ATTR_MSG, "unknown expression");
        })};
    };
    EXPECT_THAT(failures_of(transaction()),
                ElementsAre(CommandFailure{"one", EINVAL, "unknown expression", 0}));
}

TEST_F(NetlinkExecute, ReportsAFailureOfTheTransactionItself) {
    kernel.answer = [](const nlmsghdr* begin) -> std::vector<Event> {
        return {report(begin->nlmsg_seq, ENOMEM), report(begin->nlmsg_seq + 3, 0)};
    };
    EXPECT_THAT(failures_of(transaction()),
                ElementsAre(CommandFailure{"begin batch", ENOMEM, "", 0}));
}

TEST_F(NetlinkExecute, DoesNotTakeStaleAnswersForItsOwn) {
    kernel.pending = {report(2, EINVAL), ENOBUFS, report(4, 0)};
    kernel.answer = [](const nlmsghdr*) { return std::vector<Event>(); };
    EXPECT_THAT(
        failures_of(transaction()),
        ElementsAre(CommandFailure{"one and 2 more", EBADMSG, "the kernel did not answer", 0}));
}

TEST_F(NetlinkExecute, IgnoresAnswersToOtherMessages) {
    kernel.answer = [](const nlmsghdr* begin) -> std::vector<Event> {
        return {report(begin->nlmsg_seq + 5, EINVAL), report(begin->nlmsg_seq - 1, EINVAL),
                report(begin->nlmsg_seq + 3, 0)};
    };
    EXPECT_NO_THROW(connection.execute(transaction()));
}

TEST_F(NetlinkExecute, FailsWhenAnswersWereDropped) {
    kernel.answer = [](const nlmsghdr* begin) -> std::vector<Event> {
        return {ENOBUFS, report(begin->nlmsg_seq + 3, 0)};
    };
    EXPECT_THAT(
        failures_of(transaction()),
        ElementsAre(CommandFailure{"one and 2 more", ENOBUFS, "the kernel dropped answers", 0}));
}

TEST_F(NetlinkExecute, ReportsWhatWasReadBeforeAnswersWereDropped) {
    kernel.answer = [](const nlmsghdr* begin) -> std::vector<Event> {
        return {ENOBUFS, report(begin->nlmsg_seq + 1, EEXIST),
                report(begin->nlmsg_seq + 2, EEXIST)};
    };
    EXPECT_THAT(failures_of(transaction()), ElementsAre(CommandFailure{"one", EEXIST, "", 0},
                                                        CommandFailure{"two", EEXIST, "", 0}));
}

TEST_F(NetlinkExecute, NamesTheBatchThatCouldNotBeSent) {
    kernel.answer = [](const nlmsghdr*) -> std::vector<Event> {
        throw std::system_error(EMSGSIZE, std::generic_category(), "send");
    };
    EXPECT_THAT(failures_of(transaction()),
                ElementsAre(CommandFailure{"one and 2 more", EMSGSIZE, "", 0}));
}

TEST_F(NetlinkExecute, NamesTheBatchWhoseAnswersCannotBeRead) {
    kernel.answer = [](const nlmsghdr*) -> std::vector<Event> { return {EIO}; };
    EXPECT_THAT(failures_of(transaction({"one"})), ElementsAre(CommandFailure{"one", EIO, "", 0}));
}

TEST_F(NetlinkExecute, WantsEveryCommandOfAPlainBatchAcknowledged) {
    Batch batch;
    batch.add("one", some_type, 0, nothing);
    batch.add("two", some_type, 0, nothing);
    kernel.answer = [](const nlmsghdr* first) -> std::vector<Event> {
        return {report(first->nlmsg_seq, 0)};
    };
    EXPECT_THAT(
        failures_of(std::move(batch).finalize()),
        ElementsAre(CommandFailure{"one and 1 more", EBADMSG, "the kernel did not answer", 0}));
}

TEST_F(NetlinkExecute, TakesNoReportThatIsCutShortForAnAcknowledgement) {
    const auto whole = report(0, 0, "a text that is there", 20);
    for (std::size_t length = sizeof(nlmsghdr); length < NLMSG_HDRLEN + sizeof(nlmsgerr);
         ++length) {
        kernel.answer = [&](const nlmsghdr* begin) -> std::vector<Event> {
            return {cut(report(begin->nlmsg_seq + 3, 0), length)};
        };
        EXPECT_EQ(failures_of(transaction()).at(0).error, EBADMSG) << length;
    }
}

TEST_F(NetlinkExecute, ReportsARefusalEvenIfItsTextIsCutShort) {
    const std::string text = "a text that is there";
    const auto size = report(0, EINVAL, text, 20).size();
    for (std::size_t length = NLMSG_HDRLEN + sizeof(nlmsgerr); length < size; ++length) {
        kernel.answer = [&](const nlmsghdr* begin) -> std::vector<Event> {
            return {cut(report(begin->nlmsg_seq + 3, EINVAL, text, 20), length)};
        };
        const auto failures = failures_of(transaction());
        ASSERT_EQ(failures.size(), 1U) << length;
        EXPECT_EQ(failures[0].error, EINVAL) << length;
        EXPECT_TRUE(failures[0].detail.empty() || failures[0].detail == text) << length;
    }
}

TEST_F(NetlinkExecute, DoesNotFollowARepeatedRequestThatClaimsToBeLonger) {
    for (const std::uint32_t length : {0U, 3U, 15U, 21U, 4096U, 0x7FFFFFFFU, 0xFFFFFFFFU}) {
        kernel.answer = [&](const nlmsghdr* begin) -> std::vector<Event> {
            return {message(NLMSG_ERROR, NLM_F_ACK_TLVS, begin->nlmsg_seq + 1, [&](nlmsghdr* made) {
                auto& error = put_header<nlmsgerr>(made);
                error.error = -EINVAL;
                error.msg.nlmsg_len = length;
            })};
        };
        EXPECT_THAT(failures_of(transaction()), ElementsAre(CommandFailure{"one", EINVAL, "", 0}));
    }
}

class NetlinkDump : public NetlinkConnection {
  protected:
    static constexpr std::uint16_t object = some_type;

    static Bytes part(std::uint32_t sequence, std::uint8_t value, std::uint16_t flags = 0) {
        return message(object, NLM_F_MULTI | flags, sequence,
                       [&](nlmsghdr* made) { mnl_attr_put_u8(made, 1, value); });
    }

    void dump() {
        connection.dump(
            "list objects", some_type, [](nlmsghdr* made) { mnl_attr_put_u8(made, 9, 9); },
            [this](const nlmsghdr* each) {
                values.push_back(Attributes::of(each, 0)->u8(1).value_or(0));
            },
            [this] {
                ++restarts;
                values.clear();
            });
    }

    int code_of_failed_dump() {
        try {
            dump();
        } catch (const KernelFailure& failure) {
            EXPECT_THAT(failure.what(), HasSubstr("list objects"));
            return failure.code();
        }
        return 0;
    }

    std::vector<int> values;
    int restarts = 0;
};

TEST_F(NetlinkDump, HandsOverEveryMessageUntilTheEnd) {
    kernel.answer = [](const nlmsghdr* request) -> std::vector<Event> {
        const auto sequence = request->nlmsg_seq;
        return {joined({part(sequence, 1), part(sequence, 2)}), part(sequence, 3), done(sequence)};
    };
    dump();
    EXPECT_THAT(values, ElementsAre(1, 2, 3));
    EXPECT_EQ(restarts, 0);
    const auto* request = messages_of(kernel.sent.at(0)).front();
    EXPECT_EQ(request->nlmsg_flags & (NLM_F_REQUEST | NLM_F_DUMP), NLM_F_REQUEST | NLM_F_DUMP);
    EXPECT_EQ(Attributes::of(request, 0)->u8(9), 9);
}

TEST_F(NetlinkDump, IgnoresWhatBelongsToAnotherRequest) {
    kernel.pending = {part(1, 77), ENOBUFS, done(1)};
    kernel.answer = [](const nlmsghdr* request) -> std::vector<Event> {
        const auto sequence = request->nlmsg_seq;
        return {part(sequence + 1, 78), part(sequence, 1), done(sequence + 1), done(sequence)};
    };
    dump();
    EXPECT_THAT(values, ElementsAre(1));
}

TEST_F(NetlinkDump, StartsAgainWhenAPartIsMarkedAsInterrupted) {
    int requests = 0;
    kernel.answer = [&](const nlmsghdr* request) -> std::vector<Event> {
        const auto sequence = request->nlmsg_seq;
        if (++requests > 1) return {part(sequence, 4), done(sequence)};
        return {part(sequence, 1), part(sequence, 2, NLM_F_DUMP_INTR), part(sequence, 3),
                done(sequence)};
    };
    dump();
    EXPECT_THAT(values, ElementsAre(4));
    EXPECT_EQ(restarts, 1);
}

TEST_F(NetlinkDump, StartsAgainWhenItsEndIsMarkedAsInterrupted) {
    int requests = 0;
    kernel.answer = [&](const nlmsghdr* request) -> std::vector<Event> {
        const auto sequence = request->nlmsg_seq;
        const std::uint16_t flags = ++requests == 1 ? NLM_F_DUMP_INTR : 0;
        return {part(sequence, 1), done(sequence, 0, flags)};
    };
    dump();
    EXPECT_THAT(values, ElementsAre(1));
    EXPECT_EQ(restarts, 1);
}

TEST_F(NetlinkDump, StartsAgainWhenTheKernelSaysInterrupted) {
    int requests = 0;
    kernel.answer = [&](const nlmsghdr* request) -> std::vector<Event> {
        const auto sequence = request->nlmsg_seq;
        switch (++requests) {
            case 1:
                return {part(sequence, 1), done(sequence, EINTR)};
            case 2:
                return {report(sequence, EINTR)};
            default:
                return {part(sequence, 2), done(sequence)};
        }
    };
    dump();
    EXPECT_THAT(values, ElementsAre(2));
    EXPECT_EQ(restarts, 2);
}

TEST_F(NetlinkDump, GivesUpAfterTheLastAttempt) {
    kernel.answer = [](const nlmsghdr* request) -> std::vector<Event> {
        return {done(request->nlmsg_seq, 0, NLM_F_DUMP_INTR)};
    };
    EXPECT_EQ(code_of_failed_dump(), EINTR);
    EXPECT_EQ(kernel.sent.size(), static_cast<std::size_t>(Connection::max_attempts));
    EXPECT_EQ(restarts, Connection::max_attempts - 1);
}

TEST_F(NetlinkDump, FailsWithTheErrorOfARefusedRequest) {
    kernel.answer = [](const nlmsghdr* request) -> std::vector<Event> {
        return {report(request->nlmsg_seq, EOPNOTSUPP, "no such dump")};
    };
    try {
        dump();
        FAIL() << "no failure was reported";
    } catch (const KernelFailure& failure) {
        EXPECT_EQ(failure.code(), EOPNOTSUPP);
        EXPECT_STREQ(failure.what(), "list objects: Operation not supported (no such dump)");
    }
}

TEST_F(NetlinkDump, FailsWithTheErrorOfItsEnd) {
    kernel.answer = [](const nlmsghdr* request) -> std::vector<Event> {
        return {part(request->nlmsg_seq, 1), done(request->nlmsg_seq, ENOENT)};
    };
    EXPECT_EQ(code_of_failed_dump(), ENOENT);
}

TEST_F(NetlinkDump, FailsWhenItHasNoEnd) {
    kernel.answer = [](const nlmsghdr* request) -> std::vector<Event> {
        return {part(request->nlmsg_seq, 1)};
    };
    EXPECT_EQ(code_of_failed_dump(), EBADMSG);
    kernel.answer = [](const nlmsghdr* request) -> std::vector<Event> {
        return {report(request->nlmsg_seq, 0)};
    };
    EXPECT_EQ(code_of_failed_dump(), EBADMSG);
}

TEST_F(NetlinkDump, FailsWhenAPartIsCutShort) {
    const auto size = part(0, 1).size();
    for (std::size_t length = 1; length < size; ++length) {
        kernel.answer = [&](const nlmsghdr* request) -> std::vector<Event> {
            auto whole = part(request->nlmsg_seq, 1);
            whole.resize(length);
            return {whole, done(request->nlmsg_seq)};
        };
        EXPECT_EQ(code_of_failed_dump(), EBADMSG) << length;
    }
}

TEST_F(NetlinkDump, FailsWhenPartsWereDropped) {
    kernel.answer = [](const nlmsghdr* request) -> std::vector<Event> {
        return {ENOBUFS, done(request->nlmsg_seq)};
    };
    EXPECT_EQ(code_of_failed_dump(), ENOBUFS);
}

TEST_F(NetlinkDump, FailsWhenItCannotBeAskedFor) {
    kernel.answer = [](const nlmsghdr*) -> std::vector<Event> {
        throw std::system_error(ENOBUFS, std::generic_category(), "send");
    };
    EXPECT_EQ(code_of_failed_dump(), ENOBUFS);
}

TEST_F(NetlinkDump, CanBeGivenUpAndAskedForAgain) {
    kernel.answer = [](const nlmsghdr* request) -> std::vector<Event> {
        return {part(request->nlmsg_seq, 1), part(request->nlmsg_seq, 2), done(request->nlmsg_seq)};
    };
    const auto give_up = [](const nlmsghdr*) { throw std::runtime_error("enough"); };
    EXPECT_THROW(connection.dump("list objects", some_type, nothing, give_up, [] {}),
                 std::runtime_error);
    dump();
    EXPECT_THAT(values, ElementsAre(1, 2));
}

}  // namespace
}  // namespace porthole::netlink
