// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/arguments.hpp"
#include "cli/table.hpp"

namespace porthole::cli {

/// Keys stay in the order in which they were set.
using Json = nlohmann::ordered_json;

/// A reservation as the service shows it.
struct Row {
    std::uint64_t id = 0;
    std::string host;
    std::string protocol;
    std::uint16_t internal_port = 0;
    std::uint16_t external_port = 0;
    std::string filtering;
    std::string origin;
    std::string state;
    std::string comment;
    std::int64_t expires = 0;    ///< Unix seconds, 0: never
    std::int64_t last_seen = 0;  ///< Unix seconds, 0: never
    Dictionary extras;
};

/// From the contract's (tssqqssssxxa{sv}).
template <typename... Fields>
Row to_row(const std::tuple<Fields...>& wire) {
    return std::apply([](const Fields&... field) { return Row{field...}; }, wire);
}

/// A conflict as the service shows it.
struct ConflictRow {
    std::uint64_t id = 0;
    std::string cause;
    std::string state;
    std::string protocol;
    std::uint16_t port = 0;
    std::int64_t since = 0;  ///< Unix seconds
    std::string explanation;
    std::vector<std::string> actions;
    Dictionary evidence;
};

/// From the contract's (tsssqxsasa{sv}).
template <typename... Fields>
ConflictRow to_conflict(const std::tuple<Fields...>& wire) {
    return std::apply([](const Fields&... field) { return ConflictRow{field...}; }, wire);
}

/// A host as the service shows it.
struct HostRow {
    std::string key;
    std::string name;
    std::string mac;
    std::vector<std::string> addresses;
    std::int64_t last_seen = 0;  ///< Unix seconds, 0: never
    Dictionary extras;
};

/// From the contract's (sssasxa{sv}).
template <typename... Fields>
HostRow to_host(const std::tuple<Fields...>& wire) {
    return std::apply([](const Fields&... field) { return HostRow{field...}; }, wire);
}

/// A peer of a tunnel as the service shows it.
struct PeerRow {
    std::string public_key;
    std::string name;
    std::string endpoint;
    std::string endpoint_now;
    std::uint16_t keepalive = 0;  ///< seconds, 0: none
    std::vector<std::string> allowed_ips;
    bool preshared_key = false;
    std::string state;
    std::int64_t last_handshake = 0;  ///< Unix seconds, 0: never
    std::uint64_t received = 0;       ///< bytes
    std::uint64_t sent = 0;           ///< bytes
    Dictionary extras;
};

/// From the contract's (ssssqasbsxtta{sv}).
template <typename... Fields>
PeerRow to_peer(const std::tuple<Fields...>& wire) {
    return std::apply([](const Fields&... field) { return PeerRow{field...}; }, wire);
}

/// A tunnel as the service shows it.
struct TunnelRow {
    std::string name;
    std::string public_key;
    std::uint16_t listen_port = 0;
    std::vector<std::string> addresses;
    std::string origin;
    bool up = false;
    std::vector<PeerRow> peers;
};

/// null for a D-Bus type that the contract does not use.
Json to_json(const sdbus::Variant& value);
Json to_json(const Dictionary& dictionary);
Json to_json(const Row& row);
Json to_json(const ConflictRow& conflict);
Json to_json(const HostRow& host);
Json to_json(const TunnelRow& tunnel);

/// One line for every row, with a line of headings.
std::string reservation_table(const std::vector<Row>& rows, const Look& look = {});
/// The cells of one row without headings, for a line of its own.
std::string reservation_line(const Row& row);

/// One line for every host, with a line of headings.
std::string host_table(const std::vector<HostRow>& hosts, const Look& look = {});

/// A line for every tunnel and, under it, one for each of its peers. `now`: Unix seconds.
std::string tunnel_text(const std::vector<TunnelRow>& tunnels, std::int64_t now,
                        const Look& look = {});

/// Two lines for every conflict.
std::string conflict_table(const std::vector<ConflictRow>& conflicts);
/// What one conflict means.
std::string conflict_line(const ConflictRow& conflict);

/// What `portholectl explain` says to people; `explanation` is what it says with --json.
std::string explanation_text(const Json& explanation);

/// What `portholectl status --all` says to people; `status` is what it says with --json.
std::string status_text(const Json& status, const Look& look = {});

}  // namespace porthole::cli
