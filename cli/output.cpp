// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/output.hpp"

#include <algorithm>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace porthole::cli {
namespace {

template <typename T>
Json json_of(const T& value) {
    return value;
}
Json json_of(const Dictionary& dictionary) { return to_json(dictionary); }
Json json_of(const std::vector<Dictionary>& dictionaries) {
    auto array = Json::array();
    for (const auto& dictionary : dictionaries) array.push_back(to_json(dictionary));
    return array;
}

template <typename... Types>
Json json_if_one_of(const sdbus::Variant& value) {
    Json json;
    const auto take = [&]<typename T>(std::in_place_type_t<T>) {
        if (!value.containsValueOfType<T>()) return false;
        json = json_of(value.get<T>());
        return true;
    };
    static_cast<void>((take(std::in_place_type<Types>) || ...));
    return json;
}

std::string time_text(std::int64_t seconds) {
    if (seconds == 0) return "never";
    return fmt::format("{:%FT%TZ}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

// The port, behind the address where it is one of several.
std::string outside(const Row& row) {
    const auto address = row.extras.find("external-address");
    const auto port = std::to_string(row.external_port);
    return address == row.extras.end() ? port : address->second.get<std::string>() + ":" + port;
}

Cells cells(const Row& row) {
    return {std::to_string(row.id), row.host,      row.protocol, std::to_string(row.internal_port),
            outside(row),           row.filtering, row.origin,   row.state,
            time_text(row.expires), row.comment};
}

}  // namespace

Json to_json(const sdbus::Variant& value) {
    return json_if_one_of<std::string, bool, std::uint8_t, std::int16_t, std::uint16_t,
                          std::int32_t, std::uint32_t, std::int64_t, std::uint64_t, double,
                          std::vector<std::string>, Dictionary, std::vector<Dictionary>>(value);
}

Json to_json(const Dictionary& dictionary) {
    auto object = Json::object();
    for (const auto& [key, value] : dictionary) object[key] = to_json(value);
    return object;
}

Json to_json(const Row& row) {
    Json object{{"id", row.id},
                {"host", row.host},
                {"protocol", row.protocol},
                {"internal-port", row.internal_port},
                {"external-port", row.external_port},
                {"filtering", row.filtering},
                {"origin", row.origin},
                {"state", row.state},
                {"comment", row.comment},
                {"expires", row.expires},
                {"last-seen", row.last_seen}};
    for (const auto& [key, value] : row.extras) object[key] = to_json(value);
    return object;
}

Json to_json(const TunnelRow& tunnel) {
    auto peers = Json::array();
    for (const auto& peer : tunnel.peers) {
        peers.push_back({{"public-key", peer.public_key},
                         {"name", peer.name},
                         {"endpoint", peer.endpoint},
                         {"endpoint-now", peer.endpoint_now},
                         {"keepalive", peer.keepalive},
                         {"allowed-ips", peer.allowed_ips},
                         {"preshared-key", peer.preshared_key},
                         {"state", peer.state},
                         {"last-handshake", peer.last_handshake},
                         {"received", peer.received},
                         {"sent", peer.sent}});
    }
    return {{"name", tunnel.name},
            {"public-key", tunnel.public_key},
            {"listen-port", tunnel.listen_port},
            {"addresses", tunnel.addresses},
            {"origin", tunnel.origin},
            {"up", tunnel.up},
            {"peers", peers}};
}

std::string tunnel_text(const std::vector<TunnelRow>& tunnels, std::int64_t now, const Look& look) {
    if (tunnels.empty()) return "no tunnels\n";
    std::string text;
    for (const auto& tunnel : tunnels) {
        text += fmt::format("{}  {}  port {}  public key {}{}{}\n", tunnel.name,
                            fmt::join(tunnel.addresses, ", "), tunnel.listen_port,
                            tunnel.public_key, tunnel.origin == "static" ? "  static" : "",
                            tunnel.up ? "" : "  NOT UP: see status");
        std::vector<Cells> lines;
        for (const auto& peer : tunnel.peers) {
            const auto& endpoint = peer.endpoint_now.empty() ? peer.endpoint : peer.endpoint_now;
            lines.push_back(
                {"", peer.state, peer.name, peer.public_key,
                 endpoint.empty() ? "no endpoint yet" : endpoint,
                 fmt::format("{}", fmt::join(peer.allowed_ips, ", ")),
                 peer.last_handshake == 0
                     ? "no handshake yet"
                     : fmt::format("handshake {} s ago",
                                   std::max<std::int64_t>(now - peer.last_handshake, 0)),
                 fmt::format("{} B received, {} B sent", peer.received, peer.sent)});
        }
        text += table(lines, {.shortened = {2, 4, 5}, .state = 1}, look);
    }
    return text;
}

std::string reservation_table(const std::vector<Row>& rows, const Look& look) {
    std::vector<Cells> lines{{"ID", "HOST", "PROTO", "PORT", "EXTERNAL", "FILTERING", "ORIGIN",
                              "STATE", "EXPIRES", "COMMENT"}};
    for (const auto& row : rows) lines.push_back(cells(row));
    return table(lines, {.shortened = {5, 9}, .state = 7}, look);
}

std::string reservation_line(const Row& row) {
    auto line = table({cells(row)});
    line.pop_back();
    return line;
}

Json to_json(const ConflictRow& conflict) {
    Json object{{"id", conflict.id},
                {"cause", conflict.cause},
                {"state", conflict.state},
                {"protocol", conflict.protocol},
                {"port", conflict.port},
                {"since", conflict.since},
                {"explanation", conflict.explanation},
                {"actions", conflict.actions}};
    for (const auto& [key, value] : conflict.evidence) object[key] = to_json(value);
    return object;
}

Json to_json(const HostRow& host) {
    Json object{{"key", host.key},
                {"name", host.name},
                {"mac", host.mac},
                {"addresses", host.addresses},
                {"last-seen", host.last_seen}};
    for (const auto& [key, value] : host.extras) object[key] = to_json(value);
    return object;
}

std::string host_table(const std::vector<HostRow>& hosts, const Look& look) {
    std::vector<Cells> lines{{"MAC", "NAME", "INTERFACE", "LAST SEEN", "ADDRESSES"}};
    for (const auto& host : hosts) {
        const auto interface = host.extras.find("interface");
        lines.push_back(
            {host.mac, host.name.empty() ? "-" : host.name,
             interface != host.extras.end() ? interface->second.get<std::string>() : "-",
             time_text(host.last_seen),
             host.addresses.empty() ? "-" : fmt::format("{}", fmt::join(host.addresses, ", "))});
    }
    return table(lines, {.shortened = {1, 4}}, look);
}

std::string conflict_line(const ConflictRow& conflict) {
    const auto message = conflict.evidence.find("message");
    const auto what =
        message != conflict.evidence.end() ? message->second.get<std::string>() : conflict.cause;
    return fmt::format("{} {}/{}: {}", conflict.cause, conflict.port, conflict.protocol, what);
}

std::string conflict_table(const std::vector<ConflictRow>& conflicts) {
    if (conflicts.empty()) return "no conflicts\n";
    std::string text;
    for (const auto& conflict : conflicts) {
        text += fmt::format("{}  since {}  {}\n    what ends it: {}\n", conflict.id,
                            time_text(conflict.since), conflict_line(conflict),
                            fmt::join(conflict.actions, ", "));
    }
    return text;
}

std::string explanation_text(const Json& explanation) {
    std::string text;
    for (const auto& step : explanation.value("steps", std::vector<std::string>())) {
        text += step + '\n';
    }
    const auto rule = explanation.value("rule", "");
    if (!rule.empty()) text += fmt::format("rule: {}\n", rule);
    const auto port = explanation.value("external-port", 0U);
    text += fmt::format("verdict: {}{}\n", explanation.value("verdict", "?"),
                        port == 0 ? "" : fmt::format(", external port {}", port));
    return text;
}

std::string status_text(const Json& status, const Look& look) {
    const auto reservations = status.value("reservations", 0U);
    auto text =
        fmt::format("Porthole {}: {} reservation{}, generation {}, masquerade {}\n",
                    status.value("version", "?"), reservations, reservations == 1 ? "" : "s",
                    status.value("generation", std::uint64_t{0}),
                    status.value("masquerade", false) ? "on" : "off");
    std::vector<Cells> lines{{"INTERFACE", "SIDE", "ADDRESSES", "REASON"}};
    for (const auto* side : {"wans", "lans", "others"}) {
        for (const auto& interface : status.value(side, Json::array())) {
            const auto addresses = interface.value("addresses", std::vector<std::string>());
            lines.push_back({interface.value("interface", ""), interface.value("side", ""),
                             addresses.empty() ? "-" : fmt::format("{}", fmt::join(addresses, ",")),
                             interface.value("reason", "")});
        }
    }
    text += table(lines, {.shortened = {2, 3}}, look);
    const auto own_ports = status.value("own-ports", std::vector<std::string>());
    if (!own_ports.empty()) text += fmt::format("own ports: {}\n", fmt::join(own_ports, ", "));
    const auto watched = status.value("watched", "");
    if (!watched.empty()) {
        text += fmt::format("watched: udp {}, {} claimed\n", watched, status.value("claims", 0U));
    }
    const auto conflicts = status.value("conflicts", 0U);
    if (conflicts != 0) {
        text += fmt::format("conflicts: {}; see portholectl conflicts\n", conflicts);
    }
    Cells counters;
    const auto counts = status.value("counters", Json::object());
    for (const auto& [name, count] : counts.items()) {
        counters.push_back(fmt::format("{} {}", name, count.dump()));
    }
    if (!counters.empty()) text += fmt::format("{}\n", fmt::join(counters, ", "));
    for (const auto& warning : status.value("warnings", std::vector<std::string>())) {
        text += fmt::format("warning: {}\n", warning);
    }
    return text;
}

}  // namespace porthole::cli
