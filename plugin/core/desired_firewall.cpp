// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/desired_firewall.hpp"

#include <algorithm>
#include <iterator>

namespace porthole {
namespace {

// A claim has no mapping while it waits for the port.
std::optional<Mapping> mapping_of(const Reservation& row, bool even_if_waiting = false) {
    const bool claimed = row.origin == Origin::automatic;
    if (claimed && row.state == ReservationState::waiting && !even_if_waiting) return std::nullopt;
    const auto* host = std::get_if<Address>(&row.internal.host);
    return Mapping{row.internal.protocol,
                   host != nullptr ? std::optional(*host) : row.address,
                   row.internal.port,
                   row.external_port,
                   claimed,
                   row.filtering};
}

std::vector<Mapping> sorted_mappings_of(const std::vector<Reservation>& rows) {
    std::vector<Mapping> mappings;
    mappings.reserve(rows.size());
    for (const auto& row : rows) {
        if (const auto mapping = mapping_of(row)) mappings.push_back(*mapping);
    }
    std::ranges::sort(mappings);
    return mappings;
}

// Both lists sorted and without duplicates.
template <typename T>
SetDifference<T> set_difference(const std::vector<T>& from, const std::vector<T>& to) {
    SetDifference<T> result;
    std::ranges::set_difference(from, to, std::back_inserter(result.removed));
    std::ranges::set_difference(to, from, std::back_inserter(result.added));
    return result;
}

}  // namespace

Firewall desired_firewall(const Scope& scope, const Reservations& reservations,
                          const ReservationDifference& change) {
    const auto leaves = [&change](ReservationId id) {
        return std::ranges::binary_search(change.before, id, {}, &Reservation::id);
    };
    std::vector<Mapping> mappings;
    mappings.reserve(reservations.size() + change.after.size());
    for (const auto& [id, row] : reservations.rows()) {
        if (leaves(id)) continue;
        if (const auto mapping = mapping_of(row)) mappings.push_back(*mapping);
    }
    for (const auto& row : change.after) {
        if (const auto mapping = mapping_of(row)) mappings.push_back(*mapping);
    }
    std::ranges::sort(mappings);
    return {scope, std::move(mappings)};
}

std::vector<Mapping> mappings_of(const Reservations& reservations) {
    std::vector<Mapping> mappings;
    mappings.reserve(reservations.size());
    for (const auto& [id, row] : reservations.rows()) {
        if (const auto mapping = mapping_of(row, true)) mappings.push_back(*mapping);
    }
    return mappings;
}

FirewallDifference firewall_difference(const ReservationDifference& change) {
    FirewallDifference result;
    result.mappings =
        set_difference(sorted_mappings_of(change.before), sorted_mappings_of(change.after));
    return result;
}

FirewallDifference difference(const Firewall& from, const Firewall& to) {
    return {set_difference(from.scope.wans, to.scope.wans),
            set_difference(from.scope.masquerade_wans, to.scope.masquerade_wans),
            set_difference(from.scope.nat_sources, to.scope.nat_sources),
            set_difference(from.scope.exempt, to.scope.exempt),
            set_difference(from.scope.wan_addresses, to.scope.wan_addresses),
            set_difference(from.scope.own_ports, to.scope.own_ports),
            set_difference(from.mappings, to.mappings)};
}

}  // namespace porthole
