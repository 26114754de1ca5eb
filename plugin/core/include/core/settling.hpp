// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <deque>
#include <optional>
#include <utility>

#include "core/settler.hpp"

namespace porthole {

/// What a look at all flows has found.
struct Look {
    std::vector<Sighting> seen;      ///< owners, and hosts on watched ports, that have flows
    std::vector<SparedFlow> spared;  ///< live flows that stand against the mappings
    /// Owners whose flows were wrong, and are gone; with the port that they used.
    std::vector<std::pair<Sighting, Port>> corrected;
};

/// Keeps account of what was ordered from a Settler, for which reservations, and what is done.
class Settling {
  public:
    explicit Settling(Settler& settler) : settler_(settler) {}

    /// Orders that flows agree with these mappings; `rows` are theirs and the pinholes'.
    void order(const SetDifference<Mapping>& mappings, const SetDifference<Pinhole>& pinholes,
               const Scope& scope, std::vector<ReservationId> rows);
    /// The same for everything in `firewall`, which is all that there is, and a look at all flows:
    /// when it is done, earlier failures are made good. `removed`: mappings that went since the
    /// last order; `gap`, `pinholes_were_away`: see SettleOrder.
    void order_everything(Firewall firewall, std::vector<ReservationId> rows,
                          const std::vector<Mapping>& removed = {},
                          const std::vector<Address>& gone_addresses = {}, bool gap = false,
                          bool pinholes_were_away = false);
    /// Takes the settler's report, if there is one. Returns the rows that are settled by it; none
    /// if it has failed.
    std::vector<ReservationId> take_report();

    /// The newest order.
    [[nodiscard]] std::uint64_t ordered() const { return ordered_; }
    /// The newest order that was worked off, with success or not.
    [[nodiscard]] std::uint64_t reported() const { return reported_; }
    /// Why flows may still be wrong; empty: they are not. order_everything() makes it good.
    [[nodiscard]] const std::string& failure() const { return failure_; }
    /// What the last look has found, if it was not taken yet.
    [[nodiscard]] std::optional<Look> take_look() { return std::exchange(look_, std::nullopt); }
    /// Whom owners have flows with, as far as it was not taken yet.
    [[nodiscard]] std::vector<SeenContact> take_contacts() { return std::exchange(contacts_, {}); }
    /// Whether a report since the last call was early: another look may find more.
    [[nodiscard]] bool take_early() { return std::exchange(early_, false); }
    /// The processor time that the last walk through all flows took.
    [[nodiscard]] std::chrono::milliseconds took() const { return took_; }
    /// How many flows were deleted so far.
    [[nodiscard]] std::uint64_t deleted() const { return deleted_; }

  private:
    struct Order {
        std::uint64_t ticket;
        std::vector<ReservationId> rows;  // sorted
    };
    // What is not there any more, and whose flows may still be: an order for everything that there
    // is would not end them.
    struct Gone {
        std::uint64_t ticket = 0;  // of the newest order that says so
        std::vector<Mapping> mappings;
        std::vector<Address> addresses;
    };
    Settler& settler_;
    std::deque<Order> open_;
    std::deque<Gone> gone_;  // by ticket
    std::uint64_t ordered_ = 0;
    std::uint64_t reported_ = 0;
    std::uint64_t deleted_ = 0;
    std::optional<Look> look_;
    std::vector<SeenContact> contacts_;
    bool early_ = false;
    std::chrono::milliseconds took_{};
    std::uint64_t everything_ = 0;  // the newest order for everything
    std::uint64_t failed_ = 0;      // the newest order that was not done
    // Orders up to this one may have left what came in before a pinhole was there; the newest order
    // that would delete it.
    std::uint64_t unjudged_ = 0;
    std::uint64_t judging_ = 0;
    std::string failure_;
};

}  // namespace porthole
