// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/conflicts.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace porthole {
namespace {

constexpr std::array<std::pair<ConflictCause, std::string_view>, 8> cause_names{{
    {ConflictCause::port_wanted_twice, "port-wanted-twice"},
    {ConflictCause::overload, "overload"},
    {ConflictCause::remapped, "remapped"},
    {ConflictCause::own_listener, "own-listener"},
    {ConflictCause::foreign_nat, "foreign-nat"},
    {ConflictCause::answered_inbound, "answered-inbound"},
    {ConflictCause::foreign_firewall, "foreign-firewall"},
    {ConflictCause::flow_offload, "flow-offload"},
}};

}  // namespace

std::optional<ConflictCause> TextForm<ConflictCause>::parse(std::string_view text) {
    for (const auto& [cause, name] : cause_names) {
        if (name == text) return cause;
    }
    return std::nullopt;
}

std::string TextForm<ConflictCause>::format(const ConflictCause& cause) {
    const auto* found =
        std::ranges::find(cause_names, cause, [](const auto& c) { return c.first; });
    return std::string(found->second);
}

std::string explanation(const Conflict& conflict) {
    const auto& [cause, port, owner, other] = conflict.finding;
    const auto& evidence = conflict.evidence;
    const auto used = evidence.used ? to_text(*evidence.used) : std::string("another one");
    switch (cause) {
        case ConflictCause::port_wanted_twice:
            return other + " uses port " + to_text(port) + ", which belongs to " + owner +
                   ": outside it has port " + used + " instead";
        case ConflictCause::overload:
            return "a live flow of " + other + " to " + evidence.remote + " uses port " +
                   to_text(port) + " of " + owner + "; it is left alone until it ends";
        case ConflictCause::remapped:
            return "a live flow of " + other + " to " + evidence.remote + " uses port " + used +
                   " instead of " + to_text(port) + "; it is left alone until it ends";
        case ConflictCause::own_listener:
            return "the gateway itself receives on " + to_text(port) + ", which is reserved for " +
                   owner + ": through a WAN nobody gets there";
        case ConflictCause::foreign_nat:
            return "new flows of " + other + " keep leaving from port " + used + " instead of " +
                   to_text(port) +
                   ": another rule translates them first (nft list ruleset; a nat " +
                   "chain in postrouting with a priority below srcnat - 10)";
        case ConflictCause::foreign_firewall:
            return "those outside who may come in on port " + to_text(port) + " do not reach " +
                   owner + ": " + other + " stops them; this opens it: " + evidence.command;
        case ConflictCause::flow_offload:
            return "flows of " + other + ", one of them to " + evidence.remote +
                   ", bypass the packet filter in somebody's flowtable (nft list flowtables): they "
                   "end when they are idle for two minutes, whatever nat.udp-timeout says";
        case ConflictCause::answered_inbound:
            break;
    }
    return "the gateway has answered " + other + ", who came for port " + to_text(port) + " of " +
           owner + "; it is left alone until it ends";
}

std::vector<std::string> actions(const Conflict& conflict) {
    switch (conflict.finding.cause) {
        case ConflictCause::port_wanted_twice:
            return {"change-host-port", "release-owner"};
        case ConflictCause::overload:
        case ConflictCause::remapped:
            return {"wait", "reserve"};
        case ConflictCause::foreign_nat:
            return {"change-foreign-rule", "exempt"};
        case ConflictCause::foreign_firewall:
            return {"open-foreign-firewall"};
        case ConflictCause::flow_offload:
            return {"keep-alive", "stop-offloading"};
        case ConflictCause::own_listener:
        case ConflictCause::answered_inbound:
            break;
    }
    return {"change-gateway-port", "release-owner"};
}

void Conflicts::update(const Findings& findings, Time now) {
    std::erase_if(open_, [&](const auto& entry) {
        const auto& [finding, conflict] = entry;
        if (findings.contains(finding)) return false;
        news_.push_back(conflict);
        news_.back().state = ConflictState::resolved;
        return true;
    });
    for (const auto& [finding, evidence] : findings) {
        if (const auto known = open_.find(finding); known != open_.end()) {
            known->second.evidence = evidence;
        } else if (open_.size() < capacity) {
            const Conflict conflict{next_id_++, finding, evidence, ConflictState::open, now};
            open_.emplace(finding, conflict);
            news_.push_back(conflict);
        }
    }
    // Nobody takes them: the newest tell what is the matter.
    if (news_.size() > 2 * capacity) {
        news_.erase(news_.begin(), news_.end() - static_cast<std::ptrdiff_t>(capacity));
    }
}

std::vector<Conflict> Conflicts::open() const {
    std::vector<Conflict> conflicts;
    for (const auto& [finding, conflict] : open_) conflicts.push_back(conflict);
    std::ranges::sort(conflicts, {}, &Conflict::id);
    return conflicts;
}

}  // namespace porthole
