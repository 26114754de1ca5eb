// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>

#include "types/interfaces.hpp"
#include "types/reservation.hpp"
#include "types/wireguard.hpp"

namespace porthole {

/// A clock that nobody sets.
using MonotonicClock = std::function<std::chrono::steady_clock::time_point()>;

/// How long ago peers had their last handshakes. The kernel has that by the clock on the wall,
/// which is set now and then: the age of a handshake that was seen once goes by one that nobody
/// sets.
class Handshakes {
  public:
    Handshakes(std::function<Time()> wall, MonotonicClock monotonic)
        : wall_(std::move(wall)), monotonic_(std::move(monotonic)) {}

    /// What the kernel says now of the peer of a tunnel becomes an age; nothing: there was none.
    std::optional<std::chrono::nanoseconds> age(const InterfaceName& tunnel,
                                                const PeerActivity& activity);
    void forget(const InterfaceName& tunnel);
    void forget(const InterfaceName& tunnel, const PublicKey& peer);

  private:
    struct Seen {
        std::chrono::sys_time<std::chrono::nanoseconds> by_the_wall;
        std::chrono::steady_clock::time_point at;
        std::chrono::steady_clock::time_point looked;
    };
    std::function<Time()> wall_;
    MonotonicClock monotonic_;
    std::map<InterfaceName, std::map<PublicKey, Seen>> seen_;
};

}  // namespace porthole
