// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/firewall.hpp"
#include "core/reservations.hpp"

namespace porthole {

/// Everything that has to be in the kernel for `reservations` within `scope`, once `change` is
/// made to them.
Firewall desired_firewall(const Scope& scope, const Reservations& reservations,
                          const ReservationDifference& change = {});

/// What flows are judged by: the same, and the mappings of those that wait. In the order of the
/// reservations' ids.
Firewall judging_firewall(const Scope& scope, const Reservations& reservations);

/// The way to desired_firewall() after a change of reservations: its size depends on the change
/// alone, and equals difference() of the whole firewalls before and after.
FirewallDifference firewall_difference(const ReservationDifference& change);

/// The way from one whole firewall to another.
FirewallDifference difference(const Firewall& from, const Firewall& to);

}  // namespace porthole
