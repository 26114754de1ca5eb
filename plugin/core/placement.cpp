// SPDX-License-Identifier: GPL-2.0-or-later
#include "placement.hpp"

#include <algorithm>
#include <utility>

namespace porthole {
namespace {

bool is_away(const Reservation& row) { return !row.address && row.ipv6_addresses.empty(); }

// Where the host of a MAC address's row is with IPv4, as far as the row can have that.
std::optional<Address> place_for(const Plan& plan, const Reservation& row) {
    const auto& [places, holders, ipv6] = plan.base().whereabouts();
    const auto& mac = std::get<MacAddress>(row.internal.host);
    const auto known = places.find(mac);
    const std::optional<Address> place =
        known != places.end() ? std::optional(known->second) : row.address.get();
    if (!place) return std::nullopt;
    const auto holder = holders.find(*place);
    if (holder != holders.end() && holder->second != mac) return std::nullopt;
    const auto* owner = plan.owner({*place, row.internal.protocol, row.internal.port});
    const bool free = owner == nullptr || owner->id == row.id || owner->origin == Origin::automatic;
    return free ? place : std::nullopt;
}

// The same with IPv6.
std::vector<Address> ipv6_places_for(const Plan& plan, const Reservation& row) {
    const auto& [ipv4, holders, places] = plan.base().whereabouts();
    const auto& mac = std::get<MacAddress>(row.internal.host);
    const auto known = places.find(mac);
    auto result = known != places.end() ? known->second : row.ipv6_addresses;
    std::erase_if(result, [&, &holders = holders](const Address& place) {
        const auto holder = holders.find(place);
        const auto* owner = plan.owner({place, row.internal.protocol, row.internal.port});
        return (holder != holders.end() && holder->second != mac) ||
               (owner != nullptr && owner->id != row.id);
    });
    return result;
}

// Has the row of a host that is there wait for its external address, or not any more.
void follow_wan(const Reservations& base, Reservation& row) {
    if (row.external_address.is_any()) return;
    if (base.lacks_address(row)) {
        row.state = ReservationState::waiting;
    } else if (row.state == ReservationState::waiting) {
        row.state = ReservationState::settling;
    }
}

// One at a time: two that show one port get in each other's way.
std::uint8_t choose_nat66_place(const Reservations& base, const Reservation& row,
                                const std::optional<Address>& translated) {
    if (!row.nat66) return 0;
    const auto& all = row.ipv6_addresses;
    auto chosen = all.end();
    if (translated && base.translates_ipv6(*translated)) {
        chosen = std::ranges::find(all, *translated);
    }
    if (chosen == all.end()) {
        chosen = std::ranges::find_if(
            all, [&base](const Address& address) { return base.translates_ipv6(address); });
    }
    return static_cast<std::uint8_t>(chosen - all.begin());
}

void follow_nat66(const Plan& plan, Reservation& row, const std::optional<Address>& translated) {
    const bool wanted = plan.base().translates_ipv6(row.internal.host);
    const bool had = row.nat66;
    const auto* owner = plan.find({row.internal.protocol, row.external_port}, Family::ipv6);
    const bool free = had || plan.base().can_be_reserved(row.internal.protocol, row.external_port);
    row.nat66 = wanted && (owner == nullptr ? free : owner->id == row.id);
    if (known_by_mac(row.internal)) {
        row.nat66_place = choose_nat66_place(plan.base(), row, translated);
        return;
    }
    if (!is_ipv6(row.internal)) return;
    if (!wanted) row.external_port = row.internal.port;
    if (wanted && !row.nat66) {
        row.state = ReservationState::waiting;
    } else if (row.nat66 != had || row.state == ReservationState::waiting) {
        row.state = ReservationState::settling;
    }
}

}  // namespace

void follow_perimeter(const Plan& plan, Reservation& row) {
    follow_wan(plan.base(), row);
    follow_nat66(plan, row, std::nullopt);
}

void leave(const Plan& plan, Reservation& row, const Address& address) {
    const auto translated = nat66_host(row);
    if (row.address.get() == address) row.address.reset();
    std::erase(row.ipv6_addresses, address);
    row.nat66_place = choose_nat66_place(plan.base(), row, translated);
    if (is_away(row)) row.state = ReservationState::waiting;
}

void put_in_place(Plan& plan, Reservation row) {
    const auto former = located(row);
    const auto translated = nat66_host(row);
    row.address = place_for(plan, row);
    row.ipv6_addresses = ipv6_places_for(plan, row);
    follow_nat66(plan, row, translated);
    const bool moved = located(row) != former || nat66_host(row) != translated;
    if (is_away(row) || plan.base().lacks_address(row)) {
        row.state = ReservationState::waiting;
    } else if (moved || row.state == ReservationState::waiting) {
        row.state = ReservationState::settling;
    }
    if (row.address) {
        const auto* claim = plan.owner({*row.address, row.internal.protocol, row.internal.port});
        if (claim != nullptr && claim->id != row.id) plan.remove(*claim);
    }
    plan.put(row);
}

// All leave first.
void follow_in(Plan& plan, const std::set<ReservationId>& followers) {
    std::vector<Reservation> rows;
    for (const auto id : followers) {
        const auto* row = plan.find(id);
        // It may be the claim again that it was before somebody asked for the MAC address.
        if (row == nullptr || !known_by_mac(row->internal)) continue;
        rows.push_back(*row);
        auto gone = *row;
        gone.address.reset();
        gone.ipv6_addresses.clear();
        plan.put(gone);
    }
    for (const auto& row : rows) put_in_place(plan, row);
}

// All leave their ports of NAT66 first: the oldest one gets it, whoever had it before. After a
// restart it is the same one.
void follow_perimeter_in(Plan& plan, const std::set<ReservationId>& ids) {
    std::vector<Reservation> rows;
    for (const auto id : ids) {
        const auto* row = plan.find(id);
        if (row == nullptr) continue;
        rows.push_back(*row);
        auto gone = *row;
        gone.nat66 = false;
        plan.put(gone);
    }
    for (auto& row : rows) {
        if (known_by_mac(row.internal)) {
            put_in_place(plan, row);
        } else {
            follow_perimeter(plan, row);
            plan.put(row);
        }
    }
}

std::set<ReservationId> concerned_by_perimeter(const Plan& plan) {
    auto found = plan.base().followers();
    found.insert(plan.base().ipv6_hosts().begin(), plan.base().ipv6_hosts().end());
    for (const auto& [endpoint, id] : plan.base().fixed()) found.insert(id);
    return found;
}

}  // namespace porthole
