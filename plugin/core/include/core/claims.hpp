// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <map>
#include <span>
#include <vector>

#include "core/sighting.hpp"
#include "types/neighbour.hpp"
#include "types/reservation.hpp"

namespace porthole {

/// For which hosts ports are claimed, and which ones.
struct ClaimPolicy {
    bool enabled = true;
    /// UDP; a host that sends from one of them gets it, or an alternate if somebody has it.
    PortRange ports = *PortRange::from(Port::constant<51820>(), Port::constant<51899>());
    /// Nobody's natural ports.
    PortRange alternates = *PortRange::from(Port::constant<42000>(), Port::constant<42999>());
    std::chrono::seconds idle = std::chrono::days(7);  ///< an unused claim lasts so long
    std::size_t limit = 1000;                          ///< claims in all
    std::size_t limit_per_mac = 8;                     ///< claims of one MAC address
    bool operator==(const ClaimPolicy&) const = default;
};

/// A host that was seen, and has shown that it is there.
struct Claim {
    Endpoint internal;
    MacAddress mac;
    bool operator==(const Claim&) const = default;
};

/// Hosts that were seen sending, and have to be confirmed as neighbours before they get anything:
/// whoever forges addresses could take every port otherwise. Bounded.
class Candidates {
  public:
    /// No more of them wait at a time: the next one takes the place of who waits longest.
    static constexpr std::size_t capacity = 1024;
    /// So many ports of one address wait at a time; further ones are seen again when they send
    /// again.
    static constexpr std::size_t capacity_per_address = 16;
    /// So long a host may take to answer.
    static constexpr std::chrono::seconds patience{5};

    /// Takes in a host on this link. One that waits already keeps its place.
    void add(const Sighting& seen, int link_index, Time now);
    [[nodiscard]] bool empty() const { return waiting_.empty(); }

    /// Those that are confirmed, in the order of their addresses and ports; they wait no longer,
    /// and neither does who was too slow to answer.
    [[nodiscard]] std::vector<Claim> take_confirmed(std::span<const Neighbour> neighbours,
                                                    Time now);
    /// Those that nobody was told of yet: they should be asked for. One for each address.
    [[nodiscard]] std::vector<LinkNeighbour> take_unasked();

  private:
    struct Waiting {
        int link_index;
        Time since;
        bool asked = false;
    };
    std::map<Sighting, Waiting> waiting_;
};

}  // namespace porthole
