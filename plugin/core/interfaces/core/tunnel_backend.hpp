// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "types/interfaces.hpp"
#include "types/routing_rule.hpp"
#include "types/tunnel.hpp"

namespace porthole {

/// What a tunnel's interface has besides WireGuard's own configuration.
struct TunnelLink {
    std::vector<InterfaceAddress> addresses;
    std::optional<std::uint32_t> mtu;  ///< in bytes; nothing: from the way to the peers
    std::vector<Network> routes;       ///< of one family and prefix each once
    std::uint32_t table = 0;           ///< 0: the main one
    std::uint32_t default_table = 0;   ///< of default routes; 0: that of the others
    std::uint32_t metric = 0;
    std::uint32_t fwmark = 0;  ///< with which WireGuard's own packets find their way
};

/// WireGuard interfaces in the kernel. Everything throws KernelFailure; Refused (unsupported) where
/// the kernel has no WireGuard.
class TunnelBackend {
  public:
    TunnelBackend() = default;
    TunnelBackend(const TunnelBackend&) = delete;
    TunnelBackend& operator=(const TunnelBackend&) = delete;
    TunnelBackend(TunnelBackend&&) = delete;
    TunnelBackend& operator=(TunnelBackend&&) = delete;
    virtual ~TunnelBackend() = default;

    /// Nothing if there is no interface of this name; EOPNOTSUPP if it is another kind of one.
    [[nodiscard]] virtual std::optional<WireGuardState> read(const InterfaceName& name) = 0;
    /// Makes it, down and without configuration, and marks it as unfinished. EEXIST if there is one
    /// of that name.
    virtual void create(const InterfaceName& name) = 0;
    /// Marks it as one that is to stay, whatever becomes of this program.
    virtual void finish(const InterfaceName& name) = 0;
    /// All that were made by create() without a finish().
    [[nodiscard]] virtual std::vector<InterfaceName> unfinished() = 0;
    virtual void remove(const InterfaceName& name) = 0;
    /// Makes it what `to` says, as a difference to what it is, `from`. What was done before a
    /// failure is taken back.
    virtual void configure(const InterfaceName& name, const WireGuardDevice& from,
                           const WireGuardDevice& to) = 0;
    /// The same for one peer, in a time that does not depend on the others. Nothing as `from`: it
    /// comes; nothing as `to`: it goes. Both have the same key. With `say_endpoint` it gets the
    /// endpoint of `to` even if `from` has the same: it may have learnt another one.
    virtual void change_peer(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                             const std::optional<WireGuardPeer>& to, bool say_endpoint) = 0;
    /// Undoes that change. A session that is there stays, also where the peer had no endpoint.
    virtual void take_peer_back(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                                const std::optional<WireGuardPeer>& to) = 0;
    /// Gives it addresses and MTU, sets it up, and then gives it its routes.
    virtual void connect(const InterfaceName& name, const TunnelLink& link,
                         const std::vector<WireGuardPeer>& peers) = 0;
    /// Where the MTU is not given: lowers it to what the way to this peer leaves.
    virtual void fit_mtu(const InterfaceName& name, const TunnelLink& link,
                         const WireGuardPeer& peer) = 0;
    /// Takes the routes of `gone` from it and gives it those of `come`, where the tables and the
    /// metric of `link` say.
    virtual void change_routes(const InterfaceName& name, const TunnelLink& link,
                               const std::vector<Network>& gone,
                               const std::vector<Network>& come) = 0;
    /// Makes these the rules that lead to the tables of tunnels, in this order within each family.
    /// One that the kernel refuses changes none.
    virtual void set_rules(const std::vector<RoutingRule>& wanted) = 0;
};

}  // namespace porthole
