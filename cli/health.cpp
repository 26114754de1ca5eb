// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/health.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace porthole::cli {
namespace {

constexpr auto configure = "edit /etc/porthole/porthole.toml, then: portholectl reload";
constexpr auto read_log = "journalctl -u porthole";

// The service's warnings are sentences: what is done about one is known by a part of it.
constexpr std::array<std::pair<std::string_view, std::string_view>, 14> remedies{{
    {"switched off:", "portholectl on"},
    {"net.ipv4.ip_forward is off", "sysctl -w net.ipv4.ip_forward=1, and a line in /etc/sysctl.d"},
    {"net.ipv6.conf.all.forwarding is off",
     "sysctl -w net.ipv6.conf.all.forwarding=1, and a line in /etc/sysctl.d"},
    {"no WAN is known", configure},
    {"no LAN with", configure},
    {"in the configuration:", configure},
    {"name all WANs in", configure},
    {"no WAN has the address", "give a WAN that address, or: portholectl change ID"},
    {"the gateway itself receives on",
     "give one of the two another port: portholectl change ID --external-port N"},
    {"does not leave from it over IPv6", "portholectl change ID --external-port N"},
    {"no IPv6 address to show", "get an IPv6 address for the WAN, or set nat.ipv6 to \"pinholes\""},
    {"whose policy is to drop", "portholectl conflicts"},
    {"nat.udp-timeout has no effect",
     "set net.netfilter.nf_conntrack_udp_timeout_stream by sysctl instead"},
    {"is no way to", "portholectl tunnel configure NAME --addresses A"},
}};

Problem of_warning(const std::string& warning) {
    for (const auto& [part, remedy] : remedies) {
        if (warning.find(part) != std::string::npos) return {warning, std::string(remedy)};
    }
    return {warning, read_log};
}

// What the service can do itself goes before what an administrator has to.
Problem of_conflict(const ConflictRow& conflict) {
    const auto has = [&](std::string_view action) {
        return std::ranges::find(conflict.actions, action) != conflict.actions.end();
    };
    for (const auto* action : {"reserve", "release-owner"}) {
        if (!has(action)) continue;
        return {conflict_line(conflict),
                fmt::format("portholectl conflicts resolve {} {}", conflict.id, action)};
    }
    const auto command = conflict.evidence.find("command");
    if (command != conflict.evidence.end() && command->second.containsValueOfType<std::string>()) {
        return {conflict_line(conflict), command->second.get<std::string>()};
    }
    return {conflict_line(conflict), fmt::format("{}", fmt::join(conflict.actions, ", or "))};
}

std::string names(const Json& interfaces) {
    std::vector<std::string> all;
    for (const auto& interface : interfaces) all.push_back(interface.value("interface", "?"));
    return all.empty() ? "none" : fmt::format("{}", fmt::join(all, ", "));
}

}  // namespace

std::vector<Problem> problems(const Overview& overview) {
    std::vector<Problem> all;
    const auto warnings = overview.status.value("warnings", std::vector<std::string>());
    std::ranges::transform(warnings, std::back_inserter(all), of_warning);
    for (const auto& tunnel : overview.tunnels) {
        const auto is_said = std::ranges::any_of(warnings, [&](const std::string& warning) {
            return warning.find("tunnel " + tunnel.name + " ") != std::string::npos;
        });
        if (tunnel.up || is_said) continue;
        all.push_back({fmt::format("tunnel {} is not up", tunnel.name), read_log});
    }
    for (const auto& conflict : overview.conflicts) {
        if (conflict.state == "open") all.push_back(of_conflict(conflict));
    }
    return all;
}

std::string count_of(std::size_t count, const std::string& thing) {
    return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

std::string counts(const Overview& overview) {
    const auto& status = overview.status;
    std::size_t peers = 0;
    std::size_t connected = 0;
    for (const auto& tunnel : overview.tunnels) {
        peers += tunnel.peers.size();
        connected += static_cast<std::size_t>(
            std::ranges::count(tunnel.peers, "connected", &PeerRow::state));
    }
    const auto none = Json::array();
    auto text =
        fmt::format("{}, {} of them claimed; {}; WAN {}; LAN {}; {}",
                    count_of(status.value("reservations", std::size_t{0}), "reservation"),
                    status.value("claims", 0U), count_of(overview.conflicts.size(), "conflict"),
                    names(status.value("wans", none)), names(status.value("lans", none)),
                    count_of(overview.tunnels.size(), "tunnel"));
    if (peers != 0)
        text += fmt::format(" with {}, {} connected", count_of(peers, "peer"), connected);
    return text + '\n';
}

std::string summary(const Overview& overview) {
    constexpr std::size_t most_shown = 3;  // two lines each, and four others
    const auto found = problems(overview);
    auto text = fmt::format("Porthole {}: {}\n", overview.status.value("version", "?"),
                            found.empty() ? "all is well" : count_of(found.size(), "problem"));
    for (const auto& [what, remedy] : std::span(found).first(std::min(found.size(), most_shown))) {
        text += fmt::format("{}\n    what to do: {}\n", what.substr(0, what.find('\n')), remedy);
    }
    if (found.size() > most_shown) {
        text += fmt::format("{} more: see portholectl diagnose\n", found.size() - most_shown);
    }
    if (!overview.checkpoint.empty()) {
        text += "a checkpoint is active: see portholectl checkpoint show\n";
    }
    return text + counts(overview);
}

}  // namespace porthole::cli
