// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/own_ports.hpp"

#include <algorithm>
#include <set>

namespace porthole {
namespace {

constexpr int times_of_a_lasting_one = 3;

bool is_unspecified(const Address& address) {
    return std::ranges::all_of(address.bytes(), [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

std::vector<ProtocolPort> OwnPorts::update(std::span<const Listener> listeners,
                                           std::span<const Address> wan_addresses) {
    std::set<ProtocolPort> kept;
    std::map<ProtocolPort, int> seen;
    for (const auto& listener : listeners) {
        const bool reachable = is_unspecified(listener.address) ||
                               std::ranges::count(wan_addresses, listener.address) != 0;
        if (!reachable) continue;
        if (listener.of_kernel || !ephemeral_.contains(listener.port.port)) {
            kept.insert(listener.port);
            continue;
        }
        const auto before = seen_.find(listener.port);
        const int times = before == seen_.end() ? 1 : before->second + 1;
        seen[listener.port] = std::min(times, times_of_a_lasting_one);
        if (times >= times_of_a_lasting_one) kept.insert(listener.port);
    }
    seen_ = std::move(seen);
    return {kept.begin(), kept.end()};
}

}  // namespace porthole
