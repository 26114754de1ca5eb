// SPDX-License-Identifier: GPL-2.0-or-later
#include "types/wireguard.hpp"

#include <algorithm>
#include <utility>

namespace porthole {
namespace {

void require_usable_keys(const WireGuardDevice& device) {
    std::optional<PublicKey> own;
    if (device.private_key) own = device.private_key->public_key();
    const PublicKey* last = nullptr;
    for (const auto& peer : device.peers) {
        const auto refuse = [&peer](std::string_view allowed) {
            throw InvalidArgument("public-key", to_text(peer.public_key), allowed);
        };
        if (peer.public_key == own) refuse("a key of another machine: it is the interface's own");
        if (last != nullptr && *last == peer.public_key) refuse("a key that no other peer has");
        if (peer.public_key.is_low_order()) refuse("a key that a handshake can succeed with");
        last = &peer.public_key;
    }
}

void require_single_owners(const WireGuardDevice& device) {
    std::vector<std::pair<Network, const WireGuardPeer*>> owners;
    for (const auto& peer : device.peers) {
        for (const auto& network : peer.allowed_ips) owners.emplace_back(network, &peer);
    }
    std::ranges::sort(owners, {}, [](const auto& owner) { return owner.first; });
    const auto twice =
        std::ranges::adjacent_find(owners, {}, [](const auto& owner) { return owner.first; });
    if (twice == owners.end()) return;
    const auto& other = std::next(twice)->second;
    throw Refused(Refusal::allowed_ip_taken, "allowed IP " + to_text(twice->first) + " of peer " +
                                                 to_text(other->public_key) + " is peer " +
                                                 to_text(twice->second->public_key) + "'s");
}

}  // namespace

void require_consistent(const WireGuardDevice& device) {
    require_usable_keys(device);
    require_single_owners(device);
}

}  // namespace porthole
