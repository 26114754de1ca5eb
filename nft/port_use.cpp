// SPDX-License-Identifier: GPL-2.0-or-later
#include "port_use.hpp"

#include <algorithm>

namespace porthole::nft {
namespace {

constexpr std::size_t port_count = 65536;
constexpr std::array protocols{Protocol::tcp, Protocol::udp};

std::array<UsedPort, 2> ports_of(const Mapping& mapping) {
    return {{{mapping.protocol, mapping.internal_port}, {mapping.protocol, mapping.external_port}}};
}

}  // namespace

PortUse::PortUse(const std::vector<Mapping>& mappings) {
    for (const auto& mapping : mappings) add(mapping, 1);
}

std::uint32_t& PortUse::count(const UsedPort& port) {
    auto& counts = counts_.at(port.protocol == protocols[0] ? 0 : 1);
    if (counts.empty()) counts.resize(port_count);
    return counts[port.port.value()];
}

void PortUse::add(const Mapping& mapping, std::uint32_t times) {
    for (const auto& port : ports_of(mapping)) count(port) += times;
}

SetDifference<UsedPort> PortUse::change(const SetDifference<Mapping>& mappings) {
    std::vector<UsedPort> touched;
    touched.reserve(2 * (mappings.removed.size() + mappings.added.size()));
    for (const auto* const part : {&mappings.removed, &mappings.added}) {
        for (const auto& mapping : *part) {
            for (const auto& port : ports_of(mapping)) touched.push_back(port);
        }
    }
    std::ranges::sort(touched);
    touched.erase(std::ranges::unique(touched).begin(), touched.end());
    std::vector<bool> was_used(touched.size());
    for (std::size_t i = 0; i < touched.size(); ++i) was_used[i] = count(touched[i]) != 0;

    constexpr std::uint32_t minus_one = 0xFFFFFFFF;  // counts wrap
    for (const auto& mapping : mappings.removed) add(mapping, minus_one);
    for (const auto& mapping : mappings.added) add(mapping, 1);

    SetDifference<UsedPort> result;
    for (std::size_t i = 0; i < touched.size(); ++i) {
        const bool is_used = count(touched[i]) != 0;
        if (is_used == was_used[i]) continue;
        (is_used ? result.added : result.removed).push_back(touched[i]);
    }
    return result;
}

std::vector<UsedPort> PortUse::used() const {
    std::vector<UsedPort> result;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        for (unsigned port = 1; port < counts_.at(i).size(); ++port) {
            if (counts_.at(i)[port] == 0) continue;
            result.push_back({protocols.at(i), *Port::from(port)});
        }
    }
    return result;
}

}  // namespace porthole::nft
