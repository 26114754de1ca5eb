// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "flow.hpp"

namespace porthole::nft {

/// What the flows of hosts behind pinholes say.
class PinholeWatch {
  public:
    /// Takes over what an order says; later orders go before earlier ones.
    void follow(const SettleOrder& order);
    [[nodiscard]] bool empty() const { return pinholes_.empty(); }
    /// Whether the flow came in from outside, and nobody has answered, before the pinhole was there
    /// to judge it: the rules are to do so with its next packet.
    [[nodiscard]] bool is_unjudged(const Ipv6Flow& flow) const;
    /// The remote of a flow that one of the hosts has sent something to the outside in.
    [[nodiscard]] std::optional<SeenContact> contact_of(const Ipv6Flow& flow) const;

  private:
    [[nodiscard]] bool is_inside(const Place& place) const;

    std::set<Sighting> pinholes_;
    std::set<Sighting> new_;  // those of them that do not let everybody in
    std::vector<Network> inside_;
};

}  // namespace porthole::nft
