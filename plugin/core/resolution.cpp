// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/resolution.hpp"

#include <algorithm>
#include <array>

namespace porthole {
namespace {

[[noreturn]] void refuse_unknown(std::uint64_t id) {
    throw Refused(Refusal::no_such_conflict, "there is no open conflict " + std::to_string(id));
}

Conflict find(const Gateway& gateway, std::uint64_t id) {
    const auto open = gateway.conflicts().open();
    const auto found = std::ranges::find(open, id, &Conflict::id);
    if (found == open.end()) refuse_unknown(id);
    return *found;
}

void require_possible(const Conflict& conflict, std::string_view action) {
    const auto possible = actions(conflict);
    if (std::ranges::find(possible, action) != possible.end()) return;
    std::string allowed;
    for (const auto& each : possible) allowed += (allowed.empty() ? "\"" : " or \"") + each + '"';
    throw InvalidArgument("action", action, allowed);
}

// What the look has found may be over: the port has gone to somebody else since.
Reservation owner(const Gateway& gateway, const Conflict& conflict, std::string_view action) {
    const auto& finding = conflict.finding;
    const auto* row = gateway.reservations().anybody(finding.port);
    if (row != nullptr && to_text(row->internal.host) == finding.owner) return *row;
    if (row != nullptr || !gateway.reservations().is_own(finding.port.protocol, finding.port.port))
        refuse_unknown(conflict.id);
    throw Refused(Refusal::unsupported, "action \"" + std::string(action) + "\": port " +
                                            to_text(finding.port) +
                                            " is the gateway's own; there is no reservation of it");
}

// For an administrator.
std::string way(const Conflict& conflict, std::string_view action) {
    const auto& [cause, port, owner, other] = conflict.finding;
    if (action == "change-host-port") {
        return "give " + other + " a port of its own on the host (wg set INTERFACE listen-port)";
    }
    if (action == "change-gateway-port") {
        return "give the gateway's program another port (ss -lnp sport = :" + to_text(port.port) +
               " shows it)";
    }
    if (action == "change-foreign-rule") {
        return "change the rule that translates first (nft -a list ruleset shows it)";
    }
    if (action == "exempt") return "add the destination to nat.exempt in the configuration file";
    if (action == "open-foreign-firewall") return conflict.evidence.command;
    if (action == "keep-alive") return "have " + other + " send something every two minutes";
    return "take the flows out of the flowtable (nft list flowtables shows it)";
}

}  // namespace

void resolve(Gateway& gateway, std::uint64_t id, std::string_view action,
             IfGeneration if_generation, std::uint32_t user) {
    gateway.require_generation(if_generation);
    const auto conflict = find(gateway, id);
    require_possible(conflict, action);
    if (action == "wait") return;
    if (action == "reserve") {
        const auto row = owner(gateway, conflict, action);
        gateway.change(row.id, {.external_port = row.external_port, .user = user}, if_generation);
    } else if (action == "release-owner") {
        gateway.release(std::array{owner(gateway, conflict, action).id}, if_generation);
    } else {
        throw Refused(Refusal::unsupported,
                      "action \"" + std::string(action) +
                          "\" is an administrator's: " + way(conflict, action));
    }
    gateway.look();
}

}  // namespace porthole
