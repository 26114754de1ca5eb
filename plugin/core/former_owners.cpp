// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/former_owners.hpp"

#include <algorithm>
#include <vector>

namespace porthole {
namespace {

using Outside = FormerOwners::Outside;

struct Owner {
    Outside external;
    const Reservation* row;
};

// All that contacts of this row are made from.
std::vector<Outside> outsides(const Reservation& row) {
    const auto& [host, protocol, port] = row.internal;
    std::vector<Outside> result;
    if (is_ipv6(row.internal)) {
        result.push_back({{protocol, port}, std::get<Address>(host)});
    } else {
        result.push_back({{protocol, row.external_port}, row.external_address.fixed()});
    }
    // On all of the WANs' IPv6 addresses.
    if (row.nat66) result.push_back({{protocol, row.external_port}, parse<Address>("", "::")});
    for (const auto& address : row.ipv6_addresses) result.push_back({{protocol, port}, address});
    return result;
}

bool is_another(const Endpoint& endpoint, const std::optional<MacAddress>& mac,
                const Reservation& row) {
    return endpoint != row.internal || mac != row.mac;
}

// What those rows do not have among the others. Both sorted by id.
std::vector<Owner> only_in(const std::vector<Reservation>& rows,
                           const std::vector<Reservation>& others) {
    std::vector<Owner> owners;
    auto other = others.begin();
    for (const auto& row : rows) {
        while (other != others.end() && other->id < row.id) ++other;
        const auto kept = other != others.end() && other->id == row.id ? outsides(*other)
                                                                       : std::vector<Outside>();
        for (const auto& outside : outsides(row)) {
            if (std::ranges::count(kept, outside) == 0) owners.push_back({outside, &row});
        }
    }
    return owners;
}

}  // namespace

bool FormerOwners::are_succeeded(const ReservationDifference& change) const {
    auto given_up = only_in(change.before, change.after);
    std::ranges::sort(given_up, {}, &Owner::external);
    return std::ranges::any_of(only_in(change.after, change.before), [&](const Owner& next) {
        const auto earlier = left_.find(next.external);
        if (earlier != left_.end() &&
            is_another(earlier->second.endpoint, earlier->second.mac, *next.row)) {
            return true;
        }
        const auto now = std::ranges::lower_bound(given_up, next.external, {}, &Owner::external);
        return now != given_up.end() && now->external == next.external &&
               is_another(now->row->internal, now->row->mac, *next.row);
    });
}

void FormerOwners::follow(const ReservationDifference& change) {
    for (const auto& [external, row] : only_in(change.before, change.after)) {
        left_.insert_or_assign(external, Left{row->internal, row->mac});
    }
}

}  // namespace porthole
