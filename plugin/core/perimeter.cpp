// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/perimeter.hpp"

#include <algorithm>
#include <array>

#include "types/sorted.hpp"

namespace porthole {
namespace {

template <typename Range>
bool contains(const Range& range, std::string_view wanted) {
    return std::ranges::find(range, wanted) != std::ranges::end(range);
}

bool is_tunnel(const Link& link) {
    static constexpr std::array<std::string_view, 16> kinds{
        "wireguard", "tun", "ipip", "sit",  "gre", "gretap", "erspan", "ip6tnl",
        "ip6gre",    "vti", "vti6", "xfrm", "vrf", "geneve", "vxlan",  "ip6gretap"};
    return contains(kinds, link.kind);
}

bool is_ethernet_like(const Link& link) {
    // Hardware, Wi-Fi included, has no kind.
    static constexpr std::array<std::string_view, 8> kinds{"",     "vlan", "bridge",  "bond",
                                                           "team", "veth", "macvlan", "dsa"};
    return link.layer == LinkLayer::ethernet && contains(kinds, link.kind);
}

// The bridges of container engines and virtual machine managers, by the names they give them.
bool is_guest_bridge(const Link& link) {
    static constexpr std::array<std::string_view, 6> prefixes{"podman", "cni",   "virbr",
                                                              "lxcbr",  "lxdbr", "br-"};
    const auto& name = link.name.text();
    if (link.kind != "bridge") return false;
    if (name == "docker0") return true;
    return std::ranges::any_of(prefixes, [&](auto prefix) {
        if (!name.starts_with(prefix)) return false;
        // Docker's are br- and twelve hexadecimal digits; br-lan is somebody's LAN.
        return prefix != "br-" ||
               (name.size() == 15 &&
                name.find_first_not_of("0123456789abcdef", prefix.size()) == std::string::npos);
    });
}

bool has_default_route(const InterfaceSnapshot& snapshot, const Link& link) {
    return std::ranges::any_of(snapshot.default_routes,
                               [&](const auto& route) { return route.link_index == link.index; });
}

// A ppp device beside another way out carries a VPN (L2TP, PPTP) through it; alone it is PPPoE.
bool is_ppp_over_another_wan(const InterfaceSnapshot& snapshot, const Link& link) {
    if (link.kind != "ppp" && !link.name.text().starts_with("ppp")) return false;
    return std::ranges::any_of(snapshot.links, [&](const Link& other) {
        return other.layer == LinkLayer::ethernet && has_default_route(snapshot, other) &&
               !is_tunnel(other);
    });
}

constexpr std::array<std::pair<Reach, std::string_view>, 4> reach_names{{
    {Reach::none, "none"},
    {Reach::carrier_grade, "carrier-grade"},
    {Reach::of_private, "private"},
    {Reach::of_public, "public"},
}};

struct Choice {
    Side side;
    std::string reason;
};

class Chooser {
  public:
    Chooser(const Configuration& configuration, const InterfaceSnapshot& snapshot)
        : configuration_(configuration), snapshot_(snapshot) {}

    [[nodiscard]] Choice choose(const Link& link) const {
        auto wan = choose_wan(link);
        auto lan = choose_lan(link);
        // What the configuration names goes before what was found.
        const bool named_lan = configuration_.lan_interfaces && lan.side == Side::lan;
        const bool named_wan = configuration_.wan_interfaces && wan.side == Side::wan;
        if (wan.side == Side::wan && (named_wan || !named_lan)) return wan;
        if (lan.side == Side::lan) return lan;
        return has_default_route(snapshot_, link) ? wan : lan;
    }

  private:
    [[nodiscard]] Choice choose_wan(const Link& link) const {
        if (configuration_.wan_interfaces) {
            const bool named = std::ranges::count(*configuration_.wan_interfaces, link.name) > 0;
            return named ? Choice{Side::wan, "named in wan.interfaces"}
                         : Choice{Side::neither, "not named in wan.interfaces"};
        }
        if (!has_default_route(snapshot_, link)) return {Side::neither, "no default route"};
        if (is_tunnel(link)) {
            return {Side::neither, "has a default route, but is a tunnel (" + link.kind + ")"};
        }
        if (is_ppp_over_another_wan(snapshot_, link)) {
            return {Side::neither,
                    "has a default route, but looks like a tunnel over another WAN; "
                    "if it is not, name it in wan.interfaces"};
        }
        return {Side::wan, "device of a default route"};
    }

    [[nodiscard]] Choice choose_lan(const Link& link) const {
        if (configuration_.lan_interfaces) {
            const bool named = std::ranges::count(*configuration_.lan_interfaces, link.name) > 0;
            return named ? Choice{Side::lan, "named in lan.interfaces"}
                         : Choice{Side::neither, "not named in lan.interfaces"};
        }
        if (!is_ethernet_like(link)) return {Side::neither, "not an Ethernet-like device"};
        if (is_guest_bridge(link)) {
            return {Side::neither, "a bridge of containers or virtual machines"};
        }
        const bool has_private = std::ranges::any_of(snapshot_.addresses, [&](const auto& address) {
            const auto network = Network::around(address.address, address.prefix_length);
            return address.link_index == link.index && network && network->is_private();
        });
        if (!has_private) return {Side::neither, "no private address"};
        return {Side::lan, "has a private address"};
    }

    const Configuration& configuration_;
    const InterfaceSnapshot& snapshot_;
};

// The kernel's interval sets do not take overlapping networks; prefixes overlap only by nesting.
std::vector<Network> without_nested(std::vector<Network> networks) {
    sort_unique(networks);
    std::vector<Network> result;
    for (const auto& network : networks) {
        const bool nested = std::ranges::any_of(networks, [&](const Network& other) {
            return other != network && other.contains(network);
        });
        if (!nested) result.push_back(network);
    }
    return result;
}

std::vector<Network> only(Family family, const std::vector<Network>& networks) {
    std::vector<Network> result;
    std::ranges::copy_if(networks, std::back_inserter(result), [family](const Network& network) {
        return network.address().family() == family;
    });
    return result;
}

const Link* find_link(const InterfaceSnapshot& snapshot, const InterfaceName& name) {
    const auto found = std::ranges::find(snapshot.links, name, &Link::name);
    return found == snapshot.links.end() ? nullptr : &*found;
}

// The networks that the gateway has an address in on its LANs.
std::vector<Network> lan_networks(const InterfaceSnapshot& snapshot,
                                  const std::vector<InterfaceName>& lans) {
    std::vector<Network> networks;
    for (const auto& name : lans) {
        const auto* link = find_link(snapshot, name);
        if (link == nullptr) continue;
        for (const auto& address : snapshot.addresses) {
            if (address.link_index != link->index) continue;
            const auto network = Network::around(address.address, address.prefix_length);
            if (network) networks.push_back(*network);
        }
    }
    return networks;
}

std::vector<Network> only_private(std::vector<Network> networks) {
    std::erase_if(networks, [](const Network& network) { return !network.is_private(); });
    return networks;
}

std::vector<Network> routable_ipv6(std::vector<Network> networks) {
    std::erase_if(networks, [](const Network& network) {
        const auto& address = network.address();
        return address.family() == Family::ipv4 || address.is_link_local();
    });
    return networks;
}

template <typename T>
std::string joined(const std::vector<T>& values) {
    std::string text;
    for (const auto& value : values) text += (text.empty() ? "" : ", ") + to_text(value);
    return text;
}

// Whom NAT66 is for, whether there is such a LAN now or not.
std::vector<Network> nat66_networks(const Configuration& configuration) {
    auto named = only(Family::ipv6, configuration.nat_sources.value_or(std::vector<Network>{}));
    if (named.empty()) named.push_back(parse<Network>("", "fc00::/7"));
    return without_nested(std::move(named));
}

// Where no WAN has an address of its own, as with a prefix that was delegated and nothing else, the
// kernel takes one of another interface's (RFC 6724).
std::vector<Address> shown_by_nat66(const Perimeter& perimeter) {
    const auto of = [&perimeter](const auto& wanted) {
        std::vector<Address> found;
        for (const auto& interface : perimeter.interfaces) {
            std::ranges::copy_if(interface.addresses, std::back_inserter(found),
                                 [&](const Address& address) {
                                     return address.family() == Family::ipv6 &&
                                            !address.is_link_local() && wanted(interface, address);
                                 });
        }
        sort_unique(found);
        return found;
    };
    auto shown = of(
        [](const auto& interface, const auto& /*address*/) { return interface.side == Side::wan; });
    if (!shown.empty()) return shown;
    return of([](const auto& /*interface*/, const Address& address) {
        return !Network::around(address, 128)->is_private();
    });
}

std::optional<Network> network_of(const std::vector<Network>& networks, const Address& address) {
    const auto found = std::ranges::find_if(
        networks, [&](const Network& network) { return network.contains(address); });
    return found != networks.end() ? std::optional(*found) : std::nullopt;
}

// Where hosts with addresses of this family can have reservations.
std::vector<Network> host_networks(const Perimeter& perimeter, Family family) {
    const auto& scope = perimeter.scope;
    if (family == Family::ipv4) return scope.nat_sources;
    auto networks = scope.ipv6_networks;
    networks.insert(networks.end(), scope.ipv6_nat_sources.begin(), scope.ipv6_nat_sources.end());
    return networks;
}

// The network's own address, which IPv6 gives to all its routers (RFC 4291 section 2.6.1), and its
// broadcast address.
bool is_nobodys(const Network& network, const Address& address) {
    const bool ipv4 = address.family() == Family::ipv4;
    const bool subnet = network.prefix_length() < (ipv4 ? 31U : 127U);
    const bool broadcast = ipv4 && address == network.last();
    return subnet && (address == network.address() || broadcast);
}

}  // namespace

std::optional<Side> TextForm<Side>::parse(std::string_view text) {
    if (text == "wan") return Side::wan;
    if (text == "lan") return Side::lan;
    if (text == "neither") return Side::neither;
    return std::nullopt;
}

std::string TextForm<Side>::format(const Side& side) {
    switch (side) {
        case Side::wan:
            return "wan";
        case Side::lan:
            return "lan";
        case Side::neither:
            break;
    }
    return "neither";
}

std::optional<Reach> TextForm<Reach>::parse(std::string_view text) {
    for (const auto& [reach, name] : reach_names) {
        if (name == text) return reach;
    }
    return std::nullopt;
}

std::string TextForm<Reach>::format(const Reach& reach) {
    return std::string(reach_names.at(static_cast<std::size_t>(reach)).second);
}

Reach reach_of(const PerimeterInterface& interface) {
    auto best = Reach::none;
    for (const auto& address : interface.addresses) {
        if (address.family() != Family::ipv4) continue;
        const auto network = Network::around(address, 32);
        const auto reach = address.is_carrier_grade()         ? Reach::carrier_grade
                           : network && network->is_private() ? Reach::of_private
                                                              : Reach::of_public;
        best = std::max(best, reach);
    }
    return best;
}

Perimeter choose_perimeter(const Configuration& configuration, const InterfaceSnapshot& snapshot) {
    Perimeter perimeter;
    auto wans = configuration.wan_interfaces.value_or(std::vector<InterfaceName>{});
    auto lans = configuration.lan_interfaces.value_or(std::vector<InterfaceName>{});
    const Chooser chooser(configuration, snapshot);
    for (const auto& link : snapshot.links) {
        if (link.layer == LinkLayer::loopback) continue;
        auto [side, reason] = chooser.choose(link);
        PerimeterInterface interface {
            link.name, side, std::move(reason), {}
        };
        for (const auto& address : snapshot.addresses) {
            if (address.link_index == link.index) interface.addresses.push_back(address.address);
        }
        if (side == Side::wan) wans.push_back(link.name);
        if (side == Side::lan) lans.push_back(link.name);
        perimeter.interfaces.push_back(std::move(interface));
    }
    std::ranges::sort(perimeter.interfaces, {}, &PerimeterInterface::name);
    sort_unique(wans);
    sort_unique(lans);

    auto& scope = perimeter.scope;
    const auto inside = lan_networks(snapshot, lans);
    const auto sources_in = [&](Family family) {
        auto named = only(family, configuration.nat_sources.value_or(std::vector<Network>{}));
        return without_nested(named.empty() ? only(family, only_private(inside)) : named);
    };
    scope.nat_sources = sources_in(Family::ipv4);
    scope.nat66 = configuration.nat66;
    if (configuration.nat66) {
        scope.ipv6_nat_sources = sources_in(Family::ipv6);
        perimeter.nat66_networks = nat66_networks(configuration);
    }
    scope.ipv6_networks = without_nested(routable_ipv6(inside));
    scope.exempt = without_nested(only(Family::ipv4, configuration.nat_exempt));
    for (const auto& interface : perimeter.interfaces) {
        if (interface.side != Side::wan) continue;
        for (const auto& address : interface.addresses) {
            if (address.family() == Family::ipv4) scope.wan_addresses.push_back(address);
        }
    }
    sort_unique(scope.wan_addresses);
    if (configuration.nat66) scope.ipv6_wan_addresses = shown_by_nat66(perimeter);
    scope.pool = configuration.pool;
    scope.udp_timeout = configuration.udp_timeout;
    if (configuration.claims.enabled) scope.watched = configuration.claims.ports;
    if (configuration.masquerade) scope.masquerade_wans = wans;
    scope.wans = std::move(wans);
    return perimeter;
}

bool is_nat_source(const Scope& scope, const HostKey& host) {
    const auto* address = std::get_if<Address>(&host);
    if (address == nullptr) return false;
    const bool ipv4 = address->family() == Family::ipv4;
    return network_of(ipv4 ? scope.nat_sources : scope.ipv6_nat_sources, *address).has_value();
}

std::set<int> lan_links(const Perimeter& perimeter, const InterfaceSnapshot& snapshot) {
    std::set<int> indexes;
    for (const auto& interface : perimeter.interfaces) {
        if (interface.side != Side::lan) continue;
        if (const auto* link = find_link(snapshot, interface.name)) indexes.insert(link->index);
    }
    return indexes;
}

std::optional<int> lan_link_of(const Perimeter& perimeter, const InterfaceSnapshot& snapshot,
                               const Address& host) {
    std::optional<int> found;
    for (const auto& interface : perimeter.interfaces) {
        if (interface.side != Side::lan) continue;
        const auto* link = find_link(snapshot, interface.name);
        if (link == nullptr) continue;
        for (const auto& address : snapshot.addresses) {
            if (address.link_index != link->index) continue;
            const auto network = Network::around(address.address, address.prefix_length);
            if (!network || !network->contains(host)) continue;
            if (is_nobodys(*network, host) || host == address.address) return std::nullopt;
            found = link->index;
        }
    }
    return found;
}

void require_not_own(const Perimeter& perimeter, const HostKey& host) {
    const auto* address = std::get_if<Address>(&host);
    if (address == nullptr || !has_address(perimeter, *address)) return;
    throw InvalidArgument("host", to_text(host),
                          "the address of a host on a LAN; this one is the gateway's own");
}

void require_wan_address(const Perimeter& perimeter,
                         const std::optional<ExternalAddress>& address) {
    const auto fixed = address ? address->fixed() : std::nullopt;
    const auto& known = perimeter.scope.wan_addresses;
    if (!fixed || std::ranges::binary_search(known, *fixed)) return;
    throw InvalidArgument("external-address", to_text(*fixed),
                          known.empty() ? "an address of a WAN, but none has an IPv4 address: see "
                                          "portholectl status --all"
                                        : joined(known) + " or \"any\"");
}

bool has_address(const Perimeter& perimeter, const Address& address) {
    return std::ranges::any_of(perimeter.interfaces, [&](const PerimeterInterface& interface) {
        return std::ranges::count(interface.addresses, address) > 0;
    });
}

bool is_lan_host(const Perimeter& perimeter, const Address& address) {
    const auto network = network_of(host_networks(perimeter, address.family()), address);
    return network && !has_address(perimeter, address) && !is_nobodys(*network, address);
}

void require_lan_host(const Perimeter& perimeter, const HostKey& host) {
    const auto* address = std::get_if<Address>(&host);
    if (address == nullptr) return;
    require_not_own(perimeter, *address);
    const bool ipv4 = address->family() == Family::ipv4;
    const auto networks = without_nested(host_networks(perimeter, address->family()));
    const auto network = network_of(networks, *address);
    if (!network) {
        throw InvalidArgument("host", to_text(*address),
                              networks.empty()
                                  ? "a host on a LAN, but no LAN with " +
                                        std::string(ipv4 ? "a private" : "an IPv6") +
                                        " network is known: see portholectl status --all"
                                  : "a host in " + joined(networks));
    }
    if (is_nobodys(*network, *address)) {
        throw InvalidArgument("host", to_text(*address),
                              "the address of a host, not that of the network " +
                                  to_text(*network) +
                                  (ipv4 ? " itself or its broadcast address" : " itself"));
    }
}

}  // namespace porthole
