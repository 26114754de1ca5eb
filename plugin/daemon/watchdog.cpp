// SPDX-License-Identifier: GPL-2.0-or-later
#include "watchdog.hpp"

#include <algorithm>
#include <cstdint>
#include <system_error>

#include <systemd/sd-daemon.h>

#include "core/log.hpp"

namespace porthole {

using std::chrono::milliseconds;

WatchdogSource::WatchdogSource() {
    std::uint64_t limit = 0;
    if (sd_watchdog_enabled(0, &limit) > 0) interval_ = std::chrono::microseconds(limit) / 2;
}

Interest WatchdogSource::prepare() {
    if (!interval_) return {};
    const auto left = std::chrono::ceil<milliseconds>(next_ - Clock::now());
    return {-1, 0, std::max(left, milliseconds(0))};
}

void WatchdogSource::dispatch() {
    next_ = Clock::now() + *interval_;
    const int result = sd_notify(0, "WATCHDOG=1");
    if (result < 0) {
        log::warning("watchdog-failed", "the service manager hears nothing: {}",
                     std::generic_category().message(-result));
    }
}

}  // namespace porthole
