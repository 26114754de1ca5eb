// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include <sdbus-c++/Types.h>

#include "core/invitations.hpp"
#include "core/peer_watch.hpp"
#include "dbus/reception.hpp"

namespace porthole::dbus {

/// Where the object of a tunnel is.
sdbus::ObjectPath tunnel_path(const InterfaceName& name);

/// The objects of the tunnels on the bus.
class TunnelObjects {
  public:
    using WriteTunnelFile = std::function<SecretText(const TunnelSettings&)>;

    TunnelObjects(sdbus::IConnection& connection, Tunnels& tunnels, Invitations& invitations,
                  PeerWatch& peers, WriteTunnelFile write_tunnel_file, Reception& reception);
    ~TunnelObjects();
    TunnelObjects(const TunnelObjects&) = delete;
    TunnelObjects& operator=(const TunnelObjects&) = delete;
    TunnelObjects(TunnelObjects&&) = delete;
    TunnelObjects& operator=(TunnelObjects&&) = delete;

    /// Announces what was configured of a tunnel.
    void announce_settings(const InterfaceName& name);
    /// Makes objects for tunnels that have come, takes away those of tunnels that have gone, and
    /// announces both.
    void follow();
    /// Emits PeersChanged for tunnels whose peers have changed, of each at most once a second; when
    /// the next one is due that waits.
    std::optional<std::chrono::steady_clock::time_point> announce();

  private:
    class Adaptor;
    sdbus::IConnection& connection_;
    Tunnels& tunnels_;
    Invitations& invitations_;
    PeerWatch& peers_;
    WriteTunnelFile write_tunnel_file_;
    Reception& reception_;
    std::map<InterfaceName, std::unique_ptr<Adaptor>> adaptors_;
};

}  // namespace porthole::dbus
