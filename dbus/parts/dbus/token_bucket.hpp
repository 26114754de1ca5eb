// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <chrono>

namespace porthole::dbus {

/// So much in a second, and more after a rest. What costs more than there is left is let through
/// and paid for afterwards: until then nothing else is.
class TokenBucket {
  public:
    using Time = std::chrono::steady_clock::time_point;
    using Seconds = std::chrono::duration<double>;

    /// Full at `now`, with `size` tokens.
    TokenBucket(double per_second, double size, Time now)
        : per_second_(per_second), size_(size), tokens_(size), filled_(now) {}

    /// How long until there is one that may be taken; zero: there is.
    [[nodiscard]] Seconds wait(Time now) const {
        return Seconds(std::max(0.0, (1 - left(now)) / per_second_));
    }
    /// Takes this much at `now`, also where it is not there.
    void take(double tokens, Time now) {
        tokens_ = left(now) - tokens;
        filled_ = now;
    }
    [[nodiscard]] bool is_full(Time now) const { return left(now) >= size_; }

  private:
    [[nodiscard]] double left(Time now) const {
        const Seconds passed = now - filled_;
        return std::min(size_, tokens_ + passed.count() * per_second_);
    }

    double per_second_;
    double size_;
    double tokens_;
    Time filled_;
};

}  // namespace porthole::dbus
