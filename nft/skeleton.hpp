// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/firewall.hpp"
#include "netlink/batch.hpp"

namespace porthole::nft {

/// The named counters of the table.
namespace counters {
constexpr auto unsolicited = "unsolicited";
constexpr auto displaced = "displaced";
constexpr auto guarded = "guarded";
}  // namespace counters

/// Appends the commands that put an empty table `inet porthole` with all its sets, chains and rules
/// in the place of the one that is there, if any. `pool`: the ports for displaced flows; `counted`:
/// where counting goes on.
void replace_skeleton(netlink::Batch& batch, const PortRange& pool,
                      const FirewallCounters& counted);

}  // namespace porthole::nft
