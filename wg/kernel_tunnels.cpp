// SPDX-License-Identifier: GPL-2.0-or-later
#include "wg/kernel_tunnels.hpp"

#include <algorithm>
#include <cerrno>

namespace porthole::wg {
namespace {

// What WireGuard adds to a packet: 40 bytes of IPv6, 8 of UDP, and 32 of its own.
constexpr std::uint32_t overhead = 80;
constexpr auto kind = "wireguard";
// Interfaces that it has made, and those of which nobody was told yet.
constexpr auto mark = "porthole";
constexpr auto unfinished_mark = "porthole, unfinished";
constexpr std::uint32_t usual_path_mtu = 1500;
constexpr std::uint32_t least_mtu = 1280;  // of IPv6

std::uint32_t table_of(const TunnelLink& link, const Network& destination) {
    constexpr std::uint32_t main_table = 254;
    const bool is_default = destination.prefix_length() == 0;
    if (is_default && link.default_table != 0) return link.default_table;
    return link.table == 0 ? main_table : link.table;
}

std::vector<netlink::LinkRoute> routes_in(const TunnelLink& link,
                                          const std::vector<Network>& destinations) {
    std::vector<netlink::LinkRoute> routes;
    routes.reserve(destinations.size());
    for (const auto& destination : destinations) {
        routes.push_back({destination, table_of(link, destination)});
    }
    return routes;
}

}  // namespace

std::optional<WireGuardState> KernelTunnels::read(const InterfaceName& name) {
    try {
        return kernel_.read(name);
    } catch (const KernelFailure& failure) {
        if (failure.code() != ENODEV) throw;
        return std::nullopt;
    }
}

void KernelTunnels::create(const InterfaceName& name) {
    try {
        interfaces_.create(name, kind);
    } catch (const KernelFailure& failure) {
        if (failure.code() != EOPNOTSUPP) throw;
        throw_without_wireguard();
    }
    try {
        interfaces_.set_alias(name, unfinished_mark);
    } catch (...) {
        interfaces_.remove(name);
        throw;
    }
}

void KernelTunnels::finish(const InterfaceName& name) { interfaces_.set_alias(name, mark); }

std::vector<InterfaceName> KernelTunnels::unfinished() {
    return interfaces_.with_alias(kind, unfinished_mark);
}

void KernelTunnels::remove(const InterfaceName& name) {
    interfaces_.remove(name);
    mtu_.erase(name);
}

void KernelTunnels::configure(const InterfaceName& name, const WireGuardDevice& from,
                              const WireGuardDevice& to) {
    kernel_.apply(name, from, to);
}

void KernelTunnels::change_peer(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                                const std::optional<WireGuardPeer>& to, bool say_endpoint) {
    kernel_.change_peer(name, from, to, say_endpoint);
}

void KernelTunnels::take_peer_back(const InterfaceName& name,
                                   const std::optional<WireGuardPeer>& from,
                                   const std::optional<WireGuardPeer>& to) {
    kernel_.take_peer_back(name, from, to);
}

void KernelTunnels::connect(const InterfaceName& name, const TunnelLink& link,
                            const std::vector<WireGuardPeer>& peers) {
    interfaces_.set_addresses(name, link.addresses);
    set_mtu(name, link.mtu ? *link.mtu : path_mtu(name, link, peers) - overhead);
    interfaces_.set_up(name, true);
    interfaces_.set_routes(name, routes_in(link, link.routes), link.metric);
}

void KernelTunnels::fit_mtu(const InterfaceName& name, const TunnelLink& link,
                            const WireGuardPeer& peer) {
    const auto set = mtu_.find(name);
    if (link.mtu || set == mtu_.end()) return;
    const auto bytes = path_mtu(name, link, {peer}) - overhead;
    if (bytes < set->second) set_mtu(name, bytes);
}

void KernelTunnels::set_mtu(const InterfaceName& name, std::uint32_t bytes) {
    interfaces_.set_mtu(name, bytes);
    mtu_[name] = bytes;
}

void KernelTunnels::change_routes(const InterfaceName& name, const TunnelLink& link,
                                  const std::vector<Network>& gone,
                                  const std::vector<Network>& come) {
    interfaces_.change_routes(name, routes_in(link, gone), routes_in(link, come), link.metric);
}

void KernelTunnels::set_rules(const std::vector<RoutingRule>& wanted) { rules_.set(wanted); }

// The least of the ways to all peers that have an endpoint.
std::uint32_t KernelTunnels::path_mtu(const InterfaceName& name, const TunnelLink& link,
                                      const std::vector<WireGuardPeer>& peers) {
    const auto itself = static_cast<unsigned>(interfaces_.find(name).index);
    auto least = usual_path_mtu;
    for (const auto& peer : peers) {
        if (!peer.endpoint) continue;
        const auto bytes = routes_.path_mtu(peer.endpoint->place.address, link.fwmark, itself);
        if (bytes) least = std::min(least, *bytes);
    }
    return std::max(least, least_mtu + overhead);
}

}  // namespace porthole::wg
