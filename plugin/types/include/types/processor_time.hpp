// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <ctime>

namespace porthole {

/// What this thread has had of the processors (CLOCK_THREAD_CPUTIME_ID of clock_gettime(2)): not
/// what it has waited for, which is others' where they have the processors, and the disk's.
inline std::chrono::nanoseconds processor_time() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace porthole
