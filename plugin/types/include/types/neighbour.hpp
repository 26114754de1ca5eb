// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>

#include "types/address.hpp"
#include "types/host_key.hpp"

namespace porthole {

/// A host on a link, as the kernel's neighbour table has it (ARP, RFC 826, and RFC 4861).
struct Neighbour {
    int link_index = 0;
    Address address;
    MacAddress mac;
    bool confirmed = false;                ///< it has answered a moment ago, or was entered by hand
    std::chrono::seconds confirmed_ago{};  ///< how long ago it has answered
    bool operator==(const Neighbour&) const = default;
};

/// An address on a link that somebody should answer for.
struct LinkNeighbour {
    int link_index = 0;
    Address address;
    auto operator<=>(const LinkNeighbour&) const = default;
};

}  // namespace porthole
