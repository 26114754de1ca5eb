// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/former_owners.hpp"

#include <algorithm>

namespace porthole {
namespace {

constexpr std::size_t all_ports = 65536;

std::size_t index_of(Protocol protocol) { return protocol == Protocol::tcp ? 0 : 1; }

// The external ports of those rows that do not have them among the others. Both sorted by id.
std::vector<ProtocolPort> only_in(const std::vector<Reservation>& rows,
                                  const std::vector<Reservation>& others) {
    std::vector<ProtocolPort> ports;
    auto other = others.begin();
    for (const auto& row : rows) {
        while (other != others.end() && other->id < row.id) ++other;
        const bool kept = other != others.end() && other->id == row.id &&
                          other->external_port == row.external_port;
        if (!kept) ports.push_back({row.internal.protocol, row.external_port});
    }
    return ports;
}

}  // namespace

bool FormerOwners::are_succeeded(const ReservationDifference& change) const {
    auto given_up = only_in(change.before, change.after);
    std::ranges::sort(given_up);
    return std::ranges::any_of(only_in(change.after, change.before), [&](const ProtocolPort& port) {
        const auto& left = left_.at(index_of(port.protocol));
        return (!left.empty() && left[port.port.value()]) ||
               std::ranges::binary_search(given_up, port);
    });
}

void FormerOwners::follow(const ReservationDifference& change) {
    for (const auto& [protocol, port] : only_in(change.before, change.after)) {
        auto& left = left_.at(index_of(protocol));
        if (left.empty()) left.resize(all_ports);
        left[port.value()] = true;
    }
}

}  // namespace porthole
