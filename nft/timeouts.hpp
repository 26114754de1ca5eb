// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "netlink/batch.hpp"
#include "rule.hpp"
#include "skeleton.hpp"

namespace porthole::nft {

/// What the names of the commands that add ct timeout objects begin with.
constexpr std::string_view add_timeout_command = "add ct timeout inet porthole ";

/// Appends the commands that add the ct timeout objects: how long conntrack keeps flows of reserved
/// ports. `udp`: idle ones of UDP.
void add_timeouts(netlink::Batch& batch, std::chrono::seconds udp);
/// Has the rule give these timeouts to the flow, where the table has them. Returns how nft writes
/// that, with a space behind it.
std::string set_timeouts(Rule& rule, const Shape& shape);
/// The same for a rule that sees this protocol only.
std::string set_timeout(Rule& rule, const Shape& shape, Protocol protocol);

}  // namespace porthole::nft
