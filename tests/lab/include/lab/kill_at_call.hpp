// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <thread>

#include <sys/types.h>

namespace porthole::lab {

/// Whether the kernel tells a tracer which system call a process is at (PTRACE_GET_SYSCALL_INFO).
/// User-Mode Linux does not.
bool can_kill_at_calls();

/// Kills a process as one of its system calls is about to begin, so that the one before is the last
/// thing that it did. What a process does to others, it does by system calls: killing it at each of
/// them in turn interrupts it in every state that others can see.
class KillAtCall {
  public:
    /// Counts the system calls of the main thread of `process`, a child, from when this returns on
    /// (one that is under way counts as the first) and kills it instead of the one with number
    /// `count`. Other threads run on until then. Throws std::system_error if it cannot be traced.
    KillAtCall(pid_t process, unsigned count);
    /// Waits for the end of the process, which must come by itself if it makes fewer calls.
    ~KillAtCall() = default;
    KillAtCall(const KillAtCall&) = delete;
    KillAtCall& operator=(const KillAtCall&) = delete;
    KillAtCall(KillAtCall&&) = delete;
    KillAtCall& operator=(KillAtCall&&) = delete;

  private:
    std::jthread tracer_;  // ptrace(2) answers only the thread that attached
};

}  // namespace porthole::lab
