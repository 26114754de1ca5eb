// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <compare>
#include <vector>

#include "types/address.hpp"
#include "types/port.hpp"

namespace porthole {

/// A host on a LAN that was seen sending to a remote.
struct Sighting {
    Address host;
    Protocol protocol;
    Port port;  ///< the host's own
    auto operator<=>(const Sighting&) const = default;
};

/// What was seen since the last look.
struct Sightings {
    std::vector<Sighting> seen;
    bool lost = false;  ///< something went unseen
};

}  // namespace porthole
