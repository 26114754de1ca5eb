// SPDX-License-Identifier: GPL-2.0-or-later
#include "peer_source.hpp"

#include <algorithm>

#include <poll.h>

namespace porthole {

Interest PeerSource::prepare() {
    auto timeout = watch_.rest();
    if (const auto answer = resolver_.timeout()) {
        timeout = timeout ? std::min(*timeout, *answer) : *answer;
    }
    return {resolver_.descriptor(), POLLIN, timeout};
}

}  // namespace porthole
