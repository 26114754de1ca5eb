// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/firewall.hpp"

namespace porthole::nft {

/// How many times each port is used: by the gateway itself, by mappings on either side, and for
/// being watched. Several hosts may have the same port inside.
class PortUse {
  public:
    PortUse() = default;
    explicit PortUse(const Firewall& firewall);

    /// Counts what goes and comes. Returns the ports that nobody uses any more and those that
    /// somebody uses from now on, sorted. The inverse takes it back.
    SetDifference<ProtocolPort> change(const FirewallDifference& difference);
    /// The same for the external ports of those that have a fixed external address, alone.
    SetDifference<ProtocolPort> change_bound(const SetDifference<Mapping>& mappings);
    /// All ports in use, sorted.
    [[nodiscard]] std::vector<ProtocolPort> used() const;

    /// The external ports of those that have a fixed external address.
    static PortUse of_bound(const Firewall& firewall);

  private:
    SetDifference<ProtocolPort> change(const std::vector<ProtocolPort>& gone,
                                       const std::vector<ProtocolPort>& come);
    std::uint32_t& count(const ProtocolPort& port);

    // tcp, udp; in chunks of neighbouring ports, empty where none is used
    std::array<std::array<std::vector<std::uint32_t>, 256>, 2> counts_;
};

}  // namespace porthole::nft
