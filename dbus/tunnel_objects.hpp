// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <map>
#include <memory>

#include <sdbus-c++/Types.h>

#include "core/invitations.hpp"
#include "dbus/authorization.hpp"

namespace porthole::dbus {

/// Where the object of a tunnel is.
sdbus::ObjectPath tunnel_path(const InterfaceName& name);

/// The objects of the tunnels on the bus.
class TunnelObjects {
  public:
    using WriteTunnelFile = std::function<SecretText(const TunnelSettings&)>;

    TunnelObjects(sdbus::IConnection& connection, Tunnels& tunnels, Invitations& invitations,
                  WriteTunnelFile write_tunnel_file, Admission& admission);
    ~TunnelObjects();
    TunnelObjects(const TunnelObjects&) = delete;
    TunnelObjects& operator=(const TunnelObjects&) = delete;
    TunnelObjects(TunnelObjects&&) = delete;
    TunnelObjects& operator=(TunnelObjects&&) = delete;

    /// Announces what was configured of a tunnel.
    void announce(const InterfaceName& name);
    /// Makes objects for tunnels that have come, takes away those of tunnels that have gone, and
    /// announces both.
    void follow();

  private:
    class Adaptor;
    sdbus::IConnection& connection_;
    Tunnels& tunnels_;
    Invitations& invitations_;
    WriteTunnelFile write_tunnel_file_;
    Admission& admission_;
    std::map<InterfaceName, std::unique_ptr<Adaptor>> adaptors_;
};

}  // namespace porthole::dbus
