// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <set>

#include "plan.hpp"

namespace porthole {

/// Has a row that is to be put wait for its external address, or not any more, and have its port
/// under NAT66 as far as nobody else has it. Not of a MAC address: see put_in_place().
void follow_perimeter(const Plan& plan, Reservation& row);
/// Somebody else has reserved the port of a MAC address's row for this address.
void leave(const Plan& plan, Reservation& row, const Address& address);
/// Puts the row of a MAC address where its host is.
void put_in_place(Plan& plan, Reservation row);
/// Puts these rows of MAC addresses where their hosts are; addresses may change hands among them.
void follow_in(Plan& plan, const std::set<ReservationId>& followers);
/// Puts these rows as the perimeter has it now. Of several that want one port under NAT66, the
/// oldest gets it.
void follow_perimeter_in(Plan& plan, const std::set<ReservationId>& ids);
/// All rows that the perimeter may have changed: with fixed external addresses, and with a part in
/// IPv6.
std::set<ReservationId> concerned_by_perimeter(const Plan& plan);

}  // namespace porthole
