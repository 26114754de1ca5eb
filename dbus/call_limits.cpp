// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/call_limits.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "dbus/limits.hpp"

namespace porthole::dbus {

bool CallLimits::admit(uid_t user, Time now) {
    auto& own = at(user, now);
    if (std::max(own.calls.wait(now), own.bytes.wait(now)).count() > 0) return false;
    own.calls.take(1, now);
    return true;
}

CallLimits::Excess CallLimits::excess(uid_t user, Time now) {
    constexpr double kibibyte = 1024;
    const auto& own = at(user, now);
    const auto calls = own.calls.wait(now);
    const auto bytes = own.bytes.wait(now);
    const auto until = now + std::chrono::ceil<Time::duration>(std::max(calls, bytes));
    if (bytes >= calls) {
        return {fmt::format("user {} may be answered {} KiB a second, and {} KiB at once", user,
                            limits::bytes_per_second / kibibyte, limits::bytes_at_once / kibibyte),
                until};
    }
    return {fmt::format("user {} may make {} calls a second, and {} at once, of which one that "
                        "takes long counts as several",
                        user, limits::calls_per_second, limits::calls_at_once),
            until};
}

void CallLimits::charge(uid_t user, double calls, double bytes, Time now) {
    auto& own = at(user, now);
    own.calls.take(calls, now);
    own.bytes.take(bytes, now);
}

CallLimits::User& CallLimits::at(uid_t user, Time now) {
    const auto known = users_.find(user);
    if (known != users_.end()) return known->second;
    // Who has everything that he may is as good as new.
    std::erase_if(users_, [now](const auto& each) {
        return each.second.calls.is_full(now) && each.second.bytes.is_full(now);
    });
    const User full{{limits::calls_per_second, limits::calls_at_once, now},
                    {limits::bytes_per_second, limits::bytes_at_once, now}};
    return users_.emplace(user, full).first->second;
}

}  // namespace porthole::dbus
