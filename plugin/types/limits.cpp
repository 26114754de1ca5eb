// SPDX-License-Identifier: GPL-2.0-or-later
#include "types/limits.hpp"

#include <string>

#include "types/error.hpp"

namespace porthole {

void require_at_most(std::size_t count, std::size_t most, std::string_view what) {
    if (count <= most) return;
    throw Refused(Refusal::limit_exceeded, std::to_string(count) + " " + std::string(what) +
                                               " would be too many: at most " +
                                               std::to_string(most) + " are possible");
}

void require_bounded(const PeerSettings& peer) {
    require_at_most(peer.allowed_ips.size(), most_allowed_ips,
                    "allowed-ips of peer " + to_text(peer.public_key));
}

void require_bounded(const TunnelSettings& tunnel) {
    require_at_most(tunnel.peers.size(), most_peers, "peers of a tunnel");
    require_at_most(tunnel.addresses.size(), most_tunnel_addresses, "addresses of a tunnel");
    require_at_most(tunnel.dns.size(), most_tunnel_addresses, "entries of DNS of a tunnel");
    for (const auto& peer : tunnel.peers) require_bounded(peer);
}

}  // namespace porthole
