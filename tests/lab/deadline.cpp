// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/deadline.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include "lab/file_descriptor.hpp"

namespace porthole::lab {

bool Deadline::poll(std::span<pollfd> events) const {
    while (true) {
        const auto left = std::chrono::ceil<Duration>(end_ - Clock::now()).count();
        const auto ready = ::poll(events.data(), static_cast<nfds_t>(events.size()),
                                  static_cast<int>(std::max<Duration::rep>(left, 0)));
        if (ready < 0 && errno == EINTR) continue;
        return checked(ready, "poll") > 0;
    }
}

bool Deadline::poll(int descriptor, short events) const {
    std::array<pollfd, 1> one{{{descriptor, events, 0}}};
    return poll(one);
}

}  // namespace porthole::lab
