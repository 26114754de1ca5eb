// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <span>

#include <poll.h>

namespace porthole::lab {

using Clock = std::chrono::steady_clock;
using Duration = std::chrono::milliseconds;

/// The moment until which something is waited for.
class Deadline {
  public:
    explicit Deadline(Duration from_now) : end_(Clock::now() + from_now) {}
    [[nodiscard]] bool passed() const { return Clock::now() >= end_; }
    /// poll(2) until an event or this deadline; false when the deadline has passed.
    [[nodiscard]] bool poll(std::span<pollfd> events) const;
    /// The same for one descriptor and POLLIN, POLLOUT, …
    [[nodiscard]] bool poll(int descriptor, short events) const;

  private:
    Clock::time_point end_;
};

/// Asks again and again until the answer is yes; false when the limit has passed. For what nobody
/// announces, and where asking waits for somebody else's work.
template <typename Condition>
bool comes_true(const Condition& condition, Duration limit = Duration(40'000)) {
    const Deadline deadline(limit);
    while (!condition()) {
        if (deadline.passed()) return false;
    }
    return true;
}

}  // namespace porthole::lab
