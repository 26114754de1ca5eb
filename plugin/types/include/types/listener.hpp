// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "types/address.hpp"
#include "types/port.hpp"

namespace porthole {

/// A socket of the gateway itself that receives from anybody: a TCP socket that listens, a UDP
/// socket that is not connected.
struct Listener {
    ProtocolPort port;
    Address address;         ///< what it is bound to; unspecified: all addresses
    bool of_kernel = false;  ///< no program has it open, as for WireGuard's
    bool operator==(const Listener&) const = default;
};

}  // namespace porthole
