// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sdbus-c++/Error.h>

namespace porthole::cli {

/// Calls again where the service is busy. Who has called, or was answered, as much as he may is
/// refused when he may again, and not before.
template <typename Call>
auto patiently(const Call& call) {
    constexpr int attempts = 10;
    for (int i = 1;; ++i) {
        try {
            return call();
        } catch (const sdbus::Error& error) {
            if (i == attempts || error.getName() != "org.porthole.Gateway1.Error.Busy") throw;
        }
    }
}

}  // namespace porthole::cli
