// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "core/invitations.hpp"
#include "dbus/values.hpp"

namespace porthole::dbus {

// As dbus/requests.hpp, for tunnels.

struct CreateTunnelCall {
    InterfaceName name;
    TunnelSettings settings;
};

struct ExportCall {
    PublicKey peer;
    OtherSide side;
};

struct InviteCall {
    InterfaceName tunnel;
    bool gateway;  ///< another one is invited, and not somebody's device
    Guest guest;
    OtherSide side;                 ///< for a device
    OwnSite site;                   ///< for a gateway
    std::chrono::seconds lifetime;  ///< for a gateway
};

struct JoinCall {
    std::optional<InterfaceName> name;
    OwnSite site;
};

CreateTunnelCall parse_create(const std::string& name, const Dictionary& settings,
                              const Dictionary& options);
TunnelChanges parse_configure(const Dictionary& settings, const Dictionary& options);
InterfaceName parse_tunnel_name(const std::string& name, const Dictionary& options);
PeerChanges parse_peer(const Dictionary& peer, const Dictionary& options);
std::vector<PeerChanges> parse_peers(const std::vector<Dictionary>& peers,
                                     const Dictionary& options);
PublicKey parse_peer_key(const std::string& public_key, const Dictionary& options);
ExportCall parse_export(const std::string& public_key, const Dictionary& options);
InviteCall parse_invite(const std::string& tunnel, const Dictionary& options);
JoinCall parse_join(const Dictionary& options);

}  // namespace porthole::dbus
