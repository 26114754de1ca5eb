// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lab/process.hpp"
#include "lab/sockets.hpp"

namespace porthole::lab {

/// Whether this kernel has WireGuard: what is the gateway's own, and what is measured, needs it.
[[nodiscard]] bool kernel_has_wireguard();

/// A remote as wg(8) configures it.
struct WireGuardPeer {
    std::string public_key;
    std::optional<SocketAddress> endpoint;  ///< nothing: learnt from its first handshake
    std::string allowed_ips;
    unsigned keepalive = 5;  ///< seconds
};

/// A WireGuard interface on a host: the kernel's, or wireguard-go's where the kernel has none. Its
/// name is unique on the machine, because the sockets of wireguard-go are not bound to a network
/// namespace.
class WireGuard {
  public:
    /// Makes keys and the interface with an address like "10.9.0.1/24", up but without peers: it
    /// sends nothing yet.
    WireGuard(const Namespace& host, std::string_view address);
    ~WireGuard();
    WireGuard(const WireGuard&) = delete;
    WireGuard& operator=(const WireGuard&) = delete;
    WireGuard(WireGuard&&) = delete;
    WireGuard& operator=(WireGuard&&) = delete;

    [[nodiscard]] const std::string& interface() const { return interface_; }
    [[nodiscard]] const std::string& public_key() const { return public_key_; }
    /// What drives the interface: "kernel WireGuard" or "wireguard-go".
    [[nodiscard]] std::string_view implementation() const;

    /// Sets the port and the peers. From now on it sends, with a keepalive at once.
    void configure(std::uint16_t listen_port, const std::vector<WireGuardPeer>& peers) const;
    /// Where this peer is, as far as is known: "192.0.2.1:51820", or "(none)".
    [[nodiscard]] std::string endpoint_of(const std::string& public_key) const;
    /// Whether there was ever a handshake with this peer.
    [[nodiscard]] bool has_shaken_hands_with(const std::string& public_key) const;

  private:
    void start_userspace();
    [[nodiscard]] std::string shown(const std::string& what, const std::string& public_key) const;
    const Namespace& host_;
    std::string interface_;
    std::string private_key_;
    std::string public_key_;
    std::filesystem::path socket_;
    std::optional<Process> userspace_;
};

}  // namespace porthole::lab
