// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/claims.hpp"

#include <algorithm>

namespace porthole {

void Candidates::add(const Sighting& seen, int link_index, Time now) {
    if (waiting_.contains(seen)) return;
    const Sighting first_of_host{seen.host, Protocol{}, Port::constant<1>()};
    std::size_t of_address = 0;
    for (auto i = waiting_.lower_bound(first_of_host);
         i != waiting_.end() && i->first.host == seen.host; ++i)
        ++of_address;
    if (of_address >= capacity_per_address) return;
    if (waiting_.size() >= capacity) {
        waiting_.erase(std::ranges::min_element(
            waiting_, {}, [](const auto& entry) { return entry.second.since; }));
    }
    waiting_.emplace(seen, Waiting{link_index, now});
}

std::vector<Claim> Candidates::take_confirmed(std::span<const Neighbour> neighbours, Time now) {
    std::vector<Claim> confirmed;
    std::erase_if(waiting_, [&](const auto& entry) {
        const Sighting& seen = entry.first;
        const Waiting& waiting = entry.second;
        const auto found = std::ranges::find_if(neighbours, [&](const Neighbour& neighbour) {
            return neighbour.confirmed && neighbour.link_index == waiting.link_index &&
                   neighbour.address == seen.host;
        });
        if (found == neighbours.end()) return now - waiting.since >= patience;
        confirmed.push_back({{seen.host, seen.protocol, seen.port}, found->mac});
        return true;
    });
    return confirmed;
}

std::vector<LinkNeighbour> Candidates::take_unasked() {
    std::vector<LinkNeighbour> unasked;
    for (auto& [seen, waiting] : waiting_) {
        if (waiting.asked) continue;
        waiting.asked = true;
        const LinkNeighbour wanted{waiting.link_index, seen.host};
        if (unasked.empty() || unasked.back() != wanted) unasked.push_back(wanted);
    }
    return unasked;
}

}  // namespace porthole
