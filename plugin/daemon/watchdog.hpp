// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <optional>

#include "core/event_loop.hpp"

namespace porthole {

/// Tells the service manager that the event loop goes round, twice as often as it wants to hear
/// (WatchdogSec= of systemd). Nothing where nobody asked for that.
class WatchdogSource : public EventSource {
  public:
    /// Asks the environment, as sd_watchdog_enabled(3) describes it.
    WatchdogSource();

    Interest prepare() override;
    void dispatch() override;

  private:
    using Clock = std::chrono::steady_clock;
    std::optional<std::chrono::microseconds> interval_;
    Clock::time_point next_ = Clock::now();
};

}  // namespace porthole
