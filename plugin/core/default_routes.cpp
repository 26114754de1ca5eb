// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/default_routes.hpp"

#include <algorithm>

namespace porthole {
namespace {

constexpr std::uint32_t main_table = 254;

// The kernel has tables of its own: none, default, main and local.
void require_table(const TunnelSettings& settings) {
    const auto number = settings.fwmark;
    if (number != 0 && (number < 253 || number > 255)) return;
    throw InvalidArgument("fwmark", std::to_string(number),
                          "with a default route, a number but for 0 and 253 to 255: its table has "
                          "the same");
}

[[noreturn]] void refuse_loop(const Network& network, const PeerSettings& peer) {
    const bool ipv4 = network.address().family() == Family::ipv4;
    throw InvalidArgument("invalid allowed IP \"" + to_text(network) + "\" of peer " +
                          to_text(peer.public_key) +
                          ": it would take the way to the peer itself; expected \"" +
                          (ipv4 ? "0.0.0.0/0" : "::/0") + "\" and the table \"auto\"");
}

bool is_default(const Network& network) { return network.prefix_length() == 0; }

Network of_one_host(const Address& address) {
    return *Network::from(address, 8 * static_cast<unsigned>(address.bytes().size()));
}

}  // namespace

void DefaultRoutes::add(const InterfaceName& tunnel, const TunnelSettings& settings,
                        const PeerSettings& peer) {
    const auto& table = settings.table;
    const bool automatic = table.choice == RouteTable::Choice::automatic;
    const bool is_main = table.choice == RouteTable::Choice::number && table.number == main_table;
    if (!automatic && !is_main) return;  // whoever chose another one makes the rules for it
    auto ways = ways_;
    for (const auto& network : peer.allowed_ips) {
        if (network.prefix_length() > 1) continue;
        if (is_main || !is_default(network)) refuse_loop(network, peer);
        require_table(settings);
        const auto family = network.address().family();
        Way way{tunnel, settings.fwmark, {}};
        for (const auto& [address, prefix_length] : settings.addresses) {
            const bool usable = address.family() == family && !address.is_link_local();
            if (usable) way.sources.push_back(address);
        }
        const auto [owner, is_free] = ways.emplace(family, std::move(way));
        if (is_free) continue;
        throw Refused(Refusal::allowed_ip_taken,
                      "allowed IP " + to_text(network) + " of peer " + to_text(peer.public_key) +
                          ": the default route belongs to tunnel " + to_text(owner->second.tunnel));
    }
    ways_ = std::move(ways);
}

void DefaultRoutes::add(const Tunnel& tunnel) {
    auto routes = *this;
    for (const auto& peer : tunnel.settings.peers) routes.add(tunnel.name, tunnel.settings, peer);
    *this = std::move(routes);
}

void DefaultRoutes::remove(const InterfaceName& tunnel, const PeerSettings& peer) {
    for (const auto& network : peer.allowed_ips) {
        const auto way = ways_.find(network.address().family());
        if (!is_default(network) || way == ways_.end()) continue;
        if (way->second.tunnel == tunnel) ways_.erase(way);
    }
}

void DefaultRoutes::remove(const InterfaceName& tunnel) {
    std::erase_if(ways_, [&tunnel](const auto& each) { return each.second.tunnel == tunnel; });
}

std::vector<RoutingRule> DefaultRoutes::rules() const {
    std::vector<RoutingRule> rules;
    for (const auto& [family, way] : ways_) {
        if (way.sources.empty()) continue;
        RoutingRule into{.family = family, .unmarked = true, .table = way.table};
        rules.push_back({.family = family, .table = main_table, .but_default = true});
        for (const auto& source : way.sources) {
            into.source = of_one_host(source);
            rules.push_back(into);
        }
        // Whoever has not chosen a source yet gets the tunnel's address by this.
        if (family == Family::ipv4) {
            into.source = of_one_host(Address::v4(0));
        } else {
            // No IPv6 source stands for that, but whoever has none is not in any network either.
            for (const auto* half : {"::/1", "8000::/1"}) {
                rules.push_back({.family = family,
                                 .source = TextForm<Network>::parse(half),
                                 .table = main_table});
            }
            into.source.reset();
        }
        rules.push_back(into);
    }
    return rules;
}

std::vector<std::string> DefaultRoutes::warnings() const {
    std::vector<std::string> lines;
    for (const auto& [family, way] : ways_) {
        if (!way.sources.empty()) continue;
        const bool ipv4 = family == Family::ipv4;
        lines.push_back("tunnel " + to_text(way.tunnel) + " is no way to " +
                        (ipv4 ? "0.0.0.0/0" : "::/0") + ": it has no " + (ipv4 ? "IPv4" : "IPv6") +
                        " address of its own");
    }
    return lines;
}

std::uint32_t free_mark(const std::map<InterfaceName, Tunnel>& tunnels) {
    // Others, as far as is known, use the lower three bytes, or mask them.
    std::uint32_t mark = 0x57000001;
    const auto is_taken = [&mark](const auto& each) {
        const auto& settings = each.second.settings;
        return settings.fwmark == mark || settings.table.number == mark;
    };
    while (std::ranges::any_of(tunnels, is_taken)) ++mark;
    return mark;
}

}  // namespace porthole
