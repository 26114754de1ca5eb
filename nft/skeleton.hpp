// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <optional>
#include <span>

#include "core/firewall.hpp"
#include "netlink/batch.hpp"

namespace porthole::nft {

/// The named counters of the table.
namespace counters {
constexpr auto unsolicited = "unsolicited";
constexpr auto displaced = "displaced";
constexpr auto guarded = "guarded";
constexpr auto contacts_refused = "contacts-refused";
}  // namespace counters

/// What is in the table's rules and sets themselves, and not looked up by them: another one takes
/// another table.
struct Shape {
    PortRange pool = default_pool;                    ///< what displaced flows leave from
    bool masquerades = false;                         ///< has a rule for the other flows
    bool exempts = false;                             ///< some destinations are never translated
    bool pinholes = false;                            ///< has sets and rules for IPv6 hosts
    bool fixed = false;                               ///< the same for fixed external addresses
    bool nat66 = false;                               ///< the same for IPv6 that is translated
    std::optional<PortRange> watched = std::nullopt;  ///< UDP; new flows from there are logged
    bool watches_moves = false;  ///< so are an owner's from addresses that NAT66 does not show
    std::uint32_t capacity = 0;  ///< how many mappings and pinholes there is room for
    /// Of reserved ports' flows; nothing: the kernel has no timeouts of flows' own.
    std::optional<std::chrono::seconds> udp_timeout = std::nullopt;
    bool operator==(const Shape&) const = default;
};

/// The group of NFLOG (nfnetlink_log) that the table reports new flows from watched ports to.
constexpr std::uint16_t watch_group = 51820;

/// How many of these have a fixed external address.
std::size_t count_fixed(std::span<const Mapping> mappings);
/// The shape of a table for this firewall. `timeouts`: the kernel has them.
Shape shape_for(const Firewall& firewall, bool timeouts = true);

/// Appends the commands that remove table `inet porthole`, if there is one.
void remove_table(netlink::Batch& batch);

/// Appends the commands that put an empty table `inet porthole` with all its sets, chains and rules
/// in the place of the one that is there, if any. `counted`: where counting goes on.
void replace_skeleton(netlink::Batch& batch, const Shape& shape, const FirewallCounters& counted);
/// Appends the commands that add what pinholes need to a table that is there without it.
void add_pinhole_skeleton(netlink::Batch& batch, const Shape& shape);

}  // namespace porthole::nft
