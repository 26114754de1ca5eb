// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <set>
#include <span>

#include "core/reservations.hpp"

namespace porthole {

/// What changed since the journal was last drained.
struct JournalEntry {
    bool reset = false;                  ///< too much to list: everything may have changed
    std::vector<ReservationId> changed;  ///< by id
    std::vector<ReservationId> removed;  ///< by id; none that came and went in between
};

/// Collects changes until somebody announces them. Its size is bounded.
class Journal {
  public:
    static constexpr std::size_t max_rows = 500;

    void record(const ReservationDifference& difference);
    /// Rows that changed in what is not stored, their state.
    void touch(std::span<const ReservationId> rows);
    /// The same of all rows.
    void touch_all();
    [[nodiscard]] bool empty() const { return !reset_ && changed_.empty() && removed_.empty(); }
    /// Returns what was recorded, at most so many rows of it, and forgets that.
    JournalEntry drain(std::size_t most = max_rows);

  private:
    void forget_rows();

    bool reset_ = false;
    std::set<ReservationId> created_;
    std::set<ReservationId> changed_;
    std::set<ReservationId> removed_;
};

}  // namespace porthole
