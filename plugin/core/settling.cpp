// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/settling.hpp"

#include <algorithm>
#include <iterator>

#include "types/sorted.hpp"

namespace porthole {

void Settling::order(const SetDifference<Mapping>& mappings, const SetDifference<Pinhole>& pinholes,
                     const Scope& scope, std::vector<ReservationId> rows) {
    sort_unless_sorted(rows);
    open_.push_back({++ordered_, std::move(rows)});
    if (!mappings.removed.empty()) gone_.push_back({ordered_, mappings.removed, {}});
    settler_.settle(
        {.ticket = ordered_, .mappings = mappings, .pinholes = pinholes, .scope = scope});
}

void Settling::order_everything(Firewall firewall, std::vector<ReservationId> rows,
                                const std::vector<Mapping>& removed,
                                const std::vector<Address>& gone_addresses, bool gap,
                                bool pinholes_were_away) {
    sort_unless_sorted(rows);
    open_.push_back({++ordered_, std::move(rows)});
    Gone gone{ordered_, removed, gone_addresses};
    for (const auto& [ticket, before, addresses] : gone_) {
        gone.mappings.insert(gone.mappings.end(), before.begin(), before.end());
        gone.addresses.insert(gone.addresses.end(), addresses.begin(), addresses.end());
    }
    gone_.clear();
    sort_unique(gone.mappings);
    sort_unique(gone.addresses);
    if (!gone.mappings.empty() || !gone.addresses.empty()) gone_.push_back(gone);
    const bool owed = unjudged_ != 0 && judging_ <= unjudged_;
    if (pinholes_were_away || owed) judging_ = ordered_;
    settler_.settle(
        {.ticket = ordered_,
         .mappings = {.removed = std::move(gone.mappings), .added = std::move(firewall.mappings)},
         .pinholes = {.removed = {}, .added = std::move(firewall.pinholes)},
         .scope = std::move(firewall.scope),
         .gone_addresses = std::move(gone.addresses),
         .gap = gap,
         .pinholes_were_away = pinholes_were_away || owed,
         .look = true});
    everything_ = ordered_;
}

std::vector<ReservationId> Settling::take_report() {
    auto report = settler_.take_report();
    if (!report) return {};
    reported_ = report->ticket;
    deleted_ += report->deleted;
    took_ = report->took;
    early_ |= report->early;
    const bool done = report->failure.empty();
    if (!done || report->early) unjudged_ = reported_;
    if (done) {
        while (!gone_.empty() && gone_.front().ticket <= reported_) gone_.pop_front();
    } else {
        failure_ = report->failure;
        failed_ = reported_;
    }
    contacts_.insert(contacts_.end(), report->contacts.begin(), report->contacts.end());
    if (report->seen) {
        look_ =
            Look{*std::move(report->seen), std::move(report->spared), std::move(report->corrected)};
    }
    if (done && everything_ > failed_ && everything_ <= reported_) {
        failure_.clear();
    }

    std::vector<ReservationId> settled;
    while (!open_.empty() && open_.front().ticket <= reported_) {
        const auto rows = std::move(open_.front().rows);
        open_.pop_front();
        if (!done) continue;
        // A row that has changed once more is not settled yet.
        std::ranges::copy_if(rows, std::back_inserter(settled), [this](ReservationId id) {
            return std::ranges::none_of(open_, [id](const Order& order) {
                return std::ranges::binary_search(order.rows, id);
            });
        });
    }
    return settled;
}

}  // namespace porthole
