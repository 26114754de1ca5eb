// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/observations.hpp"

#include <algorithm>
#include <utility>

namespace porthole {
namespace {

constexpr auto gateway = "gateway";

std::string text(const HostKey& host, Port port) { return to_text(host) + ":" + to_text(port); }

std::string owner_of(const Reservations& reservations, const ProtocolPort& port) {
    const auto* row = reservations.anybody(port);
    return row != nullptr ? to_text(row->internal.host) : gateway;
}

void find_spared(const Reservations& reservations, const std::vector<SparedFlow>& flows,
                 Conflicts::Findings& findings) {
    for (const auto& flow : flows) {
        const auto& [host, protocol, port] = flow.from;
        const auto* row = reservations.owner({host, protocol, port});
        if (flow.why == SparedFlow::Why::offloaded && row == nullptr) continue;
        // It may be on the port of yet another host.
        const bool remapped = flow.why == SparedFlow::Why::remapped &&
                              reservations.anybody({protocol, flow.external_port}) == nullptr;
        if (remapped && row == nullptr) continue;
        const ProtocolPort outside{protocol, remapped ? row->external_port : flow.external_port};
        const bool answered = flow.why == SparedFlow::Why::answered;
        const bool offloaded = flow.why == SparedFlow::Why::offloaded;
        const auto cause = remapped    ? ConflictCause::remapped
                           : answered  ? ConflictCause::answered_inbound
                           : offloaded ? ConflictCause::flow_offload
                                       : ConflictCause::overload;
        auto& evidence =
            findings[{cause, outside, owner_of(reservations, outside), text(host, port)}];
        evidence.remote = text(flow.remote, flow.remote_port);
        evidence.used = flow.external_port;
        ++evidence.flows;
    }
}

void find_wanted_twice(const Reservations& reservations, Conflicts::Findings& findings) {
    for (const auto id : reservations.claims()) {
        const auto& row = *reservations.find(id);
        const ProtocolPort natural{row.internal.protocol, row.internal.port};
        const bool others = reservations.anybody(natural) != nullptr ||
                            reservations.is_own(natural.protocol, natural.port);
        if (row.external_port == row.internal.port || !others) continue;
        findings[{ConflictCause::port_wanted_twice, natural, owner_of(reservations, natural),
                  text(row.internal.host, row.internal.port)}]
            .used = row.external_port;
    }
}

constexpr auto unknown_chain = "FAMILY TABLE CHAIN";

// That accepts what was sent on to an owner, in the words of whoever has made the chain.
std::string opening_command(const std::string& chain) {
    for (const auto* family : {"ip", "ip6"}) {
        if (chain == std::string(family) + " filter FORWARD") {
            return std::string(family) + "tables -I FORWARD -m conntrack --ctstate DNAT -j ACCEPT";
        }
    }
    return "nft insert rule " + chain + " ct status dnat accept";
}

// The same for what is not sent on, but comes for an IPv6 host itself.
std::string opening_command(const std::string& chain, const Endpoint& host) {
    const auto address = to_text(host.host);
    const auto protocol = to_text(host.protocol);
    const auto port = to_text(host.port);
    if (chain == "ip6 filter FORWARD") {
        return "ip6tables -I FORWARD -d " + address + " -p " + protocol + " --dport " + port +
               " -j ACCEPT";
    }
    return "nft insert rule " + chain + " ip6 daddr " + address + " " + protocol + " dport " +
           port + " accept";
}

// The chains that see packets of this family.
std::vector<std::string> chains_for(Family family, const Obstruction& obstruction) {
    auto chains = obstruction.chains;
    std::erase_if(chains, [other = family == Family::ipv4 ? "ip6 " : "ip "](
                              const std::string& chain) { return chain.starts_with(other); });
    return chains;
}

void find_obstructed(const Reservations& reservations, const Obstruction& obstruction,
                     Conflicts::Findings& findings) {
    const auto add = [&](const ProtocolPort& port, const HostKey& owner, Family family,
                         const auto& command) {
        const auto find = [&](const std::string& who, const std::string& chain) {
            findings[{ConflictCause::foreign_firewall, port, to_text(owner), who}].command =
                command(chain);
        };
        const auto chains = chains_for(family, obstruction);
        if (chains.empty()) find("another firewall", unknown_chain);
        for (const auto& chain : chains) find("the chain " + chain, chain);
    };
    for (const auto& port : obstruction.ports) {
        const auto* row = reservations.anybody(port);
        if (row == nullptr) continue;
        add(port, row->internal.host, Family::ipv4,
            [](const std::string& chain) { return opening_command(chain); });
    }
    for (const auto& port : obstruction.nat66_ports) {
        const auto* row = reservations.find(port.protocol, port.port, Family::ipv6);
        if (row == nullptr) continue;
        add(port, row->internal.host, Family::ipv6,
            [](const std::string& chain) { return opening_command(chain); });
    }
    for (const auto& pinhole : obstruction.pinholes) {
        if (reservations.owner(pinhole) == nullptr) continue;
        add({pinhole.protocol, pinhole.port}, pinhole.host, Family::ipv6,
            [&](const std::string& chain) { return opening_command(chain, pinhole); });
    }
}

}  // namespace

void Observations::take(const Look& look, Time now) {
    spared_ = look.spared;
    const auto before = std::exchange(corrected_, {});
    for (const auto& [owner, used] : look.corrected) {
        const auto known = before.find(owner);
        corrected_.insert({owner, {known != before.end() ? known->second.since : now, used}});
    }
}

// Flows that are offloaded stay so, and it does no harm: looking more often changes nothing.
bool Observations::fine() const {
    const bool spared = std::ranges::any_of(
        spared_, [](const SparedFlow& flow) { return flow.why != SparedFlow::Why::offloaded; });
    return !spared && corrected_.empty() && obstruction_.ports.empty() &&
           obstruction_.pinholes.empty() && obstruction_.nat66_ports.empty();
}

std::vector<std::string> Observations::chains_before_pinholes() const {
    return chains_for(Family::ipv6, obstruction_);
}

std::set<ProtocolPort> Observations::overloaded() const {
    std::set<ProtocolPort> ports;
    for (const auto& flow : spared_) {
        if (flow.why == SparedFlow::Why::answered || flow.why == SparedFlow::Why::offloaded) {
            continue;
        }
        ports.insert({flow.from.protocol, flow.external_port});
    }
    return ports;
}

Conflicts::Findings Observations::findings(const Reservations& reservations, Time now) const {
    Conflicts::Findings findings;
    find_spared(reservations, spared_, findings);
    find_wanted_twice(reservations, findings);
    find_obstructed(reservations, obstruction_, findings);
    // Once is an accident: the rules were away, or came after the flow.
    constexpr std::chrono::seconds too_long{5};
    for (const auto& [owner, corrected] : corrected_) {
        const auto& [host, protocol, port] = owner;
        const auto* row = reservations.owner({host, protocol, port});
        if (row == nullptr || now - corrected.since < too_long) continue;
        const ProtocolPort outside{protocol, row->external_port};
        findings[{ConflictCause::foreign_nat, outside, to_text(host), text(host, port)}].used =
            corrected.used;
    }
    for (const auto& port : reservations.own_ports()) {
        if (reservations.anybody(port) == nullptr) continue;
        findings[{ConflictCause::own_listener, port, owner_of(reservations, port), gateway}];
    }
    return findings;
}

}  // namespace porthole
