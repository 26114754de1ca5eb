// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/hosts.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace porthole {
namespace {

// Nothing where the host has too many of them.
Host::At* at(Host& host, const Address& address) {
    const auto place = std::ranges::lower_bound(host.addresses, address, {}, &Host::At::address);
    if (place != host.addresses.end() && place->address == address) return &*place;
    if (host.addresses.size() >= Host::most_addresses) return nullptr;
    return &*host.addresses.insert(place, {.address = address});
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
    const auto only_leased = [](const Host::At& place) { return place.link_index == 0; };
    if (!std::ranges::all_of(result, only_leased)) std::erase_if(result, only_leased);
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

// Nothing where there is no room for one more. What is remembered of it comes back.
Host* Hosts::host_of(const MacAddress& mac, const Remembered& before) {
    const auto found = hosts_.find(mac);
    if (found != hosts_.end()) return &found->second;
    if (hosts_.size() >= capacity) return nullptr;
    const auto known = before.find(mac);
    auto& host = hosts_[mac];
    if (known != before.end()) host = known->second;
    host.addresses.clear();
    return &host;
}

// Where two links have the same address, it is the host's that answers there; of two that do, or do
// not, that of the one who had it before.
void Hosts::take_neighbours(std::span<const Neighbour> neighbours, const Remembered& before,
                            Time now) {
    const auto had = std::exchange(holders_, {});
    const auto rank = [&had](const Neighbour& neighbour) {
        const auto holder = had.find(neighbour.address);
        return std::pair(neighbour.confirmed,
                         holder != had.end() && holder->second == neighbour.mac);
    };
    std::map<Address, const Neighbour*> best;
    for (const auto& neighbour : neighbours) {
        if (neighbour.address.is_link_local()) continue;
        auto& place = best[neighbour.address];
        if (place == nullptr || rank(*place) < rank(neighbour)) place = &neighbour;
    }
    for (const auto& [address, neighbour] : best) {
        auto* host = host_of(neighbour->mac, before);
        auto* place = host != nullptr ? at(*host, address) : nullptr;
        if (place == nullptr) continue;
        holders_.emplace(address, neighbour->mac);
        place->link_index = neighbour->link_index;
        place->confirmed = neighbour->confirmed;
        const auto seen = now - neighbour->confirmed_ago;
        if (seen < host->last_seen) continue;
        host->last_seen = seen;
        host->link_index = neighbour->link_index;
    }
}

// What the kernel has heard from a host goes before what a server remembers.
void Hosts::take_leases(std::span<const Lease> leases, const Remembered& before) {
    for (const auto& lease : leases) {
        if (lease.address.is_link_local()) continue;
        const auto holder = holders_.find(lease.address);
        const auto mac = holder != holders_.end() ? std::optional(holder->second) : lease.mac;
        if (!mac || lease.mac.value_or(*mac) != *mac) continue;
        auto* host = host_of(*mac, before);
        auto* place = host != nullptr ? at(*host, lease.address) : nullptr;
        if (place == nullptr) continue;
        holders_.emplace(lease.address, *mac);
        place->leased = true;
        if (!lease.name.empty()) host->name = lease.name;
    }
}

bool Hosts::update(std::span<const Neighbour> neighbours, std::span<const Lease> leases, Time now) {
    auto before = std::exchange(hosts_, {});
    take_neighbours(neighbours, before, now);
    take_leases(leases, before);
    bool changed = false;
    for (const auto& [mac, host] : hosts_) {
        const auto known = before.find(mac);
        changed |= known == before.end() || !same_but_for_times(host, known->second);
        if (known != before.end()) before.erase(known);
    }
    std::vector<std::pair<MacAddress, Host>> gone(before.begin(), before.end());
    std::ranges::sort(gone, std::ranges::greater(),
                      [](const auto& entry) { return entry.second.last_seen; });
    for (auto& [mac, host] : gone) {
        changed |= !host.addresses.empty();
        host.addresses.clear();
        if (hosts_.size() < capacity) hosts_.emplace(mac, std::move(host));
    }
    return changed;
}

Whereabouts Hosts::locate(const std::map<MacAddress, Address>& current,
                          const std::function<bool(const Address&)>& usable,
                          const std::map<MacAddress, std::vector<Address>>& current_ipv6) const {
    Whereabouts result{.of = {}, .holders = holders_};
    for (const auto& [mac, host] : hosts_) {
        const auto now = current.find(mac);
        const auto chosen =
            choose(choices(host, usable), now != current.end() ? &now->second : nullptr);
        if (chosen) result.of.emplace(mac, *chosen);
        const auto before = current_ipv6.find(mac);
        static const std::vector<Address> nowhere;
        auto all =
            ipv6_places(mac, before != current_ipv6.end() ? before->second : nowhere, usable);
        const bool known = !all.empty() || before != current_ipv6.end();
        if (known) result.ipv6_of.emplace(mac, std::move(all));
    }
    return result;
}

std::vector<Address> Hosts::ipv6_places(const MacAddress& mac, const std::vector<Address>& before,
                                        const std::function<bool(const Address&)>& usable) const {
    std::vector<Address> places;
    for (const auto& place : hosts_.at(mac).addresses) {
        const auto& address = place.address;
        if (address.family() == Family::ipv6 && usable(address)) places.push_back(address);
    }
    for (const auto& address : before) {
        const auto holder = holders_.find(address);
        const bool own = holder == holders_.end() || holder->second == mac;
        const bool known = std::ranges::count(places, address) > 0;
        if (places.size() < Host::most_addresses && own && !known && usable(address)) {
            places.push_back(address);
        }
    }
    std::ranges::sort(places);
    return places;
}

std::vector<LinkNeighbour> Hosts::take_unasked(const std::map<MacAddress, Address>& current,
                                               Time now) {
    constexpr std::chrono::seconds patience{10};
    std::map<LinkNeighbour, Time> asked;
    std::vector<LinkNeighbour> unasked;
    for (const auto& entry : current) {
        const auto& address = entry.second;
        const auto host = hosts_.find(entry.first);
        if (host == hosts_.end()) continue;
        const auto* place = find_at(host->second, address);
        if (place == nullptr || place->link_index == 0 || place->confirmed) continue;
        const bool elsewhere = std::ranges::any_of(host->second.addresses, [&](const Host::At& a) {
            return a.link_index != 0 && a.address.family() == Family::ipv4 && a.address != address;
        });
        if (!elsewhere) continue;
        const LinkNeighbour question{place->link_index, address};
        const auto before = asked_.find(question);
        const bool again =
            before == asked_.end() || now - before->second >= patience || now < before->second;
        asked.emplace(question, again ? now : before->second);
        if (again) unasked.push_back(question);
    }
    asked_ = std::move(asked);
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
