// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>

#include "types/interfaces.hpp"
#include "types/tunnel.hpp"

namespace porthole {

/// A WireGuard interface of the gateway, as somebody wants it.
struct Tunnel {
    InterfaceName name;
    TunnelSettings settings;                 ///< its peers are sorted by key
    Origin origin = Origin::api;             ///< or Origin::configured
    std::map<PublicKey, Place> learnt = {};  ///< where peers were last that were elsewhere
    bool operator==(const Tunnel&) const = default;
};

inline std::optional<Place> learnt_place(const Tunnel& tunnel, const PublicKey& peer) {
    const auto found = tunnel.learnt.find(peer);
    return found == tunnel.learnt.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace porthole
