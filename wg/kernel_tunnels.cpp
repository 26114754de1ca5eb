// SPDX-License-Identifier: GPL-2.0-or-later
#include "wg/kernel_tunnels.hpp"

#include <algorithm>
#include <cerrno>

namespace porthole::wg {
namespace {

// What WireGuard adds to a packet: 40 bytes of IPv6, 8 of UDP, and 32 of its own.
constexpr std::uint32_t overhead = 80;
constexpr auto kind = "wireguard";
constexpr auto mark = "porthole";  // interfaces that it has made
constexpr std::uint32_t usual_path_mtu = 1500;
constexpr std::uint32_t least_mtu = 1280;  // of IPv6

std::vector<netlink::LinkRoute> routes_in(const TunnelLink& link,
                                          const std::vector<Network>& destinations) {
    constexpr std::uint32_t main_table = 254;
    std::vector<netlink::LinkRoute> routes;
    routes.reserve(destinations.size());
    for (const auto& destination : destinations) {
        routes.push_back({destination, link.table == 0 ? main_table : link.table});
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
        interfaces_.set_alias(name, mark);
    } catch (...) {
        interfaces_.remove(name);
        throw;
    }
}

std::vector<InterfaceName> KernelTunnels::created() { return interfaces_.with_alias(kind, mark); }

void KernelTunnels::remove(const InterfaceName& name) { interfaces_.remove(name); }

void KernelTunnels::configure(const InterfaceName& name, const WireGuardDevice& from,
                              const WireGuardDevice& to) {
    kernel_.apply(name, from, to);
}

void KernelTunnels::change_peer(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                                const std::optional<WireGuardPeer>& to) {
    kernel_.change_peer(name, from, to);
}

void KernelTunnels::connect(const InterfaceName& name, const TunnelLink& link,
                            const std::vector<WireGuardPeer>& peers) {
    interfaces_.set_addresses(name, link.addresses);
    interfaces_.set_mtu(name, link.mtu ? *link.mtu : path_mtu(peers) - overhead);
    interfaces_.set_up(name, true);
    interfaces_.set_routes(name, routes_in(link, link.routes), link.metric);
}

void KernelTunnels::change_routes(const InterfaceName& name, const TunnelLink& link,
                                  const std::vector<Network>& gone,
                                  const std::vector<Network>& come) {
    interfaces_.change_routes(name, routes_in(link, gone), routes_in(link, come), link.metric);
}

// The least of the ways to all peers that have an endpoint.
std::uint32_t KernelTunnels::path_mtu(const std::vector<WireGuardPeer>& peers) {
    auto least = usual_path_mtu;
    for (const auto& peer : peers) {
        if (!peer.endpoint) continue;
        const auto bytes = routes_.path_mtu(peer.endpoint->place.address);
        if (bytes) least = std::min(least, *bytes);
    }
    return std::max(least, least_mtu + overhead);
}

}  // namespace porthole::wg
