// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>

#include "core/tunnel.hpp"
#include "types/routing_rule.hpp"

namespace porthole {

/// Which tunnels the gateway sends to whom it knows no other way to: for each family one at most.
///
/// A tunnel whose table is "auto" has its default routes in a table of its own, with the number of
/// its fwmark. Rules lead there what the gateway itself sends, unless it has another mark, as the
/// packets of all tunnels have, or another source than an address of the tunnel: answers leave by
/// where they were asked. What the gateway forwards goes where it went.
class DefaultRoutes {
  public:
    /// Adds those that the peer's allowed IPs ask for. Throws InvalidArgument for one that would
    /// take the way to the peer itself, Refused (allowed_ip_taken) if another tunnel has it; then
    /// nothing was added.
    void add(const InterfaceName& tunnel, const TunnelSettings& settings, const PeerSettings& peer);
    /// The same of all its peers.
    void add(const Tunnel& tunnel);
    /// Removes those that were added with this peer.
    void remove(const InterfaceName& tunnel, const PeerSettings& peer);
    /// Removes all of the tunnel.
    void remove(const InterfaceName& tunnel);

    /// In the order in which they are to be asked.
    [[nodiscard]] std::vector<RoutingRule> rules() const;
    /// One line for each that nothing is sent by.
    [[nodiscard]] std::vector<std::string> warnings() const;
    bool operator==(const DefaultRoutes&) const = default;

  private:
    struct Way {
        InterfaceName tunnel;
        std::uint32_t table = 0;
        std::vector<Address> sources;  // the tunnel's addresses of this family
        bool operator==(const Way&) const = default;
    };
    std::map<Family, Way> ways_;
};

/// A number that no tunnel has as its fwmark or for a routing table.
std::uint32_t free_mark(const std::map<InterfaceName, Tunnel>& tunnels);

}  // namespace porthole
