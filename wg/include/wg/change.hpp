// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "types/wireguard.hpp"

namespace porthole::wg {

/// What is to be done to a peer. What is not given stays as it is.
struct PeerChange {
    PublicKey public_key;
    bool remove = false;
    bool update_only = false;          ///< do not make it if somebody has removed it
    bool replace_allowed_ips = false;  ///< those that it has go first
    std::optional<PresharedKey> preshared_key = std::nullopt;  ///< none(): none any more
    std::optional<PeerEndpoint> endpoint = std::nullopt;
    std::optional<Keepalive> keepalive = std::nullopt;
    std::vector<Network> allowed_ips = {};
    bool operator==(const PeerChange&) const = default;
};

/// What is to be done to an interface.
struct DeviceChange {
    std::optional<PrivateKey> private_key = std::nullopt;  ///< none(): none any more
    std::optional<std::uint16_t> listen_port = std::nullopt;
    std::optional<std::uint32_t> fwmark = std::nullopt;
    std::vector<PeerChange> peers = {};  ///< in this order: those that go are first
    [[nodiscard]] bool empty() const {
        return !private_key && !listen_port && !fwmark && peers.empty();
    }
    bool operator==(const DeviceChange&) const = default;
};

/// The way from one configuration to another that disturbs no session which can stay. The kernel
/// has no way to clear an endpoint: a peer that is to lose its is removed and made anew. Where the
/// wanted listen port is 0, any that the kernel has chosen will do.
DeviceChange difference(const WireGuardDevice& from, const WireGuardDevice& to);
/// The same for one peer alone; nothing: it is not there.
DeviceChange difference(const std::optional<WireGuardPeer>& from,
                        const std::optional<WireGuardPeer>& to);

}  // namespace porthole::wg
