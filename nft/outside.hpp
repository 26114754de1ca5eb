// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "chains.hpp"
#include "elements.hpp"
#include "rule.hpp"
#include "skeleton.hpp"

namespace porthole::nft {

/// What the table has for external endpoints that are ports of all of the WANs' IPv4 addresses, for
/// those that are bound to one of them, which is part of every key then, and for ports of all of
/// their IPv6 addresses.
struct Outside {
    Family family;
    bool fixed;
    MappingSets sets;
    const char* contacts;
    const char* learners;
    const char* wan_addresses;
    const char* nat_sources;
    const char* collided;
    const char* undelivered;
    // chains
    const char* inbound;
    const char* learning;
    const char* hairpin;
    // ids of { tcp, udp }
    ProtocolSet owners_protocols;
    ProtocolSet learnt_protocols;
    ProtocolSet neighbour_protocols;
    ProtocolSet open_protocols;
    ProtocolSet contacted_protocols;
    ProtocolSet hairpin_protocols;
};

inline constexpr Outside any_address{Family::ipv4,        false,
                                     any_address_sets,    sets::contacts,
                                     sets::learners,      sets::wan_addresses,
                                     sets::nat_sources,   sets::collided,
                                     sets::undelivered,   chains::inbound,
                                     chains::learning,    chains::hairpin,
                                     guarded_protocols,   learnt_protocols,
                                     neighbour_protocols, open_protocols,
                                     contacted_protocols, hairpin_protocols};
inline constexpr Outside fixed_address{Family::ipv4,
                                       true,
                                       fixed_address_sets,
                                       sets::fixed_contacts,
                                       sets::learners,
                                       sets::wan_addresses,
                                       sets::nat_sources,
                                       sets::collided,
                                       sets::undelivered,
                                       chains::fixed_inbound,
                                       chains::fixed_learning,
                                       chains::hairpin,
                                       fixed_owners_protocols,
                                       fixed_learnt_protocols,
                                       fixed_neighbour_protocols,
                                       fixed_open_protocols,
                                       fixed_contacted_protocols,
                                       fixed_hairpin_protocols};

inline constexpr Outside any_ipv6_address{Family::ipv6,
                                          false,
                                          nat66_sets,
                                          sets::nat66_contacts,
                                          sets::nat66_learners,
                                          sets::ipv6_wan_addresses,
                                          sets::ipv6_nat_sources,
                                          sets::ipv6_collided,
                                          sets::nat66_undelivered,
                                          chains::nat66_inbound,
                                          chains::nat66_learning,
                                          chains::nat66_hairpin,
                                          nat66_owners_protocols,
                                          nat66_learnt_protocols,
                                          nat66_neighbour_protocols,
                                          nat66_open_protocols,
                                          nat66_contacted_protocols,
                                          nat66_hairpin_protocols};

/// Those that a table of this shape has.
inline std::vector<Outside> kinds_of(const Shape& shape) {
    std::vector<Outside> kinds{any_address};
    if (shape.fixed) kinds.push_back(fixed_address);
    if (shape.nat66) kinds.push_back(any_ipv6_address);
    return kinds;
}
/// Of those, the ones on any address.
inline std::vector<Outside> families_of(const Shape& shape) {
    auto kinds = kinds_of(shape);
    std::erase_if(kinds, [](const Outside& outside) { return outside.fixed; });
    return kinds;
}

/// The ids of { tcp, udp } for ports_of_others().
struct PortsOfOthers {
    ProtocolSet hosts;
    ProtocolSet own;
    ProtocolSet bound;
    ProtocolSet nat66_hosts;
    ProtocolSet nat66_own;
};

/// The sets of ports outside that nobody but their owners shows, each with the id of { tcp, udp }
/// for it: hosts' on any address, the gateway's own, and hosts' on one address. Of the last ones
/// others could keep the port, but for the address that masquerading happens to choose.
inline std::vector<std::pair<const char*, ProtocolSet>> ports_of_others(const Shape& shape,
                                                                        Family family,
                                                                        const PortsOfOthers& ids) {
    if (family == Family::ipv6) {
        return {{sets::nat66_ports, ids.nat66_hosts}, {sets::own_ports, ids.nat66_own}};
    }
    std::vector<std::pair<const char*, ProtocolSet>> result{{sets::host_ports, ids.hosts},
                                                            {sets::own_ports, ids.own}};
    if (shape.fixed) result.emplace_back(sets::bound_ports, ids.bound);
    return result;
}

/// "ip" or "ip6", as nft begins the fields of its header.
inline std::string header_of(Family family) { return family == Family::ipv4 ? "ip" : "ip6"; }
inline std::string header_of(const Outside& outside) { return header_of(outside.family); }

/// meta l4proto . ip saddr . th sport, from the first register on: an inner end, as it is in keys.
inline Rule& load_inside(Rule& rule, Family family) {
    return rule.meta(NFT_META_L4PROTO, Register::first)
        .address(family, End::source, Register::second)
        .port(End::source, behind_address(family, Register::second));
}
inline std::string inside_text(Family family) {
    return "meta l4proto . " + header_of(family) + " saddr . th sport";
}
/// Where the value for such a key goes: behind it, and behind what an interface name reaches.
constexpr Register value_register(Family family) {
    return family == Family::ipv4 ? Register::fifth : Register::seventh;
}

/// meta l4proto . [ip ADDRESS . ]th PORT, of one end, from the first register on.
inline Rule& load(Rule& rule, const Outside& outside, End end) {
    rule.meta(NFT_META_L4PROTO, Register::first);
    if (outside.fixed) rule.ipv4_address(end, Register::second);
    return rule.port(end, outside.fixed ? Register::third : Register::second);
}
inline std::string text_of(const Outside& outside, End end) {
    const std::string letter = end == End::source ? "s" : "d";
    return "meta l4proto . " + (outside.fixed ? "ip " + letter + "addr . " : std::string()) +
           "th " + letter + "port";
}

/// Whom the owner, at one end, has sent to: meta l4proto . ip REMOTE . [ip ADDRESS . ]th PORT
inline Rule& load_contact(Rule& rule, const Outside& outside, End owner) {
    const auto remote = owner == End::source ? End::destination : End::source;
    rule.meta(NFT_META_L4PROTO, Register::first).address(outside.family, remote, Register::second);
    const auto next = behind_address(outside.family, Register::second);
    if (outside.fixed) rule.ipv4_address(owner, next);
    return rule.port(owner, outside.fixed ? behind(next) : next);
}
inline std::string contact_text_of(const Outside& outside, End owner) {
    const std::string letter = owner == End::source ? "s" : "d";
    return "meta l4proto . " + header_of(outside) + (owner == End::source ? " d" : " s") +
           "addr . " + (outside.fixed ? "ip " + letter + "addr . " : std::string()) + "th " +
           letter + "port";
}

}  // namespace porthole::nft
