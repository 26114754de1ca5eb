// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/firewall.hpp"
#include "core/former_owners.hpp"
#include "core/journal.hpp"
#include "core/perimeter.hpp"
#include "core/reservations.hpp"
#include "core/settling.hpp"
#include "core/store.hpp"

namespace porthole {

/// What is in force: the reservations, the same in memory, in the store and in the kernel, and the
/// perimeter that they are in force for.
///
/// Every change goes one way: write to the store's open transaction, change the kernel, commit the
/// store, change memory. A call that throws has changed nothing: what the kernel had already taken
/// is taken back. Throws KernelFailure, StorageFailure.
class Enforcement {
  public:
    Enforcement(OpenedStore opened, FirewallBackend& firewall, Settler& settler);

    /// Puts what was stored into the kernel, for this perimeter. To be called once, before anything
    /// else; a call of settle_everything() is to follow.
    void start(const Perimeter& perimeter);

    /// What decides about changes, and what knows of hosts and the gateway's own ports. Rows come,
    /// go and change by commit() alone, but for their states and when they were seen.
    [[nodiscard]] Reservations& reservations() { return reservations_; }
    [[nodiscard]] const Reservations& reservations() const { return reservations_; }
    /// Has the reservations decide for a perimeter that is not in force yet; with the one that is,
    /// they go back to that.
    void decide_for(const Perimeter& perimeter);

    /// Puts a change of the reservations into force, and a perimeter with it.
    void commit(const ReservationDifference& change) { commit(change, perimeter_); }
    void commit(const ReservationDifference& change, const Perimeter& perimeter);

    /// Puts the table back that somebody else has changed, and settles all flows anew.
    void rebuild();
    /// The table may not be the right one, and rebuild() is to be tried again.
    [[nodiscard]] bool diverged() const { return diverged_; }
    [[nodiscard]] std::uint64_t rebuilds() const { return rebuilds_; }

    /// Settles all flows. What is given is as for Settling::order_everything().
    void settle_everything(const std::vector<Mapping>& removed = {},
                           const std::vector<Address>& gone_addresses = {},
                           bool pinholes_were_away = false);
    /// Has all flows looked at; settling().take_look() has the answer. Nothing while the rules are
    /// switched off, as of settle_everything().
    void look();
    /// How often that was asked for.
    [[nodiscard]] std::uint64_t looks() const { return looks_; }
    /// Takes the settler's report: the rows that are settled by it are active.
    void take_report();
    [[nodiscard]] Settling& settling() { return settling_; }
    [[nodiscard]] const Settling& settling() const { return settling_; }

    [[nodiscard]] const Perimeter& perimeter() const { return perimeter_; }
    /// Grows whenever the perimeter changes.
    [[nodiscard]] std::uint64_t perimeter_version() const { return perimeter_version_; }
    /// Grows with every change of the reservations that is stored.
    [[nodiscard]] std::uint64_t generation() const { return generation_; }
    [[nodiscard]] Store& store() { return store_; }
    /// What has changed and was not announced yet.
    [[nodiscard]] Journal& journal() { return journal_; }

  private:
    // True if the whole table was made anew.
    bool apply(const FirewallDifference& difference, const ReservationDifference& change,
               const Scope& scope);
    void take_back(const FirewallDifference& difference, bool rebuilt);
    // What follows a commit. It cannot be undone: where it throws, starting again from the store is
    // better than going on with half of it.
    void finish(const ReservationDifference& change, const Perimeter& perimeter,
                const FirewallDifference& difference, bool rebuilt, bool stored) noexcept;

    Store store_;
    FirewallBackend& firewall_;
    Reservations reservations_;
    std::uint64_t generation_;
    Perimeter perimeter_;
    std::uint64_t perimeter_version_ = 0;
    Settling settling_;
    FormerOwners former_owners_;
    Journal journal_;
    std::uint64_t rebuilds_ = 0;
    bool diverged_ = false;
    std::uint64_t looks_ = 0;
};

}  // namespace porthole
