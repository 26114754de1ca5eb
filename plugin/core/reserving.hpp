// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>

#include "plan.hpp"

namespace porthole {

// What these cannot do, as somebody else has the port or nobody can have it, they refuse: they
// throw Refused or InvalidArgument, and leave the plan as it was.

/// Puts what is asked for, as a new row or in place of the one that has this endpoint. `former`:
/// the row that had it before and has left the plan.
ReservationId reserve_in(Plan& plan, const ReserveRequest& request, Origin origin, Time now,
                         const Reservation* former = nullptr);
/// Puts `old` with these changes: the row of the plan's base itself, no copy.
void change_in(Plan& plan, const Reservation& old, const ReservationChanges& changes, Time now);
/// Puts a row of earlier, or what is left of it.
void put_back(Plan& plan, Reservation row);
/// Has a claim make way. Who asked for a port, and the gateway itself, go before who was only seen
/// on it: that one gets an alternate, or nothing.
void make_way(Plan& plan, Reservation claimed);
/// A free port for a claim; the first choice is always the same for the same endpoint.
std::optional<Port> free_alternate(const Plan& plan, const Endpoint& internal,
                                   const PortRange& alternates,
                                   std::optional<Port> excluded = std::nullopt);
[[noreturn]] void refuse_read_only(const Reservation& row);

}  // namespace porthole
