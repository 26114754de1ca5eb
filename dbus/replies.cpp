// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/replies.hpp"

namespace porthole::dbus {
namespace {

// What nearly every row has, and nothing else.
enum class HostFamily : std::uint8_t { ipv4, ipv6 };

std::string text_of(HostFamily family) { return family == HostFamily::ipv4 ? "ipv4" : "ipv6"; }
const std::string& text_of(const std::string& text) { return text; }

// Names and values, one by one. A value is a family, a text, or several.
template <typename Put>
void put_extras(const Reservation& row, const Hosts& hosts, const Put& put) {
    const auto& host = row.internal.host;
    if (const auto* mac = std::get_if<MacAddress>(&host)) {
        put("mac", to_text(*mac));
    } else {
        put("family", is_ipv6(row.internal) ? HostFamily::ipv6 : HostFamily::ipv4);
    }
    if (row.mac) put("mac", to_text(*row.mac));
    if (row.address) put("address", to_text(*row.address));
    if (!row.ipv6_addresses.empty()) {
        put("ipv6-addresses", to_texts<Address>(row.ipv6_addresses));
    }
    const bool chosen = std::holds_alternative<MacAddress>(host);
    if (const auto address = nat66_host(row); address && chosen) {
        put("nat66-address", to_text(*address));
    }
    if (const auto address = row.external_address.fixed()) {
        put("external-address", to_text(*address));
    }
    const auto& name = hosts.name_of(host);
    if (!name.empty()) put("host-name", name);
}

sdbus::Variant to_variant(HostFamily family) {
    // Making a Variant costs a thousand times what copying one does.
    static const sdbus::Variant ipv4(text_of(HostFamily::ipv4));
    static const sdbus::Variant ipv6(text_of(HostFamily::ipv6));
    return family == HostFamily::ipv4 ? ipv4 : ipv6;
}

template <typename T>
sdbus::Variant to_variant(const T& value) {
    return value;
}

void append_variant(sdbus::Message& message, const std::vector<std::string>& texts) {
    message.openVariant("as");
    message << texts;
    message.closeVariant();
}

template <typename T>
void append_variant(sdbus::Message& message, const T& value) {
    message.openVariant("s");
    message << text_of(value);
    message.closeVariant();
}

std::int64_t unix_seconds(Time time) { return time.time_since_epoch().count(); }

// All but the extras of a row.
auto values_of(const Reservation& row, const Surroundings& around) {
    const auto state = around.enabled ? row.state : ReservationState::waiting;
    return std::tuple(number(row.id), to_text(row.internal.host), to_text(row.internal.protocol),
                      row.internal.port.value(), row.external_port.value(), to_text(row.filtering),
                      to_text(row.origin), to_text(state), std::string(row.comment.text()),
                      unix_seconds(row.expires), unix_seconds(row.last_seen));
}

Dictionary to_dictionary(const PerimeterInterface& interface) {
    return {{"interface", interface.name.text()},
            {"side", to_text(interface.side)},
            {"reason", interface.reason},
            {"addresses", to_texts<Address>(interface.addresses)}};
}

std::vector<Dictionary> interfaces_of(const Perimeter& perimeter, Side side) {
    std::vector<Dictionary> found;
    for (const auto& interface : perimeter.interfaces) {
        if (interface.side == side) found.push_back(to_dictionary(interface));
    }
    return found;
}

Dictionary counters_of(const GatewayStatus& status) {
    return {{"unsolicited", status.counters.unsolicited},
            {"displaced", status.counters.displaced},
            {"guarded", status.counters.guarded},
            {"contacts-refused", status.counters.contacts_refused},
            {"rebuilds", status.rebuilds},
            {"settled-flows", status.settled_flows},
            {"claims-refused", status.claims_refused}};
}

}  // namespace

std::vector<PeerRow> to_rows(std::span<const PeerView> peers, std::size_t offset,
                             std::size_t limit) {
    peers = peers.subspan(std::min(offset, peers.size()));
    std::vector<PeerRow> rows;
    for (const auto& peer : peers.first(std::min(limit, peers.size()))) {
        const auto& settings = peer.settings;
        const auto handshake =
            std::chrono::floor<std::chrono::seconds>(peer.last_handshake).time_since_epoch();
        rows.emplace_back(to_text(settings.public_key), std::string(settings.name.text()),
                          settings.endpoint ? to_text(*settings.endpoint) : std::string(),
                          peer.endpoint ? to_text(*peer.endpoint) : std::string(),
                          settings.keepalive.count(), to_texts<Network>(settings.allowed_ips),
                          settings.preshared_key.has_value(), to_text(peer.state),
                          handshake.count(), peer.received_bytes, peer.sent_bytes, Dictionary());
    }
    return rows;
}

Row to_row(const Reservation& reservation, const Surroundings& around) {
    Dictionary extras;
    put_extras(reservation, around.hosts, [&extras](const char* name, const auto& value) {
        extras[name] = to_variant(value);
    });
    return std::apply(
        [&extras](auto&&... values) {
            return Row{std::move(values)..., std::move(extras)};
        },
        values_of(reservation, around));
}

// For each row of a vector sdbus-c++ 1.2 would make up the signatures of all its parts anew.
void append(sdbus::Message& message, std::span<const Reservation* const> rows,
            const Surroundings& around) {
    static const auto signature = sdbus::signature_of<Row>::str();
    static const auto fields = signature.substr(1, signature.size() - 2);
    message.openContainer(signature);
    for (const auto* row : rows) {
        message.openStruct(fields);
        std::apply([&message](const auto&... values) { (message << ... << values); },
                   values_of(*row, around));
        message.openContainer("{sv}");
        put_extras(*row, around.hosts, [&message](const char* name, const auto& value) {
            message.openDictEntry("sv");
            message << name;
            append_variant(message, value);
            message.closeDictEntry();
        });
        message.closeContainer();
        message.closeStruct();
    }
    message.closeContainer();
}

ConflictRow to_row(const Conflict& conflict) {
    const auto& [cause, port, owner, other] = conflict.finding;
    Dictionary evidence{{"owner", owner}, {"other", other}, {"message", explanation(conflict)}};
    if (!conflict.evidence.remote.empty()) evidence["remote"] = conflict.evidence.remote;
    if (conflict.evidence.flows != 0) {
        evidence["flows"] = static_cast<std::uint32_t>(conflict.evidence.flows);
    }
    if (!conflict.evidence.command.empty()) evidence["command"] = conflict.evidence.command;
    if (conflict.evidence.used) evidence["used-port"] = conflict.evidence.used->value();
    return {conflict.id,
            to_text(cause),
            conflict.state == ConflictState::open ? "open" : "resolved",
            to_text(port.protocol),
            port.port.value(),
            unix_seconds(conflict.since),
            to_text(cause),
            actions(conflict),
            evidence};
}

std::vector<ConflictRow> to_rows(std::span<const Conflict> conflicts) {
    std::vector<ConflictRow> rows;
    rows.reserve(conflicts.size());
    for (const auto& conflict : conflicts) rows.push_back(to_row(conflict));
    return rows;
}

std::vector<Row> to_rows(std::span<const Reservation> reservations, const Surroundings& around) {
    std::vector<Row> rows;
    rows.reserve(reservations.size());
    for (const auto& reservation : reservations) rows.push_back(to_row(reservation, around));
    return rows;
}

std::vector<HostRow> hosts_of(const Gateway& gateway) {
    std::vector<HostRow> rows;
    for (const auto& [mac, host] : gateway.hosts().all()) {
        std::vector<std::string> addresses;
        for (const auto& place : host.addresses) addresses.push_back(to_text(place.address));
        Dictionary extras;
        const auto interface = gateway.interface_name(host.link_index);
        if (!interface.empty()) extras["interface"] = interface;
        const auto key = to_text(mac);
        rows.emplace_back(key, host.name, key, std::move(addresses), unix_seconds(host.last_seen),
                          std::move(extras));
    }
    return rows;
}

std::vector<Dictionary> wans_of(const Perimeter& perimeter) {
    std::vector<Dictionary> wans;
    for (const auto& interface : perimeter.interfaces) {
        if (interface.side != Side::wan) continue;
        wans.push_back({{"interface", interface.name.text()},
                        {"addresses", to_texts<Address>(interface.addresses)},
                        {"verdict", to_text(reach_of(interface))}});
    }
    return wans;
}

Dictionary to_dictionary(const Explanation& explanation) {
    Dictionary answer{{"verdict", to_text(explanation.verdict)}, {"steps", explanation.steps}};
    if (!explanation.interface.empty()) answer["interface"] = explanation.interface;
    if (explanation.reservation) answer["reservation"] = number(*explanation.reservation);
    if (explanation.external_port) answer["external-port"] = explanation.external_port->value();
    if (!explanation.rule.empty()) answer["rule"] = explanation.rule;
    if (const auto& flow = explanation.flow) {
        answer["flow"] = Dictionary{{"source", to_text(flow->source)},
                                    {"destination", to_text(flow->destination)},
                                    {"remote", to_text(flow->remote)},
                                    {"shown", to_text(flow->shown)},
                                    {"answered", flow->answered}};
    }
    return answer;
}

Dictionary to_dictionary(const GatewayStatus& status) {
    return {{"enabled", status.enabled},
            {"wans", interfaces_of(status.perimeter, Side::wan)},
            {"lans", interfaces_of(status.perimeter, Side::lan)},
            {"others", interfaces_of(status.perimeter, Side::neither)},
            {"masquerade", status.masquerade},
            {"own-ports", to_texts<ProtocolPort>(status.own_ports)},
            {"reservations", static_cast<std::uint32_t>(status.reservations)},
            {"generation", status.generation},
            {"watched", status.watched ? to_text(*status.watched) : std::string()},
            {"claims", static_cast<std::uint32_t>(status.claims)},
            {"conflicts", static_cast<std::uint32_t>(status.conflicts)},
            {"counters", counters_of(status)},
            {"warnings", status.warnings}};
}

Dictionary active_checkpoint(const Checkpoints& checkpoints) {
    const auto& active = checkpoints.active();
    if (!active) return {};
    const auto left = std::chrono::ceil<std::chrono::seconds>(*checkpoints.time_left());
    return {{"id", number(active->id)},
            {"expires", unix_seconds(active->expires)},
            {"seconds-left", static_cast<std::uint32_t>(left.count())}};
}

}  // namespace porthole::dbus
