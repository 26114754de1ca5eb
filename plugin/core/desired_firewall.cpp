// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/desired_firewall.hpp"

#include <algorithm>
#include <iterator>

#include "types/sorted.hpp"

namespace porthole {
namespace {

// What rows mean, in the order in which they are added.
struct Meaning {
    std::vector<Mapping> mappings;
    std::vector<Pinhole> pinholes;

    void add(const Reservation& row) {
        const bool claimed = row.origin == Origin::automatic;
        const auto* host = std::get_if<Address>(&row.internal.host);
        const auto& [key, protocol, port] = row.internal;
        // Those that NAT66 translates, too: nobody gets around it to them.
        for (const auto& address : row.ipv6_addresses) {
            pinholes.push_back({protocol, address, port, row.filtering});
        }
        if (row.nat66) {
            mappings.push_back({.protocol = protocol,
                                .host = nat66_host(row),
                                .internal_port = port,
                                .external_port = row.external_port,
                                .filtering = row.filtering,
                                .family = Family::ipv6});
        }
        if (is_ipv6(row.internal)) {
            pinholes.push_back({protocol, *host, port, row.filtering});
            return;
        }
        mappings.push_back({protocol, host != nullptr ? std::optional(*host) : row.address.get(),
                            port, row.external_port, claimed, row.filtering, row.external_address});
    }
    // A claim means nothing while it waits for the port. Who waits for an external address has it
    // kept for him.
    void add_in_force(const Reservation& row) {
        const bool waits = row.state == ReservationState::waiting;
        if (waits && row.origin == Origin::automatic) return;
        add(row);
        if (waits && !row.external_address.is_any()) mappings.back().host.reset();
    }
    void sort() {
        sort_unless_sorted(mappings);
        sort_unless_sorted(pinholes);
    }
};

Meaning meaning_of(const std::vector<Reservation>& rows) {
    Meaning meaning;
    meaning.mappings.reserve(rows.size());
    for (const auto& row : rows) meaning.add_in_force(row);
    meaning.sort();
    return meaning;
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
    Meaning meaning;
    meaning.mappings.reserve(reservations.size() + change.after.size());
    for (const auto& [id, row] : reservations.rows()) {
        if (!leaves(id)) meaning.add_in_force(row);
    }
    for (const auto& row : change.after) meaning.add_in_force(row);
    meaning.sort();
    return {scope, std::move(meaning.mappings), std::move(meaning.pinholes)};
}

Firewall judging_firewall(const Scope& scope, const Reservations& reservations) {
    Meaning meaning;
    meaning.mappings.reserve(reservations.size());
    for (const auto& [id, row] : reservations.rows()) meaning.add(row);
    return {scope, std::move(meaning.mappings), std::move(meaning.pinholes)};
}

FirewallDifference firewall_difference(const ReservationDifference& change) {
    const auto before = meaning_of(change.before);
    const auto after = meaning_of(change.after);
    FirewallDifference result;
    result.mappings = set_difference(before.mappings, after.mappings);
    result.pinholes = set_difference(before.pinholes, after.pinholes);
    return result;
}

FirewallDifference difference(const Firewall& from, const Firewall& to) {
    return {set_difference(from.scope.wans, to.scope.wans),
            set_difference(from.scope.masquerade_wans, to.scope.masquerade_wans),
            set_difference(from.scope.nat_sources, to.scope.nat_sources),
            set_difference(from.scope.exempt, to.scope.exempt),
            set_difference(from.scope.wan_addresses, to.scope.wan_addresses),
            set_difference(from.scope.own_ports, to.scope.own_ports),
            set_difference(from.mappings, to.mappings),
            set_difference(from.pinholes, to.pinholes),
            set_difference(from.scope.ipv6_nat_sources, to.scope.ipv6_nat_sources),
            set_difference(from.scope.ipv6_wan_addresses, to.scope.ipv6_wan_addresses)};
}

}  // namespace porthole
