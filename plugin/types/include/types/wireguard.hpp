// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "types/key.hpp"
#include "types/place.hpp"

// What the kernel's WireGuard has and takes, as uapi/linux/wireguard.h describes it.
namespace porthole {

/// Where a peer is: the outer address of its packets.
struct PeerEndpoint {
    Place place;
    std::uint32_t scope = 0;  ///< interface index, for link-local IPv6 addresses
    auto operator<=>(const PeerEndpoint&) const = default;
};

/// In seconds, from 1 to 65535; 0: none.
using Keepalive = std::chrono::duration<std::uint16_t>;

/// How a peer of a WireGuard interface is configured.
struct WireGuardPeer {
    PublicKey public_key;
    std::optional<PresharedKey> preshared_key = std::nullopt;
    std::optional<PeerEndpoint> endpoint = std::nullopt;  ///< nothing: learnt from its packets
    Keepalive keepalive{0};
    std::vector<Network> allowed_ips = {};  ///< sorted, each once
    bool operator==(const WireGuardPeer&) const = default;
};

/// How a WireGuard interface is configured.
struct WireGuardDevice {
    std::optional<PrivateKey> private_key = std::nullopt;
    std::uint16_t listen_port = 0;          ///< 0: the kernel chooses one
    std::uint32_t fwmark = 0;               ///< 0: none
    std::vector<WireGuardPeer> peers = {};  ///< sorted by public key, each once
    bool operator==(const WireGuardDevice&) const = default;
};

/// What the kernel has seen of a peer.
struct PeerActivity {
    PublicKey public_key;
    std::chrono::sys_time<std::chrono::nanoseconds> last_handshake{};  ///< 0: never
    std::uint64_t received_bytes = 0;
    std::uint64_t sent_bytes = 0;
};

/// What the kernel says of an interface.
struct WireGuardState {
    WireGuardDevice device;
    std::vector<PeerActivity> activity;  ///< in the order of the peers
};

/// Throws InvalidArgument, or Refused (allowed_ip_taken), for what the kernel would take otherwise
/// than it is written, without a word: the interface's own key as a peer (left out), a peer twice
/// (made one), an allowed IP that two peers have (the last one's), a key with which no handshake
/// succeeds.
void require_consistent(const WireGuardDevice& device);

}  // namespace porthole
