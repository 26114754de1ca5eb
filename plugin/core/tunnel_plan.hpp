// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>

#include "core/tunnel_device.hpp"

namespace porthole {

/// What its interface has besides, with the routes of one peer, or of none.
TunnelLink link_with(const TunnelSettings& settings, const std::optional<PeerSettings>& peer);

/// The peer of this key, or none.
const PeerSettings* find_peer(const TunnelSettings& settings, const PublicKey& key);
/// Whether nobody has said that the peer is somewhere else.
bool is_placed_alike(const TunnelSettings& before, const TunnelSettings& after,
                     const PublicKey& key);

/// Endpoints that the kernel has learnt are better than those that were once written down; what was
/// never learnt is as written.
WireGuardDevice with_learnt_endpoints(WireGuardDevice wanted, const WireGuardDevice& actual);
/// Where peers were last is better than where they were said to be, too.
WireGuardDevice with_stored_endpoints(WireGuardDevice device, const Tunnel& tunnel);
/// What WireGuard is to be told of a tunnel that was `before`, and is `actual` in the kernel: peers
/// whose place is to be what it was to be keep the one that was learnt. Until a name is resolved,
/// where its peer is is the best guess.
WireGuardDevice continued(const TunnelSettings& before, const WireGuardDevice& actual,
                          const Tunnel& after);

/// The same as require_consistent() does, of one peer among others that are consistent.
void require_consistent_with(const TunnelSettings& settings, const PeerSettings& peer);

}  // namespace porthole
