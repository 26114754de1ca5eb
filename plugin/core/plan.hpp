// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/reservations.hpp"

namespace porthole {

/// No reservation has this id.
constexpr auto nobody = ReservationId{0};

/// The families in which a reservation has a port outside.
struct Families {
    bool ipv4 = true;
    bool ipv6 = false;
};

/// Where the host of a row is that is known by its MAC address; nowhere while it is away.
inline std::vector<Endpoint> located(const Reservation& row) {
    std::vector<Endpoint> places;
    const auto add = [&](const Address& address) {
        places.push_back({address, row.internal.protocol, row.internal.port});
    };
    if (row.address) add(*row.address);
    std::ranges::for_each(row.ipv6_addresses, add);
    return places;
}

struct EndpointHash {
    std::size_t operator()(const Endpoint& endpoint) const {
        const auto hash = [](const auto& host) {
            const auto& bytes = host.bytes();
            return std::hash<std::string_view>()(
                {static_cast<const char*>(static_cast<const void*>(bytes.data())), bytes.size()});
        };
        return std::visit(hash, endpoint.host) ^ number(endpoint.protocol, endpoint.port);
    }
    static std::uint32_t number(Protocol protocol, Port port, Family family = Family::ipv4) {
        const std::uint32_t ports = static_cast<std::uint32_t>(protocol) << 16U | port.value();
        return static_cast<std::uint32_t>(family) << 24U | ports;
    }
};

/// Rows on their way from one state to another: the rows of `base` with changes laid over them.
class Plan {
  public:
    explicit Plan(const Reservations& base) : base_(base), next_id_(base.next_id()) {}

    [[nodiscard]] const Reservation* find(ReservationId id) const {
        if (id == nobody) return nullptr;
        if (id >= base_.next_id()) {
            return place_of(id) < created_.size() ? &created_[place_of(id)] : nullptr;
        }
        if (const auto found = changed_.find(id); found != changed_.end()) {
            return found->second ? &*found->second : nullptr;
        }
        return base_.find(id);
    }
    [[nodiscard]] const Reservation* find(const Endpoint& internal) const {
        const auto* found = owner(internal);
        return found != nullptr && found->internal == internal ? found : nullptr;
    }
    [[nodiscard]] const Reservation* owner(const Endpoint& from) const {
        const auto found = owners_.find(from);
        return found != owners_.end() ? find(found->second) : base_.owner(from);
    }
    /// Who has this external port on all of the WANs' addresses of a family.
    [[nodiscard]] const Reservation* find(const ProtocolPort& external, Family family) const {
        const auto& [protocol, port] = external;
        const auto found = external_.find(EndpointHash::number(protocol, port, family));
        if (found != external_.end()) return find(found->second);
        return base_.find(protocol, port, family);
    }
    /// Where a reservation of this host is outside, if anywhere.
    [[nodiscard]] Families families_of(const Endpoint& internal) const {
        return {!is_ipv6(internal), base_.translates_ipv6(internal.host)};
    }
    /// Who is in the way of this one: has the port there, or anywhere if it is wanted on any
    /// address. `except`: is not.
    [[nodiscard]] const Reservation* taken(const ExternalEndpoint& wanted, Families families = {},
                                           const Reservation* except = nullptr) const {
        const ProtocolPort external{wanted.protocol, wanted.port};
        const auto* owner = families.ipv6 ? find(external, Family::ipv6) : nullptr;
        if (owner != nullptr && owner != except) return owner;
        if (!families.ipv4) return nullptr;
        owner = find(external, Family::ipv4);
        if (owner != nullptr && owner != except) return owner;
        if (!wanted.address.is_any()) {
            owner = find_fixed(wanted);
            return owner != except ? owner : nullptr;
        }
        const auto in_the_way = [&](const auto& endpoints) -> const Reservation* {
            for (auto at = endpoints.lower_bound(wanted); at != endpoints.end(); ++at) {
                const auto& [protocol, port, address] = at->first;
                if (protocol != wanted.protocol || port != wanted.port) break;
                const auto* row = find_fixed(at->first);
                if (row != nullptr && row != except) return row;
            }
            return nullptr;
        };
        owner = in_the_way(base_.fixed());
        return owner != nullptr ? owner : in_the_way(fixed_);
    }
    /// See Reservations::next_free_port().
    [[nodiscard]] std::optional<Port> next_free_port(const ExternalEndpoint& wanted,
                                                     Families families = {}) const {
        constexpr unsigned port_count = 65536;
        constexpr auto first_unprivileged = Port::constant<1024>();
        const auto& [protocol, port, address] = wanted;
        const bool unprivileged = port >= first_unprivileged;
        const unsigned first = unprivileged ? first_unprivileged.value() : 1;
        const unsigned count =
            unprivileged ? port_count - first : first_unprivileged.value() - first;
        for (unsigned step = 1; step < count; ++step) {
            const auto candidate = *Port::from(first + (port.value() - first + step) % count);
            const bool free = taken({protocol, candidate, address}, families) == nullptr;
            if (free && base_.can_be_reserved(protocol, candidate)) return candidate;
        }
        return std::nullopt;
    }
    [[nodiscard]] const Reservations& base() const { return base_; }
    ReservationId new_id() {
        const auto id = next_id_;
        next_id_ = ReservationId{number(id) + 1};
        return id;
    }
    void put(const Reservation& wanted) {
        if (const auto* old = find(wanted.id)) take_from_indexes(*old);
        owners_[wanted.internal] = wanted.id;
        for (const auto& place : located(wanted)) owners_[place] = wanted.id;
        set_owner(wanted, wanted.id);
        if (wanted.id < base_.next_id()) {
            changed_.insert_or_assign(wanted.id, wanted);
        } else if (const auto place = place_of(wanted.id); place < created_.size()) {
            created_[place] = wanted;
        } else {
            created_.push_back(wanted);
        }
    }
    void remove(const Reservation& old) {
        take_from_indexes(old);
        changed_.insert_or_assign(old.id, std::nullopt);
    }
    [[nodiscard]] ReservationDifference difference() && {
        ReservationDifference result;
        if (changed_.empty()) {
            result.after = std::move(created_);
            return result;
        }
        for (const auto& [id, after] : changed_) {
            const auto* before = base_.find(id);  // nothing: it was there once
            if (before != nullptr && after && *before == *after) continue;
            if (before != nullptr) result.before.push_back(*before);
            if (after) result.after.push_back(*after);
        }
        std::ranges::move(created_, std::back_inserter(result.after));
        return result;
    }

  private:
    [[nodiscard]] std::size_t place_of(ReservationId id) const {
        return number(id) - number(base_.next_id());
    }
    void take_from_indexes(const Reservation& old) {
        owners_[old.internal] = nobody;
        for (const auto& place : located(old)) owners_[place] = nobody;
        set_owner(old, nobody);
    }
    void set_owner(const Reservation& row, ReservationId id) {
        const auto number_in = [&row](Family family) {
            return EndpointHash::number(row.internal.protocol, row.external_port, family);
        };
        if (row.nat66) external_[number_in(Family::ipv6)] = id;
        if (is_ipv6(row.internal)) return;
        if (row.external_address.is_any()) {
            external_[number_in(Family::ipv4)] = id;
        } else {
            fixed_[external_endpoint(row)] = id;
        }
    }
    [[nodiscard]] const Reservation* find_fixed(const ExternalEndpoint& endpoint) const {
        if (const auto found = fixed_.find(endpoint); found != fixed_.end()) {
            return find(found->second);
        }
        const auto found = base_.fixed().find(endpoint);
        return found != base_.fixed().end() ? find(found->second) : nullptr;
    }

    const Reservations& base_;
    ReservationId next_id_;
    std::map<ReservationId, std::optional<Reservation>> changed_;  // of base_; nothing: removed
    std::vector<Reservation> created_;                             // in the order of their ids
    std::unordered_map<Endpoint, ReservationId, EndpointHash> owners_;
    std::unordered_map<std::uint32_t, ReservationId> external_;
    std::map<ExternalEndpoint, ReservationId> fixed_;
};

}  // namespace porthole
