// SPDX-License-Identifier: GPL-2.0-or-later
#include "port_use.hpp"

#include <algorithm>

namespace porthole::nft {
namespace {

constexpr std::size_t chunk_ports = 256;
constexpr std::array protocols{Protocol::tcp, Protocol::udp};

// With repetitions.
std::vector<ProtocolPort> uses(const std::vector<Mapping>& mappings,
                               const std::vector<Pinhole>& pinholes,
                               const std::vector<ProtocolPort>& own_ports) {
    std::vector<ProtocolPort> ports;
    ports.reserve(2 * mappings.size() + pinholes.size() + own_ports.size());
    for (const auto& mapping : mappings) {
        ports.push_back({mapping.protocol, mapping.internal_port});
        ports.push_back({mapping.protocol, mapping.external_port});
    }
    for (const auto& pinhole : pinholes) ports.push_back({pinhole.protocol, pinhole.port});
    ports.insert(ports.end(), own_ports.begin(), own_ports.end());
    return ports;
}

std::vector<ProtocolPort> bound(const std::vector<Mapping>& mappings) {
    std::vector<ProtocolPort> ports;
    for (const auto& mapping : mappings) {
        if (mapping.external_address.is_any()) continue;
        ports.push_back({mapping.protocol, mapping.external_port});
    }
    return ports;
}

}  // namespace

PortUse PortUse::of_bound(const Firewall& firewall) {
    PortUse use;
    for (const auto& port : bound(firewall.mappings)) ++use.count(port);
    return use;
}

SetDifference<ProtocolPort> PortUse::change_bound(const SetDifference<Mapping>& mappings) {
    return change(bound(mappings.removed), bound(mappings.added));
}

PortUse::PortUse(const Firewall& firewall) {
    const auto& [scope, mappings, pinholes] = firewall;
    for (const auto& port : uses(mappings, pinholes, scope.own_ports)) ++count(port);
    const auto& watched = firewall.scope.watched;
    if (!watched) return;
    for (unsigned port = watched->first().value(); port <= watched->last().value(); ++port) {
        ++count({Protocol::udp, *Port::from(port)});
    }
}

std::uint32_t& PortUse::count(const ProtocolPort& port) {
    auto& counts = counts_.at(port.protocol == protocols[0] ? 0 : 1);
    auto& chunk = counts.at(port.port.value() / chunk_ports);
    if (chunk.empty()) chunk.resize(chunk_ports);
    return chunk[port.port.value() % chunk_ports];
}

SetDifference<ProtocolPort> PortUse::change(const FirewallDifference& difference) {
    const auto& [removed, added] = difference.mappings;
    return change(uses(removed, difference.pinholes.removed, difference.own_ports.removed),
                  uses(added, difference.pinholes.added, difference.own_ports.added));
}

SetDifference<ProtocolPort> PortUse::change(const std::vector<ProtocolPort>& gone,
                                            const std::vector<ProtocolPort>& come) {
    auto touched = gone;
    touched.insert(touched.end(), come.begin(), come.end());
    std::ranges::sort(touched);
    touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
    std::vector<bool> was_used(touched.size());
    for (std::size_t i = 0; i < touched.size(); ++i) was_used[i] = count(touched[i]) != 0;

    for (const auto& port : gone) --count(port);
    for (const auto& port : come) ++count(port);

    SetDifference<ProtocolPort> result;
    for (std::size_t i = 0; i < touched.size(); ++i) {
        const bool is_used = count(touched[i]) != 0;
        if (is_used == was_used[i]) continue;
        (is_used ? result.added : result.removed).push_back(touched[i]);
    }
    return result;
}

std::vector<ProtocolPort> PortUse::used() const {
    std::vector<ProtocolPort> result;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        for (std::size_t chunk = 0; chunk < counts_.at(i).size(); ++chunk) {
            const auto& counts = counts_.at(i).at(chunk);
            for (std::size_t place = 0; place < counts.size(); ++place) {
                if (counts[place] == 0) continue;
                result.push_back({protocols.at(i), *Port::from(chunk * chunk_ports + place)});
            }
        }
    }
    return result;
}

}  // namespace porthole::nft
