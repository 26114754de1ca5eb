// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/tunnel.hpp"
#include "core/tunnel_backend.hpp"

namespace porthole {

/// What WireGuard is to be told of a tunnel. Peers that are known by a host name have no endpoint.
WireGuardDevice device_of(const TunnelSettings& settings);
WireGuardPeer peer_of(const PeerSettings& settings);
/// What its interface has besides.
TunnelLink link_of(const TunnelSettings& settings);

}  // namespace porthole
