// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>

#include "types/address.hpp"

namespace porthole {

/// Which routing table is asked for the way of packets that the gateway itself sends, as in
/// ip-rule(8). Where nothing is found in it, the next rule is asked.
struct RoutingRule {
    Family family = Family::ipv4;
    std::optional<Network> source = std::nullopt;  ///< of the packet; nothing: any
    bool unmarked = false;                         ///< only for packets without a firewall mark
    std::uint32_t table = 0;                       ///< that is asked
    bool but_default = false;                      ///< what it has for everywhere does not count
    bool operator==(const RoutingRule&) const = default;
};

}  // namespace porthole
