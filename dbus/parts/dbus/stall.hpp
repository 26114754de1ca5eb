// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <optional>

namespace porthole::dbus {

/// How long the bus has taken nothing of what is on its way to it. One that is busy takes little at
/// a time, and is not stuck.
class Stall {
  public:
    using Time = std::chrono::steady_clock::time_point;

    /// To be called while the bus has to take something; `untaken`: the bytes that are on their
    /// way.
    Time::duration lasts(int untaken, Time now) {
        if (!since_ || untaken_ != untaken) since_ = now;
        untaken_ = untaken;
        return now - *since_;
    }
    void end() { since_.reset(); }

  private:
    std::optional<Time> since_;
    int untaken_ = 0;
};

}  // namespace porthole::dbus
