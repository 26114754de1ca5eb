// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/event_loop.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <poll.h>
#include <sched.h>

namespace porthole {

using namespace std::chrono_literals;

// The clock still represents the end of such a time.
constexpr std::chrono::milliseconds longest_timeout = std::chrono::years(100);

namespace {

using Clock = std::chrono::steady_clock;

// As poll(2), but without sleeping for the first `linger`: others have this processor meanwhile.
int wait_for(std::vector<pollfd>& descriptors, int timeout, std::chrono::microseconds linger) {
    const auto end = Clock::now() + linger;
    while (linger != 0us && timeout != 0 && Clock::now() < end) {
        const int ready = poll(descriptors.data(), descriptors.size(), 0);
        if (ready != 0) return ready;
        sched_yield();
    }
    return poll(descriptors.data(), descriptors.size(), timeout);
}

}  // namespace

void EventLoop::run() {
    running_ = true;
    std::vector<pollfd> descriptors(sources_.size());
    std::vector<std::optional<Clock::time_point>> deadlines(sources_.size());
    while (running_) {
        auto nearest = std::optional<Clock::time_point>();
        auto linger = 0us;
        for (std::size_t i = 0; i < sources_.size(); ++i) {
            const auto interest = sources_[i]->prepare();
            descriptors[i] = {interest.descriptor, interest.events, 0};
            deadlines[i] = std::nullopt;
            linger = std::max(linger, interest.linger);
            if (!interest.timeout) continue;
            deadlines[i] = Clock::now() + std::clamp(*interest.timeout, 0ms, longest_timeout);
            nearest = nearest ? std::min(*nearest, *deadlines[i]) : *deadlines[i];
        }
        if (!running_) break;

        int wait = -1;
        if (nearest) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(*nearest - Clock::now());
            wait = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
        }
        if (wait_for(descriptors, wait, linger) < 0 && errno != EINTR) {
            throw std::system_error(errno, std::generic_category(), "poll");
        }
        const auto now = Clock::now();
        for (std::size_t i = 0; i < sources_.size() && running_; ++i) {
            const bool late = deadlines[i] && *deadlines[i] <= now;
            if (descriptors[i].revents != 0 || late) sources_[i]->dispatch();
        }
    }
}

}  // namespace porthole
