// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>

namespace porthole::bench {

/// Wall time of a call, in seconds.
template <typename Call>
double seconds(const Call& call) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace porthole::bench
