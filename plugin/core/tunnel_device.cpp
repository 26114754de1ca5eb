// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <iterator>
#include <span>

#include "tunnel_plan.hpp"
#include "types/sorted.hpp"

namespace porthole {
namespace {

bool is_main(const RouteTable& table) {
    constexpr std::uint32_t number = 254;
    return table.choice == RouteTable::Choice::automatic ||
           (table.choice == RouteTable::Choice::number && table.number == number);
}

TunnelLink link_of(const TunnelSettings& settings, std::span<const PeerSettings> peers) {
    const bool automatic = settings.table.choice == RouteTable::Choice::automatic;
    TunnelLink link{.addresses = settings.addresses,
                    .mtu = settings.mtu,
                    .routes = {},
                    .table = settings.table.number,
                    .default_table = automatic ? settings.fwmark : 0,
                    .metric = settings.metric,
                    .fwmark = settings.fwmark};
    if (settings.table.choice == RouteTable::Choice::off) return link;
    for (const auto& peer : peers) {
        link.routes.insert(link.routes.end(), peer.allowed_ips.begin(), peer.allowed_ips.end());
    }
    sort_unique(link.routes);
    if (!is_main(settings.table)) return link;
    // The kernel makes the routes to the interface's own networks there.
    for (const auto& [address, prefix_length] : settings.addresses) {
        std::erase(link.routes, *Network::around(address, prefix_length));
    }
    return link;
}

}  // namespace

WireGuardPeer peer_of(const PeerSettings& settings) {
    WireGuardPeer peer{.public_key = settings.public_key,
                       .preshared_key = settings.preshared_key,
                       .keepalive = settings.keepalive,
                       .allowed_ips = settings.allowed_ips};
    const auto* place = settings.endpoint ? std::get_if<Place>(&*settings.endpoint) : nullptr;
    if (place != nullptr) peer.endpoint = PeerEndpoint{*place};
    return peer;
}

WireGuardDevice device_of(const TunnelSettings& settings) {
    WireGuardDevice device{
        .private_key = settings.private_key,
        .listen_port = settings.listen_port ? settings.listen_port->value() : std::uint16_t{0},
        .fwmark = settings.fwmark};
    device.peers.reserve(settings.peers.size());
    for (const auto& peer : settings.peers) device.peers.push_back(peer_of(peer));
    return device;
}

TunnelLink link_of(const TunnelSettings& settings) { return link_of(settings, settings.peers); }

TunnelLink link_with(const TunnelSettings& settings, const std::optional<PeerSettings>& peer) {
    return link_of(settings, peer ? std::span(&*peer, 1) : std::span<const PeerSettings>());
}

const PeerSettings* find_peer(const TunnelSettings& settings, const PublicKey& key) {
    const auto found = std::ranges::lower_bound(settings.peers, key, {}, &PeerSettings::public_key);
    return found != settings.peers.end() && found->public_key == key ? &*found : nullptr;
}

bool is_placed_alike(const TunnelSettings& before, const TunnelSettings& after,
                     const PublicKey& key) {
    const auto* old = find_peer(before, key);
    const auto* now = find_peer(after, key);
    return old != nullptr && now != nullptr && old->endpoint == now->endpoint;
}

WireGuardDevice with_learnt_endpoints(WireGuardDevice wanted, const WireGuardDevice& actual) {
    auto seen = actual.peers.begin();
    for (auto& peer : wanted.peers) {
        seen = std::lower_bound(
            seen, actual.peers.end(), peer.public_key,
            [](const auto& each, const auto& key) { return each.public_key < key; });
        if (seen == actual.peers.end()) break;
        if (seen->public_key == peer.public_key && seen->endpoint) peer.endpoint = seen->endpoint;
    }
    return wanted;
}

WireGuardDevice with_stored_endpoints(WireGuardDevice device, const Tunnel& tunnel) {
    for (auto& peer : device.peers) {
        if (const auto learnt = learnt_place(tunnel, peer.public_key)) {
            peer.endpoint = PeerEndpoint{*learnt};
        }
    }
    return device;
}

WireGuardDevice continued(const TunnelSettings& before, const WireGuardDevice& actual,
                          const Tunnel& after) {
    auto device = with_stored_endpoints(device_of(after.settings), after);
    const auto learnt = with_learnt_endpoints(device, actual);
    for (std::size_t i = 0; i < device.peers.size(); ++i) {
        const auto& wanted = after.settings.peers[i];
        const bool named = wanted.endpoint && std::holds_alternative<NamedPlace>(*wanted.endpoint);
        if (named || is_placed_alike(before, after.settings, wanted.public_key)) {
            device.peers[i].endpoint = learnt.peers[i].endpoint;
        }
    }
    return device;
}

void require_consistent_with(const TunnelSettings& settings, const PeerSettings& peer) {
    WireGuardDevice alone{.private_key = settings.private_key, .peers = {peer_of(peer)}};
    for (const auto& other : settings.peers) {
        if (other.public_key == peer.public_key) continue;
        std::vector<Network> common;
        std::ranges::set_intersection(other.allowed_ips, peer.allowed_ips,
                                      std::back_inserter(common));
        if (!common.empty()) alone.peers.push_back(peer_of(other));
    }
    std::ranges::sort(alone.peers, {}, &WireGuardPeer::public_key);
    require_consistent(alone);
}

}  // namespace porthole
