// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>

#include "core/tunnel_backend.hpp"
#include "netlink/interface_editor.hpp"
#include "netlink/route_finder.hpp"
#include "netlink/rule_editor.hpp"
#include "wg/kernel.hpp"

namespace porthole::wg {

/// Tunnels by the kernel's WireGuard, in the network namespace of the thread that makes this
/// object.
class KernelTunnels : public TunnelBackend {
  public:
    [[nodiscard]] std::optional<WireGuardState> read(const InterfaceName& name) override;
    void create(const InterfaceName& name) override;
    void finish(const InterfaceName& name) override;
    [[nodiscard]] std::vector<InterfaceName> unfinished() override;
    void remove(const InterfaceName& name) override;
    void configure(const InterfaceName& name, const WireGuardDevice& from,
                   const WireGuardDevice& to) override;
    void change_peer(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                     const std::optional<WireGuardPeer>& to, bool say_endpoint) override;
    void take_peer_back(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                        const std::optional<WireGuardPeer>& to) override;
    void connect(const InterfaceName& name, const TunnelLink& link,
                 const std::vector<WireGuardPeer>& peers) override;
    void fit_mtu(const InterfaceName& name, const TunnelLink& link,
                 const WireGuardPeer& peer) override;
    void change_routes(const InterfaceName& name, const TunnelLink& link,
                       const std::vector<Network>& gone, const std::vector<Network>& come) override;
    void set_rules(const std::vector<RoutingRule>& wanted) override;

  private:
    void set_mtu(const InterfaceName& name, std::uint32_t bytes);
    std::uint32_t path_mtu(const InterfaceName& name, const TunnelLink& link,
                           const std::vector<WireGuardPeer>& peers);
    Kernel kernel_;
    netlink::InterfaceEditor interfaces_;
    netlink::RouteFinder routes_;
    netlink::RuleEditor rules_;
    std::map<InterfaceName, std::uint32_t> mtu_;  // as it was set
};

}  // namespace porthole::wg
