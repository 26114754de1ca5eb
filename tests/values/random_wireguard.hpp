// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <random>
#include <set>

#include "types/sorted.hpp"
#include "types/wireguard.hpp"

// Random configurations of WireGuard interfaces, as the kernel takes and gives them.
namespace porthole::random_wireguard {

using Random = std::mt19937_64;

inline std::uint32_t below(Random& random, std::uint32_t bound) {
    return std::uniform_int_distribution<std::uint32_t>(0, bound - 1)(random);
}

inline bool one_in(Random& random, std::uint32_t many) { return below(random, many) == 0; }

inline Address address(Random& random) {
    if (!one_in(random, 3)) return Address::v4(0x01000000U + below(random, 0xDE000000U));
    std::array<std::uint8_t, 16> bytes{0x20, 0x01, 0x0D, 0xB8};
    for (auto& byte : std::span(bytes).subspan(4)) {
        byte = static_cast<std::uint8_t>(below(random, 256));
    }
    return *Address::from_bytes(bytes);
}

inline Network network(Random& random) {
    const auto inside = address(random);
    const unsigned bits = inside.family() == Family::ipv4 ? 32 : 128;
    return *Network::around(inside, below(random, bits + 1));
}

inline Port port(Random& random) { return *Port::from(1 + below(random, 65535)); }

/// No two peers have a network in common.
inline WireGuardPeer peer(Random& random, std::set<Network>& taken) {
    WireGuardPeer peer{.public_key = PrivateKey::generate().public_key()};
    if (one_in(random, 2)) peer.preshared_key = PresharedKey::generate();
    if (one_in(random, 2)) peer.endpoint = PeerEndpoint{{address(random), port(random)}};
    if (one_in(random, 2))
        peer.keepalive = Keepalive(static_cast<std::uint16_t>(below(random, 65536)));
    for (auto count = below(random, 6); count > 0; --count) {
        const auto candidate = network(random);
        if (taken.insert(candidate).second) peer.allowed_ips.push_back(candidate);
    }
    sort_unique(peer.allowed_ips);
    return peer;
}

inline WireGuardDevice device(Random& random, std::uint32_t most_peers) {
    WireGuardDevice device;
    if (!one_in(random, 8)) device.private_key = PrivateKey::generate();
    device.listen_port = port(random).value();
    if (one_in(random, 2)) device.fwmark = below(random, 0xFFFFFFFF);
    std::set<Network> taken;
    for (auto count = below(random, most_peers + 1); count > 0; --count) {
        device.peers.push_back(peer(random, taken));
    }
    std::ranges::sort(device.peers, {}, &WireGuardPeer::public_key);
    return device;
}

inline std::set<Network> networks_of(const WireGuardDevice& device) {
    std::set<Network> networks;
    for (const auto& each : device.peers) {
        networks.insert(each.allowed_ips.begin(), each.allowed_ips.end());
    }
    return networks;
}

/// Another configuration, not far from this one: some peers go, come or change.
inline WireGuardDevice neighbour(Random& random, WireGuardDevice device) {
    if (one_in(random, 6)) device.listen_port = port(random).value();
    if (one_in(random, 6)) device.fwmark = below(random, 3);
    std::erase_if(device.peers, [&random](const auto&) { return one_in(random, 5); });
    auto taken = networks_of(device);
    for (auto& each : device.peers) {
        if (!one_in(random, 2)) continue;
        auto other = peer(random, taken);
        if (one_in(random, 3)) each.preshared_key = other.preshared_key;
        if (one_in(random, 3)) each.endpoint = other.endpoint;
        if (one_in(random, 3)) each.keepalive = other.keepalive;
        if (one_in(random, 3)) {
            each.allowed_ips.insert(each.allowed_ips.end(), other.allowed_ips.begin(),
                                    other.allowed_ips.end());
            std::ranges::sort(each.allowed_ips);
        } else if (one_in(random, 2)) {
            each.allowed_ips = other.allowed_ips;
        }
    }
    // A network that goes from one peer to another.
    if (device.peers.size() > 1 && !device.peers.front().allowed_ips.empty()) {
        auto& from = device.peers.front().allowed_ips;
        auto& to = device.peers.back().allowed_ips;
        to.push_back(from.back());
        from.pop_back();
        std::ranges::sort(to);
    }
    while (one_in(random, 2)) device.peers.push_back(peer(random, taken));
    std::ranges::sort(device.peers, {}, &WireGuardPeer::public_key);
    return device;
}

}  // namespace porthole::random_wireguard
