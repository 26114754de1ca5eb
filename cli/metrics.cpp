// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/metrics.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include <fmt/format.h>

namespace porthole::cli {
namespace {

// Every word that the contract has: a series that comes and goes cannot be watched.
constexpr std::array<const char*, 3> origins{"static", "api", "auto"};
constexpr std::array<const char*, 3> states{"active", "settling", "waiting"};
constexpr std::array<const char*, 4> peer_states{"connected", "handshaking", "stale", "never"};
constexpr std::array<const char*, 8> causes{"port-wanted-twice", "overload",    "remapped",
                                            "own-listener",      "foreign-nat", "answered-inbound",
                                            "foreign-firewall",  "flow-offload"};

// What the counters of Manager.Status count; one that is not here is shown, too.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> counters{{
    {"unsolicited", "Packets dropped that came for a host's port, but not for the host."},
    {"displaced", "Flows sent through the pool, as their port belongs to another host."},
    {"guarded", "Packets dropped that were about to leave from a port of another host's."},
    {"contacts-refused", "Packets to remotes that may not answer from other ports."},
    {"rebuilds", "How often somebody's change of the rules was undone."},
    {"settled-flows", "Flows deleted because they contradicted a reservation."},
    {"claims-refused", "Hosts that were seen and got no port, because of a limit."},
}};

using Labels = std::vector<std::pair<std::string_view, std::string>>;

std::string escaped(std::string_view value) {
    std::string text;
    for (const char c : value) {
        if (c == '\\' || c == '"') text += '\\';
        if (c == '\n') {
            text += "\\n";
        } else {
            text += c;
        }
    }
    return text;
}

class Exposition {
  public:
    /// Begins a family of metrics, whose samples follow. A unit is the end of the name.
    void begin(const std::string& name, const char* type, std::string_view help,
               std::string_view unit = {}) {
        name_ = "porthole_" + name;
        is_counter_ = std::string_view(type) == "counter";
        text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name_, help, type);
        if (!unit.empty()) text_ += fmt::format("# UNIT {} {}\n", name_, unit);
    }
    template <typename Value>
    void sample(const Value& value, const Labels& labels = {}) {
        std::string all;
        for (const auto& [label, text] : labels) {
            all += fmt::format("{}{}=\"{}\"", all.empty() ? "" : ",", label, escaped(text));
        }
        text_ += fmt::format("{}{}{} {}\n", name_, is_counter_ ? "_total" : "",
                             all.empty() ? all : "{" + all + "}", value);
    }
    std::string end() && { return std::move(text_) + "# EOF\n"; }

  private:
    std::string text_;
    std::string name_;
    bool is_counter_ = false;
};

void write_up(Exposition& to, int up) {
    to.begin("up", "gauge", "Whether the service answers.");
    to.sample(up);
}

void write_reservations(Exposition& to, const std::vector<Row>& rows) {
    std::map<std::pair<std::string, std::string>, std::size_t> count;
    for (const auto* origin : origins) {
        for (const auto* state : states) count[{origin, state}] = 0;
    }
    for (const auto& row : rows) ++count[{row.origin, row.state}];
    to.begin("reservations", "gauge", "Reservations.");
    for (const auto& [words, number] : count) {
        to.sample(number, {{"origin", words.first}, {"state", words.second}});
    }
}

void write_conflicts(Exposition& to, const std::vector<ConflictRow>& conflicts) {
    std::map<std::string, std::size_t> count;
    for (const auto* cause : causes) count[cause] = 0;
    for (const auto& conflict : conflicts) {
        if (conflict.state == "open") ++count[conflict.cause];
    }
    to.begin("conflicts", "gauge", "Conflicts that are open.");
    for (const auto& [cause, number] : count) to.sample(number, {{"cause", cause}});
}

void write_counters(Exposition& to, const Json& all) {
    for (const auto& [key, value] : all.items()) {
        if (!value.is_number_unsigned()) continue;
        const auto* known =
            std::ranges::find(counters, key, &std::pair<std::string_view, std::string_view>::first);
        auto name = key;
        std::ranges::replace(name, '-', '_');
        to.begin(name, "counter", known != counters.end() ? known->second : "See Manager.Status.");
        to.sample(value.get<std::uint64_t>());
    }
}

// All samples of a family are together, so each has its own turn through the peers.
template <typename Write>
void for_each_peer(const std::vector<TunnelRow>& tunnels, const Write& write) {
    for (const auto& tunnel : tunnels) {
        for (const auto& peer : tunnel.peers) {
            write(peer, Labels{{"tunnel", tunnel.name},
                               {"public_key", peer.public_key},
                               {"name", peer.name}});
        }
    }
}

void write_tunnels(Exposition& to, const std::vector<TunnelRow>& tunnels) {
    to.begin("tunnel_up", "gauge", "Whether the interface is there and configured.");
    for (const auto& tunnel : tunnels) to.sample(tunnel.up ? 1 : 0, {{"tunnel", tunnel.name}});

    to.begin("peer_state", "gauge", "1 for the state that the peer is in.");
    for_each_peer(tunnels, [&](const PeerRow& peer, Labels labels) {
        labels.emplace_back("state", "");
        for (const auto* state : peer_states) {
            labels.back().second = state;
            to.sample(peer.state == state ? 1 : 0, labels);
        }
    });
    to.begin("peer_last_handshake_timestamp_seconds", "gauge",
             "When it was, in Unix time; absent if there was none.", "seconds");
    for_each_peer(tunnels, [&](const PeerRow& peer, const Labels& labels) {
        if (peer.last_handshake != 0) to.sample(peer.last_handshake, labels);
    });
    to.begin("peer_received_bytes", "counter", "From the peer.", "bytes");
    for_each_peer(tunnels, [&](const PeerRow& peer, const Labels& labels) {
        to.sample(peer.received, labels);
    });
    to.begin("peer_sent_bytes", "counter", "To the peer.", "bytes");
    for_each_peer(tunnels,
                  [&](const PeerRow& peer, const Labels& labels) { to.sample(peer.sent, labels); });
}

}  // namespace

std::string metrics(const Overview& overview, const std::vector<Row>& reservations) {
    Exposition to;
    write_up(to, 1);
    to.begin("build_info", "gauge", "The version of the service.");
    to.sample(1, {{"version", overview.status.value("version", "")}});
    to.begin("enabled", "gauge", "Whether the rules are to be in the kernel.");
    to.sample(overview.status.value("enabled", true) ? 1 : 0);
    to.begin("problems", "gauge", "What portholectl diagnose has to say.");
    to.sample(problems(overview).size());
    write_reservations(to, reservations);
    write_conflicts(to, overview.conflicts);
    write_counters(to, overview.status.value("counters", Json::object()));
    write_tunnels(to, overview.tunnels);
    return std::move(to).end();
}

std::string metrics_without_service() {
    Exposition to;
    write_up(to, 0);
    return std::move(to).end();
}

}  // namespace porthole::cli
