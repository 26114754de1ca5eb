// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <atomic>
#include <cstdint>
#include <ctime>
#include <functional>
#include <thread>
#include <utility>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/event_loop.hpp"

namespace porthole {
namespace {

using namespace std::chrono_literals;

class Descriptor {
  public:
    explicit Descriptor(int value) : value_(value) { EXPECT_GE(value, 0); }
    ~Descriptor() { reset(); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    Descriptor(Descriptor&&) = delete;
    Descriptor& operator=(Descriptor&&) = delete;

    [[nodiscard]] int get() const { return value_; }
    void reset() {
        if (value_ >= 0) ::close(std::exchange(value_, -1));
    }

  private:
    int value_;
};

class Source : public EventSource {
  public:
    Source(Interest interest, std::function<void()> action)
        : interest_(interest), action_(std::move(action)) {}
    Interest prepare() override {
        ++prepared;
        return interest_;
    }
    void dispatch() override {
        ++dispatched;
        action_();
    }
    int prepared = 0;
    int dispatched = 0;

  private:
    Interest interest_;
    std::function<void()> action_;
};

class EventLoopTest : public ::testing::Test {
  protected:
    EventLoop loop_;
    const Descriptor silent_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    const Descriptor ready_{::eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC)};
};

TEST_F(EventLoopTest, DispatchesTheSourcesThatAreReady) {
    Source silent({.descriptor = silent_.get(), .events = POLLIN}, [] {});
    Source writable({.descriptor = silent_.get(), .events = POLLOUT}, [] {});
    Source ready({.descriptor = ready_.get(), .events = POLLIN}, [&] {
        std::uint64_t count = 0;
        ASSERT_EQ(::read(ready_.get(), &count, sizeof count), ssize_t{sizeof count});
        EXPECT_EQ(count, 3U);
        loop_.stop();
    });
    for (auto* source : {&silent, &writable, &ready}) loop_.add(*source);
    loop_.run();
    EXPECT_EQ(silent.dispatched, 0);
    EXPECT_EQ(writable.dispatched, 1);
    EXPECT_EQ(ready.dispatched, 1);
}

TEST_F(EventLoopTest, PreparesEverySourceBeforeEachPoll) {
    int rounds = 0;
    Source ready({.descriptor = ready_.get(), .events = POLLIN}, [&] {
        if (++rounds == 3) loop_.stop();
    });
    Source silent({.descriptor = silent_.get(), .events = POLLIN}, [] {});
    loop_.add(ready);
    loop_.add(silent);
    loop_.run();
    EXPECT_EQ(ready.prepared, 3);
    EXPECT_EQ(silent.prepared, 3);
}

TEST_F(EventLoopTest, DispatchesAtATimeoutNotBefore) {
    const auto begin = std::chrono::steady_clock::now();
    Source late({.descriptor = silent_.get(), .events = POLLIN, .timeout = 1h}, [] {});
    Source soon({.timeout = 20ms}, [&] { loop_.stop(); });
    loop_.add(late);
    loop_.add(soon);
    loop_.run();
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
    EXPECT_EQ(soon.dispatched, 1);
    EXPECT_EQ(late.dispatched, 0);
}

TEST_F(EventLoopTest, DispatchesAtOnceWhereNoTimeIsLeft) {
    for (const auto left : {0ms, -5ms, std::chrono::milliseconds::min()}) {
        EventLoop loop;
        Source due({.timeout = left}, [&] { loop.stop(); });
        loop.add(due);
        loop.run();
        EXPECT_EQ(due.dispatched, 1);
    }
}

TEST_F(EventLoopTest, TakesTimeoutsOfAnyLength) {
    for (const auto timeout :
         {std::chrono::milliseconds(0xFFFFFFFFLL * 1000), std::chrono::milliseconds::max()}) {
        EventLoop loop;
        Source never({.timeout = timeout}, [] {});
        Source ready({.descriptor = ready_.get(), .events = POLLIN}, [&] { loop.stop(); });
        loop.add(never);
        loop.add(ready);
        loop.run();
        EXPECT_EQ(never.dispatched, 0);
    }
}

std::chrono::nanoseconds time_of(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

TEST_F(EventLoopTest, SleepsOnceItHasLingered) {
    Source lingering({.descriptor = silent_.get(), .events = POLLIN, .linger = 1ms}, [] {});
    Source late({.timeout = 100ms}, [&] { loop_.stop(); });
    loop_.add(lingering);
    loop_.add(late);
    const auto begin = time_of(CLOCK_THREAD_CPUTIME_ID);
    loop_.run();
    EXPECT_LT(time_of(CLOCK_THREAD_CPUTIME_ID) - begin, 50ms);
    EXPECT_EQ(late.dispatched, 1);
    EXPECT_EQ(lingering.dispatched, 0);
}

// Whoever waits for us to work finds us at it, however long that takes.
TEST_F(EventLoopTest, DoesNotSleepWhileItLingers) {
    Source lingering({.linger = 1h}, [] {});
    Source late({.descriptor = silent_.get(), .events = POLLIN}, [&] { loop_.stop(); });
    loop_.add(lingering);
    loop_.add(late);
    clockid_t clock{};
    ASSERT_EQ(pthread_getcpuclockid(pthread_self(), &clock), 0);
    const auto begin = time_of(clock);
    std::atomic<bool> worked = false;
    const std::jthread other([&] {
        const auto end = std::chrono::steady_clock::now() + 10s;
        while (!worked && std::chrono::steady_clock::now() < end) {
            worked = time_of(clock) - begin > 5ms;
            std::this_thread::yield();
        }
        const std::uint64_t one = 1;
        EXPECT_EQ(::write(silent_.get(), &one, sizeof one), ssize_t{sizeof one});
    });
    loop_.run();
    EXPECT_EQ(late.dispatched, 1);
    EXPECT_TRUE(worked);
}

TEST_F(EventLoopTest, TellsASourceThatItsPeerHungUp) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    const Descriptor reading(ends[0]);
    Descriptor writing(ends[1]);
    Source source({.descriptor = reading.get(), .events = POLLIN}, [&] { loop_.stop(); });
    writing.reset();
    loop_.add(source);
    loop_.run();
    EXPECT_EQ(source.dispatched, 1);
}

TEST_F(EventLoopTest, DispatchesNothingAfterStop) {
    Source first({.descriptor = ready_.get(), .events = POLLIN}, [&] { loop_.stop(); });
    Source second({.descriptor = ready_.get(), .events = POLLIN}, [] {});
    loop_.add(first);
    loop_.add(second);
    loop_.run();
    EXPECT_EQ(first.dispatched, 1);
    EXPECT_EQ(second.dispatched, 0);
}

TEST_F(EventLoopTest, CanBeStoppedWhileItPrepares) {
    class Stopper : public EventSource {
      public:
        explicit Stopper(EventLoop& loop) : loop_(loop) {}
        Interest prepare() override {
            loop_.stop();
            return {};
        }
        void dispatch() override { ADD_FAILURE(); }

      private:
        EventLoop& loop_;
    };
    Stopper stopper(loop_);
    loop_.add(stopper);
    loop_.run();
}

}  // namespace
}  // namespace porthole
