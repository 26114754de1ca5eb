// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/enforcement.hpp"

#include <algorithm>
#include <iterator>

#include "core/desired_firewall.hpp"
#include "core/log.hpp"

namespace porthole {
namespace {

// Not of rows of which only that is another which follows from what the gateway sees: it comes and
// goes with the WANs' addresses however full the disk is.
bool is_stored(const ReservationDifference& change) {
    if (change.before.size() != change.after.size()) return true;
    return !std::ranges::equal(change.before, change.after, [](auto before, const auto& after) {
        before.state = after.state;
        before.nat66 = after.nat66;
        before.nat66_place = after.nat66_place;
        return before == after;
    });
}

}  // namespace

Enforcement::Enforcement(OpenedStore opened, FirewallBackend& firewall, Settler& settler)
    : store_(std::move(opened.store)),
      firewall_(firewall),
      reservations_(std::move(opened.state.reservations)),
      generation_(opened.state.generation),
      settling_(settler) {}

void Enforcement::start(const Perimeter& perimeter) {
    perimeter_ = perimeter;
    decide_for(perimeter_);
    const auto followed = reservations_.follow_perimeter();
    if (is_stored(followed)) {
        auto transaction = store_.begin();
        transaction.write(followed, ++generation_);
        transaction.commit();
    }
    reservations_.apply(followed);
    firewall_.replace(desired_firewall(perimeter_.scope, reservations_));
}

void Enforcement::decide_for(const Perimeter& perimeter) {
    reservations_.set_perimeter(perimeter.scope.wan_addresses, perimeter.nat66_networks);
}

void Enforcement::commit(const ReservationDifference& change, const Perimeter& perimeter) {
    auto firewall_change = difference({perimeter_.scope, {}}, {perimeter.scope, {}});
    auto rows_change = firewall_difference(change);
    firewall_change.mappings = std::move(rows_change.mappings);
    firewall_change.pinholes = std::move(rows_change.pinholes);
    firewall_change.forget_contacts = former_owners_.are_succeeded(change);
    bool rebuilt = false;
    const bool stored = is_stored(change);
    const bool switched = perimeter.scope.enabled != perimeter_.scope.enabled;
    if (!stored && !switched) {
        rebuilt = apply(firewall_change, change, perimeter.scope);
    } else {
        auto transaction = store_.begin();
        if (stored) transaction.write(change, generation_ + 1);
        if (switched) transaction.write_enabled(perimeter.scope.enabled);
        try {
            rebuilt = apply(firewall_change, change, perimeter.scope);
            transaction.commit();
        } catch (const KernelFailure&) {
            throw;  // it has taken nothing
        } catch (...) {
            take_back(firewall_change, rebuilt);
            throw;
        }
    }
    finish(change, perimeter, firewall_change, rebuilt, stored);
}

bool Enforcement::apply(const FirewallDifference& difference, const ReservationDifference& change,
                        const Scope& scope) {
    try {
        const bool same_table = differ_in_lists_only(scope, perimeter_.scope);
        if (same_table && firewall_.apply(difference)) return false;
    } catch (const FirewallDrift& drift) {
        log::warning("table-rebuilt",
                     "table inet porthole is not as it was left; it is rebuilt ({})", drift.what());
        diverged_ = true;
    }
    firewall_.replace(desired_firewall(scope, reservations_, change));
    diverged_ = false;
    return true;
}

void Enforcement::take_back(const FirewallDifference& difference, bool rebuilt) {
    try {
        try {
            if (!rebuilt && firewall_.apply(difference.inverse())) {
                if (difference.forget_contacts) look();
                return;
            }
        } catch (const FirewallDrift& drift) {
            log::warning("table-rebuilt", "{}", drift.what());
        }
        firewall_.replace(desired_firewall(perimeter_.scope, reservations_));
        if (!perimeter_.scope.enabled) return;
        settling_.order_everything(judging_firewall(perimeter_.scope, reservations_), {}, {}, {},
                                   true, true);
    } catch (const std::exception& failure) {
        diverged_ = true;
        log::error("take-back-failed", "the kernel is ahead of the store: {}", failure.what());
    }
}

void Enforcement::finish(const ReservationDifference& change, const Perimeter& perimeter,
                         const FirewallDifference& difference, bool rebuilt, bool stored) noexcept {
    if (!change.empty()) {
        reservations_.apply(change);
        if (stored) ++generation_;
        journal_.record(change);
    }
    const auto& mappings = difference.mappings;
    if (rebuilt || difference.forget_contacts) {
        former_owners_.forget();
    } else {
        former_owners_.follow(change);
    }
    const bool more_own_ports = perimeter.scope.own_ports != perimeter_.scope.own_ports;
    perimeter_.scope.own_ports = perimeter.scope.own_ports;
    const bool moved = perimeter.scope != perimeter_.scope;
    if (perimeter != perimeter_) ++perimeter_version_;
    perimeter_ = perimeter;
    if (rebuilt || moved) {
        auto gone_addresses = difference.wan_addresses.removed;
        // Where NAT66 was switched off they are still there.
        std::ranges::copy_if(
            difference.ipv6_wan_addresses.removed, std::back_inserter(gone_addresses),
            [&perimeter](const Address& address) { return !has_address(perimeter, address); });
        settle_everything(
            mappings.removed, gone_addresses,
            rebuilt || !difference.wans.added.empty() || !difference.pinholes.added.empty());
        return;
    }
    if (!perimeter_.scope.enabled) return;
    std::vector<ReservationId> rows;  // one may be in the kernel already, as another row's
    for (const auto& row : change.after) {
        if (row.state == ReservationState::settling) rows.push_back(row.id);
    }
    const auto& pinholes = difference.pinholes;
    if (!mappings.empty() || !pinholes.empty() || !rows.empty()) {
        settling_.order(mappings, pinholes, perimeter_.scope, std::move(rows));
    }
    if (more_own_ports || difference.forget_contacts) look();
}

void Enforcement::rebuild() {
    firewall_.replace(desired_firewall(perimeter_.scope, reservations_));
    diverged_ = false;
    former_owners_.forget();
    ++rebuilds_;
    settle_everything({}, {}, true);
}

void Enforcement::settle_everything(const std::vector<Mapping>& removed,
                                    const std::vector<Address>& gone_addresses,
                                    bool pinholes_were_away) {
    if (!perimeter_.scope.enabled) return;
    std::vector<ReservationId> rows;
    rows.reserve(reservations_.size());
    for (const auto& [id, row] : reservations_.rows()) rows.push_back(id);
    reservations_.set_state(rows, ReservationState::settling);
    journal_.touch(rows);
    settling_.order_everything(judging_firewall(perimeter_.scope, reservations_), std::move(rows),
                               removed, gone_addresses, true, pinholes_were_away);
}

void Enforcement::look() {
    ++looks_;
    if (!perimeter_.scope.enabled) return;
    settling_.order_everything(judging_firewall(perimeter_.scope, reservations_), {});
}

void Enforcement::take_report() {
    const auto rows = settling_.take_report();
    reservations_.set_state(rows, ReservationState::active);
    journal_.touch(rows);
}

}  // namespace porthole
