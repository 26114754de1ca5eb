// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/hosts.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace porthole {
namespace {

Host::At& at(Host& host, const Address& address) {
    const auto place = std::ranges::lower_bound(host.addresses, address, {}, &Host::At::address);
    if (place != host.addresses.end() && place->address == address) return *place;
    return *host.addresses.insert(place, {.address = address});
}

const Host::At* find_at(const Host& host, const Address& address) {
    const auto found = std::ranges::find(host.addresses, address, &Host::At::address);
    return found == host.addresses.end() ? nullptr : &*found;
}

bool same_but_for_times(const Host& a, const Host& b) {
    const auto addresses = [](const Host& host) {
        std::vector<Address> result;
        for (const auto& place : host.addresses) result.push_back(place.address);
        return result;
    };
    return a.name == b.name && a.link_index == b.link_index && addresses(a) == addresses(b);
}

// Where the kernel has heard of the host; if nowhere, where a DHCP server says that it is.
std::vector<Host::At> choices(const Host& host, const std::function<bool(const Address&)>& usable) {
    std::vector<Host::At> result;
    std::ranges::copy_if(host.addresses, std::back_inserter(result), [&](const Host::At& place) {
        return place.address.family() == Family::ipv4 && usable(place.address);
    });
    if (std::ranges::any_of(result, &Host::At::neighbour)) {
        std::erase_if(result, [](const Host::At& place) { return !place.neighbour; });
    }
    return result;
}

std::optional<Address> choose(const std::vector<Host::At>& choices, const Address* current) {
    if (choices.empty()) return std::nullopt;
    const auto better = [&](const Host::At& a, const Host::At& b) {
        const auto rank = [&](const Host::At& place) {
            const bool is_current = current != nullptr && place.address == *current;
            return std::tuple(place.leased, is_current, place.confirmed);
        };
        return rank(a) < rank(b);
    };
    return std::ranges::max_element(choices, better)->address;
}

}  // namespace

bool Hosts::update(std::span<const Neighbour> neighbours, std::span<const Lease> leases, Time now) {
    auto before = std::exchange(hosts_, {});
    holders_.clear();
    const auto host_of = [&](const MacAddress& mac) -> Host& {
        const auto [entry, is_new] = hosts_.try_emplace(mac);
        const auto known = before.find(mac);
        if (is_new && known != before.end()) {
            entry->second = known->second;
            entry->second.addresses.clear();
        }
        return entry->second;
    };
    for (const auto& neighbour : neighbours) {
        if (neighbour.address.is_link_local()) continue;
        // The same address on two links: who answers has it.
        const auto [holder, is_new] = holders_.try_emplace(neighbour.address, neighbour.mac);
        if (!is_new && !neighbour.confirmed) continue;
        if (!is_new && holder->second != neighbour.mac) {
            std::erase_if(hosts_.at(holder->second).addresses, [&](const Host::At& place) {
                return place.address == neighbour.address;
            });
            holder->second = neighbour.mac;
        }
        auto& host = host_of(neighbour.mac);
        host.link_index = neighbour.link_index;
        auto& place = at(host, neighbour.address);
        place.neighbour = true;
        place.confirmed = neighbour.confirmed;
        host.last_seen = std::max(host.last_seen, now - neighbour.confirmed_ago);
    }
    for (const auto& lease : leases) {
        const auto holder = holders_.find(lease.address);
        const bool held = holder != holders_.end();
        // What the kernel has heard from a host goes before what a server remembers.
        if (held && lease.mac && *lease.mac != holder->second) continue;
        if (!held && !lease.mac) continue;
        const auto& mac = held ? holder->second : *lease.mac;
        holders_.insert_or_assign(lease.address, mac);
        auto& host = host_of(mac);
        at(host, lease.address).leased = true;
        if (!lease.name.empty()) host.name = lease.name;
    }
    bool changed = false;
    for (const auto& [mac, host] : hosts_) {
        const auto known = before.find(mac);
        changed |= known == before.end() || !same_but_for_times(host, known->second);
        if (known != before.end()) before.erase(known);
    }
    // The others have gone: the last ones of them are remembered.
    std::vector<std::pair<MacAddress, Host>> gone(before.begin(), before.end());
    std::ranges::sort(gone, std::ranges::greater(),
                      [](const auto& entry) { return entry.second.last_seen; });
    for (auto& [mac, host] : gone) {
        changed |= !host.addresses.empty();
        host.addresses.clear();
        if (hosts_.size() < capacity) hosts_.emplace(mac, std::move(host));
    }
    std::erase_if(asked_, [&](const LinkNeighbour& asked) {
        const auto holder = holders_.find(asked.address);
        if (holder == holders_.end()) return true;
        const auto* place = find_at(hosts_.at(holder->second), asked.address);
        return place == nullptr || place->confirmed;
    });
    return changed;
}

Whereabouts Hosts::locate(const std::map<MacAddress, Address>& current,
                          const std::function<bool(const Address&)>& usable) const {
    Whereabouts result{.of = {}, .holders = holders_};
    for (const auto& [mac, host] : hosts_) {
        const auto now = current.find(mac);
        const auto chosen =
            choose(choices(host, usable), now != current.end() ? &now->second : nullptr);
        if (chosen) result.of.emplace(mac, *chosen);
    }
    return result;
}

std::vector<LinkNeighbour> Hosts::take_unasked(const std::map<MacAddress, Address>& current) {
    std::vector<LinkNeighbour> unasked;
    for (const auto& entry : current) {
        const auto& address = entry.second;
        const auto host = hosts_.find(entry.first);
        if (host == hosts_.end()) continue;
        const auto* place = find_at(host->second, address);
        if (place == nullptr || !place->neighbour || place->confirmed) continue;
        const bool elsewhere = std::ranges::any_of(host->second.addresses, [&](const Host::At& a) {
            return a.neighbour && a.address.family() == Family::ipv4 && a.address != address;
        });
        const LinkNeighbour question{host->second.link_index, address};
        if (elsewhere && asked_.insert(question).second) unasked.push_back(question);
    }
    return unasked;
}

const std::string& Hosts::name_of(const HostKey& key) const {
    static const std::string nobody;
    const auto* mac = std::get_if<MacAddress>(&key);
    if (const auto* address = std::get_if<Address>(&key)) {
        const auto holder = holders_.find(*address);
        if (holder == holders_.end()) return nobody;
        mac = &holder->second;
    }
    const auto host = hosts_.find(*mac);
    return host == hosts_.end() ? nobody : host->second.name;
}

}  // namespace porthole
