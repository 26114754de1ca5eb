// SPDX-License-Identifier: GPL-2.0-or-later
// When the settler walks: the settler alone, on a gateway without flows.
#include <chrono>
#include <ctime>

#include <gtest/gtest.h>
#include <poll.h>

#include "lab/namespace.hpp"
#include "nft/conntrack_settler.hpp"

namespace porthole {
namespace {

using std::chrono::milliseconds;
using std::chrono_literals::operator""h;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

// Long enough to stand out from a machine that is busy with other things.
constexpr milliseconds noticeable{300};
constexpr milliseconds never{20'000};

class SettlerPace : public testing::Test {
  protected:
    void start(const nft::SettlingPace& pace) {
        settler_ = gateway_.run([&] { return std::make_unique<nft::ConntrackSettler>(pace); });
    }
    void stop() { settler_.reset(); }
    /// An order that takes a walk. Returns its ticket.
    std::uint64_t order() {
        const auto port = Port::constant<51820>();
        SettleOrder order{.ticket = ++ticket_, .mappings = {}, .scope = {}};
        order.mappings.added = {{Protocol::udp, Address::v4(0xC0A80202), port, port}};
        settler_->settle(std::move(order));
        return ticket_;
    }
    /// The newest ticket that is reported within that time; nothing: none is.
    std::optional<std::uint64_t> reported_within(milliseconds time) {
        pollfd event{settler_->descriptor(), POLLIN, 0};
        if (::poll(&event, 1, static_cast<int>(time.count())) != 1) return std::nullopt;
        const auto report = settler_->take_report();
        if (!report) return std::nullopt;
        EXPECT_EQ(report->failure, "");
        return report->ticket;
    }

  private:
    lab::Namespace gateway_{"gateway"};
    std::unique_ptr<nft::ConntrackSettler> settler_;
    std::uint64_t ticket_ = 0;
};

TEST_F(SettlerPace, OrdersThatFollowEachOtherAreSettledTogether) {
    start({.quiet = noticeable, .longest_wait = never});
    for (int i = 0; i < 50; ++i) order();
    const auto last = order();
    EXPECT_EQ(reported_within(never), last) << "the first report is about all of them";
}

TEST_F(SettlerPace, NoOrderWaitsForOthersForEver) {
    start({.quiet = never, .longest_wait = noticeable});
    const auto last = order();
    EXPECT_EQ(reported_within(never / 2), last);
}

// Some kernels count it in ticks of their timer.
bool processor_time_is_fine() {
    const auto now = [](clockid_t clock) {
        timespec time{};
        clock_gettime(clock, &time);
        return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
    };
    const auto spent = now(CLOCK_THREAD_CPUTIME_ID);
    const auto end = now(CLOCK_MONOTONIC) + 1ms;
    while (now(CLOCK_MONOTONIC) < end) {
    }
    return now(CLOCK_THREAD_CPUTIME_ID) != spent;
}

TEST_F(SettlerPace, AWalkIsFollowedByARest) {
    if (!processor_time_is_fine()) GTEST_SKIP() << "processor time is counted in ticks here";
    start(
        {.quiet = 0ms, .longest_wait = 0ms, .rest_factor = 1'000'000, .longest_rest = noticeable});
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 3; ++i) {
        const auto last = order();
        EXPECT_EQ(reported_within(never), last);
    }
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 2 * noticeable);
}

TEST_F(SettlerPace, AWalkForManyOrdersIsFollowedByALongerRest) {
    if (!processor_time_is_fine()) GTEST_SKIP() << "processor time is counted in ticks here";
    start({.quiet = 50ms,
           .longest_wait = never,
           .rest_factor = 0,
           .rest_factor_of_many = 1'000'000,
           .few = 2,
           .longest_rest_of_many = noticeable});
    const auto rested_after = [&](int orders) {
        std::uint64_t last = 0;
        for (int i = 0; i < orders; ++i) last = order();
        EXPECT_EQ(reported_within(never), last);
        const auto begin = std::chrono::steady_clock::now();
        last = order();
        EXPECT_EQ(reported_within(never), last);
        return std::chrono::steady_clock::now() - begin;
    };
    EXPECT_LT(rested_after(2), noticeable);
    EXPECT_GE(rested_after(3), noticeable);
}

TEST_F(SettlerPace, TheEndComesWhileItRestsOrWaits) {
    start({.quiet = 1h, .longest_wait = 1h});
    order();
    stop();
    start({.quiet = 0ms, .longest_wait = 0ms, .rest_factor = 1'000'000, .longest_rest = 1h});
    EXPECT_TRUE(reported_within(0ms) == std::nullopt);
    const auto first = order();
    EXPECT_EQ(reported_within(never), first);
    order();
    stop();
}

}  // namespace
}  // namespace porthole
