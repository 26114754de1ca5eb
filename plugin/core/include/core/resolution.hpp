// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/gateway.hpp"

namespace porthole {

/// Does what ends a conflict, as far as the gateway can: `action` is one of actions(conflict).
/// "reserve": its claim becomes a reservation, and the flows in its way are settled at once.
/// "release-owner": the reservation of the port goes. "wait": nothing, the conflict stays open
/// until it is over. The conflict is resolved by the look that follows. `user`: who asks.
///
/// Throws Refused: no_such_conflict, also for one that is over; stale_generation; unsupported for
/// what only an administrator can do, with the way to do it; what Gateway::change() and
/// Gateway::release() throw; and InvalidArgument, which names the actions that there are.
void resolve(Gateway& gateway, std::uint64_t conflict, std::string_view action,
             IfGeneration if_generation, std::uint32_t user = 0);

}  // namespace porthole
