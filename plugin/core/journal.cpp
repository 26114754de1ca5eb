// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/journal.hpp"

#include <utility>

namespace porthole {

void Journal::record(const ReservationDifference& difference) {
    if (reset_) return;
    if (difference.before.size() + difference.after.size() > 2 * max_rows) {
        reset_ = true;
    } else {
        std::set<ReservationId> before;
        for (const auto& row : difference.before) before.insert(row.id);
        for (const auto& row : difference.after) {
            if (before.erase(row.id) == 0) created_.insert(row.id);
            changed_.insert(row.id);
        }
        for (const auto id : before) {
            changed_.erase(id);
            if (created_.erase(id) == 0) removed_.insert(id);
        }
        reset_ = changed_.size() + removed_.size() > max_rows;
    }
    if (reset_) forget_rows();
}

void Journal::touch(std::span<const ReservationId> rows) {
    if (reset_) return;
    if (rows.size() > max_rows) {
        reset_ = true;
    } else {
        changed_.insert(rows.begin(), rows.end());
        for (const auto id : removed_) changed_.erase(id);
        reset_ = changed_.size() + removed_.size() > max_rows;
    }
    if (reset_) forget_rows();
}

void Journal::touch_all() {
    reset_ = true;
    forget_rows();
}

void Journal::forget_rows() {
    created_.clear();
    changed_.clear();
    removed_.clear();
}

JournalEntry Journal::drain(std::size_t most) {
    JournalEntry entry;
    entry.reset = std::exchange(reset_, false);
    const auto take = [&](std::set<ReservationId>& rows, std::vector<ReservationId>& taken) {
        while (!rows.empty() && most > 0) {
            taken.push_back(rows.extract(rows.begin()).value());
            --most;
        }
    };
    take(removed_, entry.removed);
    take(changed_, entry.changed);
    for (const auto id : entry.changed) created_.erase(id);
    return entry;
}

}  // namespace porthole
