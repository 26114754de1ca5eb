// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <string_view>

#include "types/tunnel.hpp"

// How much there can be at most: a page of it must fit into a message of the bus (dbus-daemon(1):
// 32 MiB).
namespace porthole {

/// Of all origins: clients get none beyond these. Ports are no limit where IPv6 hosts have all of
/// them at each address.
constexpr std::size_t most_reservations = 65'536;
/// Asked for by the clients of a user who is not root.
constexpr std::size_t most_reservations_of_a_user = 32'768;

constexpr std::size_t most_tunnels = 256;
constexpr std::size_t most_peers = 16'384;         ///< of a tunnel
constexpr std::size_t most_allowed_ips = 1024;     ///< of a peer
constexpr std::size_t most_tunnel_addresses = 64;  ///< and as many entries of DNS

/// Throws Refused (`limit_exceeded`), which names `what` there would be too many of: "peers".
void require_at_most(std::size_t count, std::size_t most, std::string_view what);
/// Throws the same for more than a peer, or a tunnel with its peers, can have.
void require_bounded(const PeerSettings& peer);
void require_bounded(const TunnelSettings& tunnel);

}  // namespace porthole
