// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/kill_at_call.hpp"

#include <cerrno>
#include <csignal>
#include <future>
#include <system_error>
#include <utility>

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/file_descriptor.hpp"

namespace porthole::lab {
namespace {

constexpr int system_call_stop = SIGTRAP | 0x80;  // as PTRACE_O_TRACESYSGOOD marks it

class Tracee {
  public:
    explicit Tracee(pid_t process) : process_(process) {
        request(PTRACE_SEIZE, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
        request(PTRACE_INTERRUPT, 0);
        if (!wait()) throw std::system_error(ESRCH, std::generic_category(), "trace");
        go_on();
    }

    // Until a system call is about to begin; false if the process ends before.
    bool run_to_call() {
        while (wait()) {
            if (stop_ == system_call_stop && about_to_begin()) return true;
            go_on();
        }
        return false;
    }
    void go_on() {
        const bool is_signal = stop_ != system_call_stop && stop_ < NSIG;
        // Fails if the process was killed meanwhile, which wait() finds out.
        ::ptrace(PTRACE_SYSCALL, process_, nullptr, is_signal ? stop_ : 0);
    }
    void kill() const { ::kill(process_, SIGKILL); }

  private:
    void request(__ptrace_request what, long data) const {
        if (::ptrace(what, process_, nullptr, data) < 0) {
            throw std::system_error(errno, std::generic_category(), "trace");
        }
    }
    // Until the process stops; false if it has ended. Its exit status is left to its owner.
    bool wait() {
        siginfo_t info{};
        int result = 0;
        do {
            result = ::waitid(P_PID, static_cast<id_t>(process_), &info,
                              WSTOPPED | WEXITED | WNOWAIT | __WALL);
        } while (result < 0 && errno == EINTR);
        stop_ = info.si_status;
        return result == 0 && info.si_code == CLD_TRAPPED;
    }
    [[nodiscard]] bool about_to_begin() const {
        __ptrace_syscall_info info{};
        ::ptrace(PTRACE_GET_SYSCALL_INFO, process_, sizeof info, &info);
        return info.op == PTRACE_SYSCALL_INFO_ENTRY;
    }

    pid_t process_;
    int stop_ = 0;
};

void trace(pid_t process, unsigned count, std::promise<void> started) try {
    Tracee tracee(process);
    started.set_value();
    while (tracee.run_to_call()) {
        if (--count == 0) return tracee.kill();
        tracee.go_on();
    }
} catch (const std::system_error&) {
    started.set_exception(std::current_exception());
}

}  // namespace

bool can_kill_at_calls() {
    const auto child = checked(::fork(), "fork");
    if (child == 0) {
        static_cast<void>(::ptrace(PTRACE_TRACEME));
        static_cast<void>(::raise(SIGSTOP));
        ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
    __ptrace_syscall_info info{};
    const auto size = ::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return size > 0;
}

KillAtCall::KillAtCall(pid_t process, unsigned count) {
    std::promise<void> promise;
    auto started = promise.get_future();
    tracer_ = std::jthread(trace, process, count, std::move(promise));
    started.get();
}

}  // namespace porthole::lab
