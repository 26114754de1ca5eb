// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <set>
#include <vector>

#include <linux/netlink.h>

#include "core/settler.hpp"
#include "core/tracer.hpp"

namespace porthole::nft {

/// A UDP or TCP flow over IPv6 as conntrack knows it.
struct Ipv6Flow {
    std::uint32_t id = 0;  ///< CTA_ID: not even a flow with the same addresses has it again
    Protocol protocol = Protocol::udp;
    TrackedFlow ends;
    bool operator==(const Ipv6Flow&) const = default;
};

/// What every message of ctnetlink about IPv6 begins with.
void put_ipv6_conntrack_header(nlmsghdr* message);
/// The addresses that a message asks for: CTA_TUPLE_ORIG.
void put_ipv6_tuple(nlmsghdr* message, Protocol protocol, const Place& source,
                    const Place& destination);
/// Decodes a message of a conntrack dump. Nothing for other protocols and families, for messages
/// that are cut short, and for port 0, which nobody can have.
std::optional<Ipv6Flow> decode_ipv6_flow(const nlmsghdr* message);

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
