// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/reservations.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>
#include <utility>

#include "placement.hpp"
#include "plan.hpp"
#include "reserving.hpp"
#include "types/limits.hpp"
#include "types/sorted.hpp"

namespace porthole {
namespace {

constexpr std::size_t port_count = 65536;

std::size_t index_of(Protocol protocol) { return protocol == Protocol::udp ? 0 : 1; }

std::size_t pinholes_of(const Reservation& row) {
    return row.ipv6_addresses.size() + (is_ipv6(row.internal) ? 1 : 0);
}

}  // namespace

std::optional<OnConflict> TextForm<OnConflict>::parse(std::string_view text) {
    if (text == "fail") return OnConflict::fail;
    if (text == "next") return OnConflict::next;
    return std::nullopt;
}

std::string TextForm<OnConflict>::format(const OnConflict& on_conflict) {
    return on_conflict == OnConflict::fail ? "fail" : "next";
}

Reservations::Reservations(std::vector<Reservation> rows, ReservationId next_id)
    : next_id_(next_id) {
    const auto contradict = [](const Reservation& row) {
        throw StorageFailure("load reservations", "reservation " + std::to_string(number(row.id)) +
                                                      " contradicts another one");
    };
    const Plan plan(*this);
    for (auto& row : rows) {
        const bool by_mac = known_by_mac(row.internal);
        if (!by_mac) {
            row.address.reset();
            row.ipv6_addresses.clear();
        }
        for (const auto& place : located(row)) {
            if (owner(place) != nullptr) leave(plan, row, std::get<Address>(place.host));
        }
        if (by_mac && located(row).empty()) row.state = ReservationState::waiting;
        const bool taken = !is_ipv6(row.internal) && plan.taken(external_endpoint(row)) != nullptr;
        const bool followed_there = by_address_.contains(row.internal);
        if (taken || followed_there || row.id == nobody || row.id >= next_id) contradict(row);
        if (!add(row)) contradict(row);
    }
    next_id_ = next_id;
}

Reservations::Reservations(const Reservations& other)
    : next_id_(other.next_id_),
      pool_(other.pool_),
      claim_alternates_(other.claim_alternates_),
      own_ports_(other.own_ports_),
      wan_addresses_(other.wan_addresses_),
      ipv6_nat_sources_(other.ipv6_nat_sources_),
      whereabouts_(other.whereabouts_) {
    ReservationDifference everything;
    for (const auto& [id, row] : other.rows_) everything.after.push_back(row);
    apply(everything);
}

ReservationDifference Reservations::reserve(const ReserveRequest& request, Origin origin,
                                            Time now) const {
    Plan plan(*this);
    reserve_in(plan, request, origin, now);
    follow_perimeter_in(plan, crowded_out_);
    return std::move(plan).difference();
}

ReservationDifference Reservations::reserve_many(std::span<const ReserveRequest> requests,
                                                 Origin origin, Time now,
                                                 std::vector<ReservationId>& ids) const {
    Plan plan(*this);
    ids.clear();
    ids.reserve(requests.size());
    for (const auto& request : requests) {
        const auto place = [&ids] { return "rows[" + std::to_string(ids.size()) + "]: "; };
        try {
            ids.push_back(reserve_in(plan, request, origin, now));
        } catch (const Refused& refused) {
            throw Refused(refused.reason(), place() + refused.what());
        } catch (const InvalidArgument& invalid) {
            throw InvalidArgument(place() + invalid.what());
        }
    }
    follow_perimeter_in(plan, crowded_out_);
    return std::move(plan).difference();
}

ReservationDifference Reservations::change(ReservationId id, const ReservationChanges& changes,
                                           Time now) const {
    const auto* old = find(id);
    if (old == nullptr) {
        throw Refused(Refusal::no_such_reservation,
                      "there is no reservation " + std::to_string(number(id)));
    }
    if (old->origin == Origin::configured) refuse_read_only(*old);
    Plan plan(*this);
    change_in(plan, *old, changes, now);
    follow_perimeter_in(plan, crowded_out_);
    return std::move(plan).difference();
}

ReservationDifference Reservations::release(std::span<const ReservationId> ids) const {
    Plan plan(*this);
    for (const auto id : std::set(ids.begin(), ids.end())) {
        const auto* row = find(id);
        if (row == nullptr) {
            throw Refused(Refusal::no_such_reservation,
                          "there is no reservation " + std::to_string(number(id)));
        }
        if (row->origin == Origin::configured) refuse_read_only(*row);
        plan.remove(*row);
    }
    follow_in(plan, followers_);
    follow_perimeter_in(plan, crowded_out_);
    return std::move(plan).difference();
}

ReservationDifference Reservations::expire(Time now) const {
    Plan plan(*this);
    for (const auto& [expires, id] : by_expiry_) {
        if (expires > now) break;
        plan.remove(rows_.at(id));
    }
    follow_in(plan, followers_);
    follow_perimeter_in(plan, crowded_out_);
    return std::move(plan).difference();
}

RestoredDifference Reservations::restore(std::span<const Reservation> earlier, Time now) const {
    Plan plan(*this);
    const auto concerned = concerned_by_perimeter(plan);
    std::vector<Reservation> claimed;  // since then, too
    std::set<ReservationId> known;
    for (const auto& row : earlier) known.insert(row.id);
    // All leave first, so that ports can change hands among them.
    for (const auto& [id, row] : rows_) {
        if (row.origin == Origin::configured) continue;
        plan.remove(row);
        if (row.origin == Origin::automatic && !known.contains(id)) claimed.push_back(row);
    }
    RestoredDifference result;
    const auto put = [&](const Reservation& row) {
        if (row.expires != never && row.expires <= now) return;
        try {
            put_back(plan, row);
        } catch (const Refused& refused) {
            if (row.origin == Origin::automatic) return;
            result.refused.push_back("reservation " + std::to_string(number(row.id)) + " of " +
                                     to_text(row.internal.host) + ": " + refused.what());
        }
    };
    const auto put_all = [&put](std::span<const Reservation> rows, Origin origin) {
        for (const auto& row : rows) {
            if (row.origin == origin) put(row);
        }
    };
    put_all(earlier, Origin::api);
    put_all(earlier, Origin::automatic);
    put_all(claimed, Origin::automatic);
    follow_in(plan, followers_);
    follow_perimeter_in(plan, concerned);
    result.difference = std::move(plan).difference();
    return result;
}

ReservationDifference Reservations::follow() const {
    Plan plan(*this);
    follow_in(plan, followers_);
    return std::move(plan).difference();
}

void Reservations::set_perimeter(std::vector<Address> wan_addresses,
                                 std::vector<Network> ipv6_nat_sources) {
    wan_addresses_ = std::move(wan_addresses);
    if (ipv6_nat_sources == ipv6_nat_sources_) return;
    ipv6_nat_sources_ = std::move(ipv6_nat_sources);
    crowded_out_.clear();
    for (const auto& [id, row] : rows_) {
        if (!row.nat66 && translates_ipv6(row.internal.host)) crowded_out_.insert(id);
    }
}

ReservationDifference Reservations::follow_perimeter() const {
    Plan plan(*this);
    follow_perimeter_in(plan, concerned_by_perimeter(plan));
    return std::move(plan).difference();
}

bool Reservations::translates_ipv6(const HostKey& host) const {
    const auto* address = std::get_if<Address>(&host);
    if (address == nullptr) return !ipv6_nat_sources_.empty();
    return std::ranges::any_of(ipv6_nat_sources_, [address](const Network& network) {
        return network.contains(*address);
    });
}

ReservationDifference Reservations::translate(const Endpoint& from) const {
    Plan plan(*this);
    const auto* owner = this->owner(from);
    if (owner == nullptr || !owner->nat66 || !translates_ipv6(from.host)) return {};
    auto row = *owner;
    const auto place = std::ranges::find(row.ipv6_addresses, std::get<Address>(from.host));
    if (place == row.ipv6_addresses.end()) return {};
    row.nat66_place = static_cast<std::uint8_t>(place - row.ipv6_addresses.begin());
    if (row == *owner) return {};
    if (row.state != ReservationState::waiting) row.state = ReservationState::settling;
    plan.put(row);
    return std::move(plan).difference();
}

ConfiguredDifference Reservations::configure(
    std::span<const ReserveRequest> wanted, Time now,
    const std::function<void(const HostKey&)>& check) const {
    Plan plan(*this);
    const auto concerned = concerned_by_perimeter(plan);
    follow_perimeter_in(plan, concerned);
    // All configured rows leave first, so that ports can change hands among them.
    for (const auto& [id, row] : rows_) {
        if (row.origin == Origin::configured) plan.remove(row);
    }
    ConfiguredDifference result;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const auto refuse = [&](const Error& reason) {
            result.refused.push_back("reservation[" + std::to_string(i) + "]: " + reason.what());
        };
        try {
            check(wanted[i].internal.host);
            reserve_in(plan, wanted[i], Origin::configured, now, find(wanted[i].internal));
        } catch (const Refused& refused) {
            refuse(refused);
        } catch (const InvalidArgument& invalid) {
            refuse(invalid);
            result.invalid = true;
        }
    }
    follow_in(plan, followers_);
    follow_perimeter_in(plan, concerned);
    result.difference = std::move(plan).difference();
    return result;
}

ClaimedDifference Reservations::claim(std::span<const Claim> claims, const ClaimPolicy& policy,
                                      Time now) const {
    std::map<MacAddress, std::size_t> of_mac;
    for (const auto id : claims_) {
        if (const auto& mac = rows_.at(id).mac) ++of_mac[*mac];
    }
    std::size_t total = claims_.size();
    Plan plan(*this);
    ClaimedDifference result;
    for (const auto& [internal, mac] : claims) {
        // The row of its MAC address is about to follow it there.
        const Endpoint by_mac{mac, internal.protocol, internal.port};
        if (plan.owner(internal) != nullptr || plan.find(by_mac) != nullptr) continue;
        const bool too_many = total >= policy.limit || of_mac[mac] >= policy.limit_per_mac;
        const bool natural = plan.taken({internal.protocol, internal.port}) == nullptr &&
                             can_be_reserved(internal.protocol, internal.port);
        const auto port = natural ? std::optional(internal.port)
                                  : free_alternate(plan, internal, policy.alternates);
        if (too_many || !port) {
            result.refused.push_back({internal, mac});
            continue;
        }
        ++total;
        ++of_mac[mac];
        plan.put({.id = plan.new_id(),
                  .internal = internal,
                  .external_port = *port,
                  .filtering = default_filtering,
                  .origin = Origin::automatic,
                  .state = ReservationState::settling,
                  .mac = mac,
                  .comment = {},
                  .expires = never,
                  .last_seen = now});
    }
    result.difference = std::move(plan).difference();
    return result;
}

ReservationDifference Reservations::leave_own_ports() const {
    Plan plan(*this);
    for (const auto id : claims_) {
        const auto& row = rows_.at(id);
        if (is_own(row.internal.protocol, row.external_port)) make_way(plan, row);
    }
    return std::move(plan).difference();
}

ReservationDifference Reservations::forget(Time before) const {
    ReservationDifference result;
    for (const auto id : claims_) {
        const auto& row = rows_.at(id);
        if (row.last_seen <= before) result.before.push_back(row);
    }
    return result;
}

ReservationDifference Reservations::hold_back(const std::set<ProtocolPort>& waiting) const {
    ReservationDifference result;
    for (const auto id : claims_) {
        const auto& row = rows_.at(id);
        const bool waits = row.state == ReservationState::waiting;
        const bool should_wait =
            waiting.contains(ProtocolPort{row.internal.protocol, row.external_port});
        if (waits == should_wait) continue;
        result.before.push_back(row);
        result.after.push_back(row);
        result.after.back().state =
            should_wait ? ReservationState::waiting : ReservationState::settling;
    }
    return result;
}

void Reservations::saw(const Endpoint& from, Time now) {
    if (const auto* row = owner(from)) rows_.at(row->id).last_seen = now;
}

void Reservations::set_state(std::span<const ReservationId> ids, ReservationState state) {
    auto next = rows_.begin();  // of all rows, the next one is the one that is looked for
    for (const auto id : ids) {
        const auto found = next != rows_.end() && next->first == id ? next : rows_.find(id);
        if (found == rows_.end()) continue;
        next = std::next(found);
        if (found->second.state != ReservationState::waiting) found->second.state = state;
    }
}

void Reservations::set_owner(const Reservation& row, ReservationId id) {
    const ProtocolPort external{row.internal.protocol, row.external_port};
    if (row.nat66 && id != nobody) nat66_.insert_or_assign(external, id);
    if (row.nat66 && id == nobody) nat66_.erase(external);
    if (is_ipv6(row.internal)) return;
    if (row.external_address.is_any()) {
        auto& owners = by_external_.at(index_of(row.internal.protocol));
        if (owners.empty()) owners.resize(port_count, nobody);
        owners[row.external_port.value()] = id;
    } else if (id == nobody) {
        fixed_.erase(external_endpoint(row));
    } else {
        fixed_.insert_or_assign(external_endpoint(row), id);
    }
}

bool Reservations::add(const Reservation& row) {
    const auto& [id, added] = *rows_.emplace_hint(rows_.end(), row.id, row);
    const bool is_new = by_internal_.insert(&added).second;
    if (row.expires != never) by_expiry_.emplace(row.expires, id);
    set_owner(row, id);
    pinholes_ += pinholes_of(row);
    if (is_ipv6(row.internal)) ipv6_hosts_.insert(id);
    if (row.user != 0) ++users_[row.user];
    if (row.origin == Origin::automatic) claims_.insert(claims_.end(), id);
    if (!row.nat66 && translates_ipv6(row.internal.host)) crowded_out_.insert(id);
    for (const auto& place : located(row)) by_address_.emplace(place, id);
    if (known_by_mac(row.internal)) followers_.insert(id);
    next_id_ = std::max(next_id_, ReservationId{number(id) + 1});
    return is_new;
}

void Reservations::require_room(const ReservationDifference& change) const {
    std::map<std::uint32_t, std::size_t> come;
    std::map<std::uint32_t, std::size_t> gone;
    for (const auto& row : change.after) ++come[row.user];
    for (const auto& row : change.before) ++gone[row.user];
    for (const auto& [user, count] : come) {
        if (user == 0 || count <= gone[user]) continue;
        require_at_most(count_of(user) + count - gone[user], most_reservations_of_a_user,
                        "reservations of user " + std::to_string(user));
    }
    if (change.after.size() <= change.before.size()) return;
    require_at_most(size() + change.after.size() - change.before.size(), most_reservations,
                    "reservations");
}

void Reservations::apply(const ReservationDifference& difference) {
    for (const auto& row : difference.before) {
        by_internal_.erase(by_internal_.find(row.internal));
        for (const auto& place : located(row)) by_address_.erase(place);
        followers_.erase(row.id);
        if (row.expires != never) by_expiry_.erase({row.expires, row.id});
        set_owner(row, nobody);
        pinholes_ -= pinholes_of(row);
        ipv6_hosts_.erase(row.id);
        if (row.user != 0 && --users_.at(row.user) == 0) users_.erase(row.user);
        claims_.erase(row.id);
        crowded_out_.erase(row.id);
        rows_.erase(row.id);
    }
    for (const auto& row : difference.after) add(row);
}

std::size_t Reservations::count_of(std::uint32_t user) const {
    const auto found = users_.find(user);
    return found == users_.end() ? 0 : found->second;
}

const Reservation* Reservations::find(ReservationId id) const {
    const auto found = rows_.find(id);
    return found == rows_.end() ? nullptr : &found->second;
}

const Reservation* Reservations::find(Protocol protocol, Port external_port, Family family) const {
    if (family == Family::ipv6) {
        const auto found = nat66_.find({protocol, external_port});
        return found != nat66_.end() ? find(found->second) : nullptr;
    }
    const auto& owners = by_external_.at(index_of(protocol));
    return owners.empty() ? nullptr : find(owners[external_port.value()]);
}

const Reservation* Reservations::anybody(const ProtocolPort& port) const {
    if (const auto* row = find(port.protocol, port.port)) return row;
    const auto at = fixed_.lower_bound({port.protocol, port.port});
    const bool there =
        at != fixed_.end() && at->first.protocol == port.protocol && at->first.port == port.port;
    return there ? find(at->second) : nullptr;
}

const Reservation* Reservations::find(const Endpoint& internal) const {
    const auto found = by_internal_.find(internal);
    return found == by_internal_.end() ? nullptr : *found;
}

const Reservation* Reservations::owner(const Endpoint& from) const {
    if (const auto* row = find(from)) return row;
    const auto found = by_address_.find(from);
    return found == by_address_.end() ? nullptr : find(found->second);
}

std::vector<const Reservation*> Reservations::all_outside(const ProtocolPort& port) const {
    std::vector<const Reservation*> found;
    if (const auto* row = find(port.protocol, port.port)) found.push_back(row);
    for (auto at = fixed_.lower_bound({port.protocol, port.port}); at != fixed_.end(); ++at) {
        if (at->first.protocol != port.protocol || at->first.port != port.port) break;
        found.push_back(&rows_.at(at->second));
    }
    const auto* translated = find(port.protocol, port.port, Family::ipv6);
    if (translated != nullptr && is_ipv6(translated->internal)) found.push_back(translated);
    // IPv6 addresses are ordered behind IPv4 ones, the first of them is all zeros.
    constexpr std::array<std::uint8_t, 16> zeros{};
    const Endpoint first{*Address::from_bytes(zeros), port.protocol, port.port};
    for (auto row = by_internal_.lower_bound(first); row != by_internal_.end(); ++row) {
        const auto& internal = (*row)->internal;
        if (internal.port != port.port || internal.protocol != port.protocol) break;
        if (is_ipv6(internal) && !(*row)->nat66) found.push_back(*row);
    }
    for (const auto id : followers_) {
        const auto& row = rows_.at(id);
        const auto& [host, protocol, internal_port] = row.internal;
        const bool here = protocol == port.protocol && internal_port == port.port;
        if (here && !row.ipv6_addresses.empty() && row.external_port != port.port) {
            found.push_back(&row);
        }
    }
    return found;
}

std::map<MacAddress, Address> Reservations::followed() const {
    std::map<MacAddress, Address> result;
    for (const auto id : followers_) {
        const auto& row = rows_.at(id);
        if (row.address) result.emplace(std::get<MacAddress>(row.internal.host), *row.address);
    }
    return result;
}

std::map<MacAddress, std::vector<Address>> Reservations::followed_ipv6() const {
    std::map<MacAddress, std::vector<Address>> result;
    for (const auto id : followers_) {
        const auto& row = rows_.at(id);
        if (row.ipv6_addresses.empty()) continue;
        auto& all = result[std::get<MacAddress>(row.internal.host)];
        all.insert(all.end(), row.ipv6_addresses.begin(), row.ipv6_addresses.end());
        sort_unique(all);
    }
    return result;
}

std::map<Address, std::size_t> Reservations::missing_addresses() const {
    std::map<Address, std::size_t> result;
    for (const auto& [endpoint, id] : fixed_) {
        if (lacks_address(rows_.at(id))) ++result[*endpoint.address.fixed()];
    }
    return result;
}

std::optional<Port> Reservations::next_free_port(Protocol protocol, Port port) const {
    return Plan(*this).next_free_port({protocol, port});
}

std::optional<Time> Reservations::next_expiry() const {
    if (by_expiry_.empty()) return std::nullopt;
    return by_expiry_.begin()->first;
}

}  // namespace porthole
