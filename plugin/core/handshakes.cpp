// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/handshakes.hpp"

#include <algorithm>

namespace porthole {

using std::chrono::nanoseconds;

std::optional<nanoseconds> Handshakes::age(const InterfaceName& tunnel,
                                           const PeerActivity& activity) {
    const auto now = monotonic_();
    auto& peers = seen_[tunnel];
    const auto found = peers.find(activity.public_key);
    if (activity.last_handshake.time_since_epoch().count() == 0) {
        peers.insert_or_assign(activity.public_key, Seen{{}, now, now});
        return std::nullopt;
    }
    if (found != peers.end() && found->second.by_the_wall == activity.last_handshake) {
        found->second.looked = now;
        return now - found->second.at;
    }
    // A clock that was set back makes handshakes of the future; one that was set forward cannot
    // make this one older than the last look.
    auto age = std::max<nanoseconds>(wall_() - activity.last_handshake, nanoseconds(0));
    if (found != peers.end()) age = std::min<nanoseconds>(age, now - found->second.looked);
    peers.insert_or_assign(activity.public_key, Seen{activity.last_handshake, now - age, now});
    return age;
}

void Handshakes::forget(const InterfaceName& tunnel) { seen_.erase(tunnel); }

void Handshakes::forget(const InterfaceName& tunnel, const PublicKey& peer) {
    if (const auto found = seen_.find(tunnel); found != seen_.end()) found->second.erase(peer);
}

}  // namespace porthole
