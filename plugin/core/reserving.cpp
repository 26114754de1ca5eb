// SPDX-License-Identifier: GPL-2.0-or-later
#include "reserving.hpp"

#include <algorithm>
#include <string>

#include "placement.hpp"

namespace porthole {
namespace {

std::string describe(const Reservation& row) {
    return to_text(row.internal.host) + " (reservation " + std::to_string(number(row.id)) + ", " +
           to_text(row.origin) + ")";
}

// A port that somebody owns, or nobody can.
[[noreturn]] void refuse_port(const ExternalEndpoint& wanted, const Reservation* owner,
                              const Reservations& all) {
    const ProtocolPort port{wanted.protocol, wanted.port};
    const auto subject =
        "external port " + to_text(port) +
        (wanted.address.is_any() ? std::string() : " of " + to_text(wanted.address));
    if (owner != nullptr) {
        const auto where = owner->external_address == wanted.address
                               ? std::string()
                               : " on " + to_text(owner->external_address) +
                                     (owner->external_address.is_any() ? " address" : "");
        throw Refused(Refusal::port_taken, subject + " is owned by " + describe(*owner) + where);
    }
    if (all.is_own(port.protocol, port.port)) {
        throw Refused(Refusal::port_taken, subject + " is in use by the gateway itself");
    }
    throw Refused(Refusal::limit_exceeded,
                  subject + " is in the pool " + to_text(all.pool()) +
                      " that displaced flows leave from, which cannot be reserved");
}

// Years from now in seconds still fit; more than this is a mistake of the caller's.
constexpr std::chrono::seconds max_lifetime{0xFFFFFFFF};

Time expiry(std::optional<std::chrono::seconds> lifetime, Time now) {
    if (!lifetime || lifetime->count() == 0) return never;
    return now + std::min(*lifetime, max_lifetime);
}

// Where an alternate is looked for first: for the same host always at the same place.
std::uint32_t first_choice(const Endpoint& internal) {
    std::uint32_t hash = 2166136261;  // FNV-1a
    const auto mix = [&hash](std::uint8_t byte) { hash = (hash ^ byte) * 16777619U; };
    std::visit([&](const auto& host) { std::ranges::for_each(host.bytes(), mix); }, internal.host);
    mix(static_cast<std::uint8_t>(internal.port.value() >> 8U));
    mix(static_cast<std::uint8_t>(internal.port.value()));
    return hash;
}

// What an IPv6 host sends leaves from where it is.
void require_own_port(const Endpoint& internal, const std::optional<Port>& port) {
    if (!port || *port == internal.port) return;
    throw InvalidArgument(
        "external-port", to_text(*port),
        to_text(internal.port) + ", the port inside: what IPv6 hosts send is not translated");
}

void require_any_address(const std::optional<ExternalAddress>& address) {
    if (!address || address->is_any()) return;
    throw InvalidArgument("external-address", to_text(*address), "\"any\" for an IPv6 host");
}

ExternalEndpoint choose_outside(Plan& plan, const ReserveRequest& request,
                                const Reservation* renewed) {
    const auto protocol = request.internal.protocol;
    auto families = plan.families_of(request.internal);
    if (!families.ipv4) require_any_address(request.external_address);
    if (!families.ipv4 && !families.ipv6) {
        require_own_port(request.internal, request.external_port);
        return {protocol, request.internal.port};
    }
    const auto kept = renewed != nullptr ? external_endpoint(*renewed)
                                         : ExternalEndpoint{protocol, request.internal.port};
    const ExternalEndpoint wanted{protocol, request.external_port.value_or(kept.port),
                                  request.external_address.value_or(kept.address)};
    const bool kept_port = renewed != nullptr && wanted.port == kept.port;
    if (kept_port && !renewed->nat66) families.ipv6 = false;  // it goes on waiting for that
    const auto* owner = plan.taken(wanted, families, renewed);
    const bool allowed = kept_port || plan.base().can_be_reserved(protocol, wanted.port);
    if (owner == nullptr && allowed) return wanted;
    if (owner != nullptr && allowed && owner->origin == Origin::automatic &&
        request.on_conflict == OnConflict::fail) {
        make_way(plan, *owner);
        return wanted;
    }
    if (request.on_conflict == OnConflict::fail) refuse_port(wanted, owner, plan.base());
    const bool elsewhere = wanted.address != kept.address;
    if (renewed != nullptr && !elsewhere) return kept;
    if (const auto next = plan.next_free_port(wanted, families)) {
        return {protocol, *next, wanted.address};
    }
    throw Refused(Refusal::limit_exceeded, "no external port of " + to_text(protocol) +
                                               " is free in the range of " + to_text(wanted.port));
}

// The claim that was made for this host, before somebody asked for its MAC address.
const Reservation* claim_of(const Plan& plan, const Endpoint& internal) {
    const auto* mac = std::get_if<MacAddress>(&internal.host);
    if (mac == nullptr) return nullptr;
    const auto& places = plan.base().whereabouts().of;
    const auto place = places.find(*mac);
    if (place == places.end()) return nullptr;
    const auto* owner = plan.owner({place->second, internal.protocol, internal.port});
    return owner != nullptr && owner->origin == Origin::automatic ? owner : nullptr;
}

// Who asks for an address itself goes before who was followed there.
void put_at_address(Plan& plan, Reservation row) {
    const auto* follower = plan.owner(row.internal);
    if (follower != nullptr && follower->id != row.id) {
        auto left = *follower;
        leave(plan, left, std::get<Address>(row.internal.host));
        plan.put(left);
    }
    follow_perimeter(plan, row);
    plan.put(row);
}

}  // namespace

void refuse_read_only(const Reservation& row) {
    throw Refused(Refusal::read_only, "reservation " + std::to_string(number(row.id)) + " of " +
                                          to_text(row.internal.host) +
                                          " comes from the configuration file; change it there");
}

std::optional<Port> free_alternate(const Plan& plan, const Endpoint& internal,
                                   const PortRange& alternates, std::optional<Port> excluded) {
    const unsigned first = alternates.first().value();
    const unsigned count = alternates.last().value() - first + 1U;
    const auto start = first_choice(internal) % count;
    for (unsigned step = 0; step < count; ++step) {
        const auto candidate = *Port::from(first + (start + step) % count);
        const bool free =
            candidate != excluded && plan.taken({internal.protocol, candidate}) == nullptr;
        if (free && plan.base().can_be_reserved(internal.protocol, candidate)) return candidate;
    }
    return std::nullopt;
}

void make_way(Plan& plan, Reservation claimed) {
    plan.remove(claimed);
    const auto alternate = free_alternate(plan, claimed.internal, plan.base().claim_alternates(),
                                          claimed.external_port);
    if (!alternate) return;
    claimed.external_port = *alternate;
    claimed.state = ReservationState::settling;
    plan.put(claimed);
}

ReservationId reserve_in(Plan& plan, const ReserveRequest& request, Origin origin, Time now,
                         const Reservation* former) {
    const auto* renewed = plan.find(request.internal);
    if (renewed == nullptr && former == nullptr) renewed = claim_of(plan, request.internal);
    if (renewed != nullptr && renewed->origin == Origin::configured) refuse_read_only(*renewed);
    const auto outside = choose_outside(plan, request, renewed);
    if (renewed != nullptr) former = renewed;
    const bool moved = former == nullptr || external_endpoint(*former) != outside ||
                       former->origin == Origin::automatic;

    Reservation row{
        .id = former != nullptr ? former->id : plan.new_id(),
        .internal = request.internal,
        .external_port = outside.port,
        .filtering =
            request.filtering.value_or(renewed != nullptr ? renewed->filtering : default_filtering),
        .origin = origin,
        .state = moved ? ReservationState::settling : former->state,
        .user = request.user,
        .external_address = outside.address,
        .comment = request.comment.value_or(renewed != nullptr ? renewed->comment : Comment()),
        .expires = expiry(request.lifetime, now),
        .last_seen = former != nullptr ? former->last_seen : never,
    };
    if (known_by_mac(row.internal)) {
        if (former != nullptr) {
            row.address = former->address;
            row.ipv6_addresses = former->ipv6_addresses;
            row.nat66 = former->nat66;
            row.nat66_place = former->nat66_place;
        }
        put_in_place(plan, row);
        return row.id;
    }
    row.nat66 = former != nullptr && former->nat66;
    put_at_address(plan, row);
    return row.id;
}

void change_in(Plan& plan, const Reservation& old, const ReservationChanges& changes, Time now) {
    auto row = old;
    if (changes.external_port || changes.external_address || changes.lifetime) {
        // Somebody wants it to be so, whatever is seen of the host.
        if (row.origin == Origin::automatic) row.state = ReservationState::settling;
        row.origin = Origin::api;
        row.user = changes.user;
        row.mac.reset();
    }
    auto families = plan.families_of(row.internal);
    if (!families.ipv4) require_any_address(changes.external_address);
    if (!families.ipv4 && !families.ipv6) {
        require_own_port(row.internal, changes.external_port);
    } else if (changes.external_port || changes.external_address) {
        const auto kept = external_endpoint(row);
        const ExternalEndpoint wanted{kept.protocol, changes.external_port.value_or(kept.port),
                                      changes.external_address.value_or(kept.address)};
        if (wanted.port == kept.port && !old.nat66) families.ipv6 = false;
        const auto* owner = plan.taken(wanted, families, &old);
        const bool allowed =
            wanted.port == kept.port || plan.base().can_be_reserved(wanted.protocol, wanted.port);
        const bool makes_way = owner != nullptr && owner->origin == Origin::automatic;
        if (!allowed || (owner != nullptr && !makes_way)) refuse_port(wanted, owner, plan.base());
        if (makes_way) make_way(plan, *owner);
        row.external_port = wanted.port;
        row.external_address = wanted.address;
        if (wanted != kept) row.state = ReservationState::settling;
    }
    row.filtering = changes.filtering.value_or(row.filtering);
    row.comment = changes.comment.value_or(row.comment);
    if (changes.lifetime) row.expires = expiry(changes.lifetime, now);
    if (known_by_mac(row.internal)) {
        put_in_place(plan, row);
    } else {
        follow_perimeter(plan, row);
        plan.put(row);
    }
}

void put_back(Plan& plan, Reservation row) {
    const auto* now = plan.base().find(row.id);
    const bool as_it_was = now != nullptr && now->internal == row.internal &&
                           external_endpoint(*now) == external_endpoint(row) &&
                           now->origin == row.origin;
    row.state = as_it_was ? now->state : ReservationState::settling;
    row.nat66 = as_it_was && now->nat66;
    row.nat66_place = as_it_was ? now->nat66_place : 0;
    if (now != nullptr) row.last_seen = std::max(row.last_seen, now->last_seen);
    if (const auto* owner = plan.find(row.internal)) {
        throw Refused(Refusal::port_taken, to_text(row.internal.host) +
                                               " has that port already, by " + describe(*owner));
    }
    const auto* owner = is_ipv6(row.internal) ? nullptr : plan.taken(external_endpoint(row));
    if (owner != nullptr && row.origin != Origin::automatic) {
        refuse_port(external_endpoint(row), owner, plan.base());
    }
    if (owner != nullptr) {
        const auto alternate = free_alternate(plan, row.internal, plan.base().claim_alternates());
        if (!alternate) refuse_port(external_endpoint(row), owner, plan.base());
        row.external_port = *alternate;
    }
    known_by_mac(row.internal) ? put_in_place(plan, row) : put_at_address(plan, row);
}

}  // namespace porthole
