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

/// What the table has for external endpoints that are ports of all of the WANs' addresses, and for
/// those that are bound to one of them: there it is part of every key.
struct Outside {
    bool fixed;
    MappingSets sets;
    const char* contacts;
    // chains
    const char* inbound;
    const char* learning;
    // ids of { tcp, udp }
    ProtocolSet owners_protocols;
    ProtocolSet learnt_protocols;
    ProtocolSet neighbour_protocols;
    ProtocolSet open_protocols;
    ProtocolSet contacted_protocols;
    ProtocolSet hairpin_protocols;
};

inline constexpr Outside any_address{false,
                                     any_address_sets,
                                     sets::contacts,
                                     chains::inbound,
                                     chains::learning,
                                     guarded_protocols,
                                     learnt_protocols,
                                     neighbour_protocols,
                                     open_protocols,
                                     contacted_protocols,
                                     hairpin_protocols};
inline constexpr Outside fixed_address{true,
                                       fixed_address_sets,
                                       sets::fixed_contacts,
                                       chains::fixed_inbound,
                                       chains::fixed_learning,
                                       fixed_owners_protocols,
                                       fixed_learnt_protocols,
                                       fixed_neighbour_protocols,
                                       fixed_open_protocols,
                                       fixed_contacted_protocols,
                                       fixed_hairpin_protocols};

/// Those that a table of this shape has.
inline std::span<const Outside> kinds_of(const Shape& shape) {
    static constexpr std::array kinds{any_address, fixed_address};
    return std::span(kinds).first(shape.fixed ? 2 : 1);
}

/// The sets of ports outside that nobody but their owners shows, each with the id of { tcp, udp }
/// for it: hosts' on any address, the gateway's own, and hosts' on one address. Of the last ones
/// others could keep the port, but for the address that masquerading happens to choose.
inline std::vector<std::pair<const char*, ProtocolSet>> ports_of_others(
    const Shape& shape, const std::array<ProtocolSet, 3>& ids) {
    std::vector<std::pair<const char*, ProtocolSet>> result{{sets::host_ports, ids[0]},
                                                            {sets::own_ports, ids[1]}};
    if (shape.fixed) result.emplace_back(sets::bound_ports, ids[2]);
    return result;
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
    rule.meta(NFT_META_L4PROTO, Register::first).ipv4_address(remote, Register::second);
    if (outside.fixed) rule.ipv4_address(owner, Register::third);
    return rule.port(owner, outside.fixed ? Register::fourth : Register::third);
}
inline std::string contact_text_of(const Outside& outside, End owner) {
    const std::string letter = owner == End::source ? "s" : "d";
    return "meta l4proto . ip " + std::string(owner == End::source ? "d" : "s") + "addr . " +
           (outside.fixed ? "ip " + letter + "addr . " : std::string()) + "th " + letter + "port";
}

}  // namespace porthole::nft
