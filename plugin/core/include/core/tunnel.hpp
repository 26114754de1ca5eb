// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "types/interfaces.hpp"
#include "types/tunnel.hpp"

namespace porthole {

/// A WireGuard interface of the gateway, as somebody wants it.
struct Tunnel {
    InterfaceName name;
    TunnelSettings settings;  ///< its peers are sorted by key
    bool operator==(const Tunnel&) const = default;
};

}  // namespace porthole
