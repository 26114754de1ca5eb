// SPDX-License-Identifier: GPL-2.0-or-later
#include "grace_period.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace porthole::nft {

// Nothing interrupts the system call, so a thread of its own waits for it, as long as it takes.
struct GracePeriod::Call {
    std::mutex mutex;
    std::condition_variable returned;
    bool done = false;  // guarded by mutex
};

bool GracePeriod::wait(std::chrono::milliseconds limit) {
    if (call_) {
        const std::lock_guard lock(call_->mutex);
        if (!call_->done) return false;  // it began too early to know of what is on its way now
    }
    call_ = std::make_shared<Call>();
    std::thread([call = call_] {
        syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
        const std::lock_guard lock(call->mutex);
        call->done = true;
        call->returned.notify_one();
    }).detach();
    std::unique_lock lock(call_->mutex);
    return call_->returned.wait_for(lock, limit, [this] { return call_->done; });
}

}  // namespace porthole::nft
