// SPDX-License-Identifier: GPL-2.0-or-later
#include "wg/change.hpp"

#include <algorithm>
#include <iterator>

namespace porthole::wg {
namespace {

PeerChange removal(const WireGuardPeer& peer) {
    return {.public_key = peer.public_key, .remove = true};
}

PeerChange creation(const WireGuardPeer& peer) {
    return {.public_key = peer.public_key,
            .replace_allowed_ips = true,
            .preshared_key = peer.preshared_key,
            .endpoint = peer.endpoint,
            .keepalive = peer.keepalive,
            .allowed_ips = peer.allowed_ips};
}

// Only what is another one, so that the session stays.
PeerChange update(const WireGuardPeer& from, const WireGuardPeer& to) {
    PeerChange change{.public_key = to.public_key, .update_only = true};
    if (from.preshared_key != to.preshared_key) {
        change.preshared_key = to.preshared_key.value_or(PresharedKey::none());
    }
    if (from.endpoint != to.endpoint) change.endpoint = to.endpoint;
    if (from.keepalive != to.keepalive) change.keepalive = to.keepalive;
    if (from.allowed_ips == to.allowed_ips) return change;
    // Kernels before 6.16 cannot take a single one away.
    change.replace_allowed_ips = !std::ranges::includes(to.allowed_ips, from.allowed_ips);
    if (change.replace_allowed_ips) {
        change.allowed_ips = to.allowed_ips;
    } else {
        std::ranges::set_difference(to.allowed_ips, from.allowed_ips,
                                    std::back_inserter(change.allowed_ips));
    }
    return change;
}

}  // namespace

DeviceChange difference(const WireGuardDevice& from, const WireGuardDevice& to) {
    DeviceChange change;
    if (from.private_key != to.private_key) {
        change.private_key = to.private_key.value_or(PrivateKey::none());
    }
    if (from.listen_port != to.listen_port && to.listen_port != 0) {
        change.listen_port = to.listen_port;
    }
    if (from.fwmark != to.fwmark) change.fwmark = to.fwmark;
    std::vector<PeerChange> come_or_change;
    auto old = from.peers.begin();
    const auto remove_those_before = [&](const PublicKey* key) {
        for (; old != from.peers.end() && (key == nullptr || old->public_key < *key); ++old) {
            change.peers.push_back(removal(*old));
        }
    };
    for (const auto& peer : to.peers) {
        remove_those_before(&peer.public_key);
        const bool is_there = old != from.peers.end() && old->public_key == peer.public_key;
        const bool loses_endpoint = is_there && old->endpoint && !peer.endpoint;
        if (loses_endpoint) change.peers.push_back(removal(peer));
        if (!is_there || loses_endpoint) {
            come_or_change.push_back(creation(peer));
        } else if (*old != peer) {
            come_or_change.push_back(update(*old, peer));
        }
        if (is_there) ++old;
    }
    remove_those_before(nullptr);
    std::ranges::move(come_or_change, std::back_inserter(change.peers));
    return change;
}

DeviceChange difference(const std::optional<WireGuardPeer>& from,
                        const std::optional<WireGuardPeer>& to) {
    const auto alone = [](const std::optional<WireGuardPeer>& peer) {
        WireGuardDevice device;
        if (peer) device.peers.push_back(*peer);
        return device;
    };
    return difference(alone(from), alone(to));
}

}  // namespace porthole::wg
