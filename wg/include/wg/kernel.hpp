// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>

#include "netlink/connection.hpp"
#include "wg/messages.hpp"

namespace porthole::wg {

/// Throws Refused (unsupported), which names what to install.
[[noreturn]] void throw_without_wireguard();

/// WireGuard in the kernel, of the network namespace of the thread that makes this object.
class Kernel {
  public:
    Kernel();
    explicit Kernel(std::unique_ptr<netlink::Transport> transport);

    /// Throws KernelFailure (ENODEV; EOPNOTSUPP if it is no WireGuard interface), Refused
    /// (unsupported), which names what to install, if the kernel has no WireGuard.
    [[nodiscard]] WireGuardState read(const InterfaceName& name);

    /// Makes the interface what `to` says, as a difference to what it is, `from` (see read()). The
    /// kernel takes such a change peer by peer: where it refuses, what it had taken before is taken
    /// back, by what is read back then. Throws KernelFailure, which says if that has failed, too;
    /// InvalidArgument and Refused as require_consistent() does, with nothing changed.
    void apply(const InterfaceName& name, const WireGuardDevice& from, const WireGuardDevice& to);

    /// The same for one peer, which nothing stands for where it is not there: it takes as long
    /// however many others there are. What they have must have been looked at before. With
    /// `say_endpoint` its endpoint is said even if `from` has the same: the kernel may have learnt
    /// another one.
    void change_peer(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                     const std::optional<WireGuardPeer>& to, bool say_endpoint = false);
    /// Undoes change_peer(name, from, to), by what is read back. The kernel forgets an endpoint
    /// with its peer alone, so a peer that had none and has a session keeps the one that it has
    /// got.
    void take_peer_back(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                        const std::optional<WireGuardPeer>& to);

  private:
    std::uint16_t family();
    void send(const InterfaceName& name, const DeviceChange& change);
    DeviceChange way_back(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                          const std::optional<WireGuardPeer>& to);
    // `way_back` is asked for after a refusal.
    void attempt(const InterfaceName& name, const DeviceChange& change,
                 const std::function<DeviceChange()>& way_back);
    netlink::Connection connection_;
    std::optional<std::uint16_t> family_;  // found at its first use
};

}  // namespace porthole::wg
