// SPDX-License-Identifier: GPL-2.0-or-later
// Real WireGuard hosts behind a gateway A that is a stock Linux masquerading gateway, and behind
// the same gateway with Porthole on top. Gateway B is stock and drops what is unsolicited.
#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <future>
#include <list>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "lab/conntrack.hpp"
#include "lab/porthole.hpp"
#include "lab/two_sites.hpp"
#include "lab/wireguard.hpp"

namespace {

using namespace porthole::lab;
using namespace std::chrono_literals;

constexpr std::uint16_t listen_port = 51820;
constexpr Duration flow_limit{10'000};
constexpr auto* ping_seconds = "20";
constexpr auto* remote_tunnel_address = "10.9.0.1";

enum class Gateway { stock, porthole };

struct Situation {
    char letter;
    std::string_view title;
    bool second_host = false;
    Duration remote_is_ahead{0};  ///< by so much the remote's packets come before the hosts start
};

constexpr std::array situations{
    Situation{'a', "one host on each side"},
    Situation{'b', "the remote sends 15 s before the host", false, 15s},
    Situation{'c', "two hosts on 51820, the same remote", true},
};

struct HostOutcome {
    std::string name;
    std::optional<std::uint16_t> reserved;  ///< nothing on a stock gateway
    std::set<std::uint16_t> left_from;      ///< source ports at the WAN of gateway A
    bool handshake;
    std::optional<double> seconds_to_ping;

    [[nodiscard]] bool works() const { return handshake && seconds_to_ping; }
};

struct Outcome {
    std::vector<HostOutcome> hosts;
    std::vector<std::string> flows;
    std::string wireguard;
};

// A host behind gateway A.
struct Host {
    Host(const Namespace& host, std::string_view lan, std::string_view tunnel)
        : where(host),
          address(lan),
          tunnel_address(tunnel),
          wireguard(host, fmt::format("{}/24", tunnel)) {}

    const Namespace& where;
    std::string_view address;
    std::string_view tunnel_address;
    WireGuard wireguard;
    std::optional<std::uint16_t> reserved;
};

// A lab for one row of the table.
class Experiment {
  public:
    Experiment(const Situation& situation, Gateway gateway);
    Outcome run();

  private:
    [[nodiscard]] std::uint16_t reserve(std::string_view host) const;
    void start_hosts();
    void start_remote();
    [[nodiscard]] HostOutcome outcome_of(const Host& host, std::optional<double> ping) const;

    const Situation& situation_;
    TwoSites lab_;
    std::list<Host> hosts_;
    WireGuard remote_;
    std::optional<Porthole> porthole_;
};

void expect(bool happened, std::string_view what) {
    if (!happened) throw std::runtime_error(fmt::format("not seen: {}", what));
}

Experiment::Experiment(const Situation& situation, Gateway gateway)
    : situation_(situation), remote_(lab_.b1, fmt::format("{}/24", remote_tunnel_address)) {
    masquerade(lab_.gateway_a, InputPolicy::accept);
    masquerade(lab_.gateway_b, InputPolicy::drop);
    hosts_.emplace_back(lab_.a1, address::a1, "10.9.0.2");
    if (situation.second_host) hosts_.emplace_back(lab_.a2, address::a2, "10.9.0.3");
    if (gateway == Gateway::porthole) {
        porthole_.emplace(lab_.gateway_a);
        porthole_->start();
        for (auto& host : hosts_) host.reserved = reserve(host.address);
    }
}

std::uint16_t Experiment::reserve(std::string_view host) const {
    const auto result = porthole_->ctl({"--json", "reserve", std::string(host), "udp",
                                        std::to_string(listen_port), "--on-conflict", "next"});
    if (result.status != 0) {
        throw std::runtime_error("portholectl reserve: " + result.output + result.errors);
    }
    return nlohmann::json::parse(result.output).at("external-port").get<std::uint16_t>();
}

// One after the other, so that in (c) the first one is the same each time.
void Experiment::start_hosts() {
    const FlowMonitor monitor(lab_.gateway_a);
    for (const auto& host : hosts_) {
        host.wireguard.configure(listen_port,
                                 {{remote_.public_key(), at(address::b_wan, listen_port),
                                   fmt::format("{}/32", remote_tunnel_address)}});
        expect(monitor.wait_for(host.address, listen_port, flow_limit),
               "a packet of a host at gateway A");
    }
}

void Experiment::start_remote() {
    std::vector<WireGuardPeer> peers;
    for (const auto& host : hosts_) {
        peers.push_back({host.wireguard.public_key(),
                         at(address::a_wan, host.reserved.value_or(listen_port)),
                         fmt::format("{}/32", host.tunnel_address)});
    }
    const FlowMonitor monitor(lab_.gateway_b);
    remote_.configure(listen_port, peers);
    expect(monitor.wait_for(address::b1, listen_port, flow_limit),
           "a packet of the remote at gateway B");
}

// Seconds from `start` until the remote's end of the tunnel answers.
std::optional<double> seconds_to_ping(const Namespace& from, Clock::time_point start) {
    const auto result = command(
        from, {"ping", "-n", "-q", "-c1", "-i0.2", "-w", ping_seconds, remote_tunnel_address});
    if (result.status != 0) return std::nullopt;
    return std::chrono::duration<double>(Clock::now() - start).count();
}

Outcome Experiment::run() {
    Clock::time_point start;
    if (situation_.remote_is_ahead > Duration{0}) {
        start_remote();
        std::this_thread::sleep_for(situation_.remote_is_ahead);
        start = Clock::now();
        start_hosts();
    } else {
        start_hosts();
        start = Clock::now();
        start_remote();
    }

    std::vector<std::future<std::optional<double>>> pings;
    for (const auto& host : hosts_) {
        pings.push_back(
            std::async(std::launch::async, [&] { return seconds_to_ping(host.where, start); }));
    }
    for (const auto& ping : pings) ping.wait();

    Outcome outcome;
    outcome.wireguard = remote_.implementation();
    auto ping = pings.begin();
    for (const auto& host : hosts_) outcome.hosts.push_back(outcome_of(host, (ping++)->get()));
    for (const auto& flow : flows(lab_.gateway_a)) outcome.flows.push_back(flow.text);
    return outcome;
}

HostOutcome Experiment::outcome_of(const Host& host, std::optional<double> ping) const {
    HostOutcome outcome{host.where.name(),
                        host.reserved,
                        {},
                        host.wireguard.has_shaken_hands_with(remote_.public_key()),
                        ping};
    for (const auto& flow : flows_from(lab_.gateway_a, host.address, listen_port)) {
        outcome.left_from.insert(flow.reply.destination.port);
    }
    return outcome;
}

struct Run {
    const Situation* situation;
    Gateway gateway;
    std::future<Outcome> result;
    Outcome outcome = {};
};

std::string_view name(Gateway gateway) { return gateway == Gateway::stock ? "stock" : "Porthole"; }

void print_row(std::string_view situation, std::string_view gateway, std::string_view host,
               std::string_view port, std::string_view handshake, std::string_view seconds) {
    fmt::print("{:<42}  {:<9}  {:<4}  {:>9}  {:<9}  {:>10}\n", situation, gateway, host, port,
               handshake, seconds);
}

void print_table(const std::vector<Run>& runs) {
    print_row("situation", "gateway A", "host", "left from", "handshake", "first ping");
    print_row(std::string(42, '-'), std::string(9, '-'), "----", std::string(9, '-'),
              std::string(9, '-'), std::string(10, '-'));
    for (const auto& run : runs) {
        bool first = true;
        for (const auto& host : run.outcome.hosts) {
            const auto title = fmt::format("({}) {}", run.situation->letter, run.situation->title);
            print_row(first && run.gateway == Gateway::stock ? title : "",
                      first ? name(run.gateway) : "", host.name,
                      fmt::format("{}", fmt::join(host.left_from, ", ")),
                      host.handshake ? "yes" : "no",
                      host.seconds_to_ping ? fmt::format("{:.1f} s", *host.seconds_to_ping) : "–");
            first = false;
        }
    }
}

// A line of conntrack(8) is wider than a terminal: one line for each direction, without the
// bookkeeping at its end.
void print_flow(const std::string& flow) {
    const auto text = flow.substr(0, flow.find(" mark="));
    const auto reply = text.rfind(" src=");
    fmt::print("    {}\n       {}\n", text.substr(0, reply), text.substr(reply));
}

void print_flows(const std::vector<Run>& runs) {
    for (const auto& run : runs) {
        fmt::print("\n({}) {}: conntrack of gateway A\n", run.situation->letter, name(run.gateway));
        for (const auto& flow : run.outcome.flows) print_flow(flow);
    }
}

bool fails(const Run& run) { return !std::ranges::all_of(run.outcome.hosts, &HostOutcome::works); }

// What the table has to say if it does not say what everybody expects. True if Porthole is right.
bool print_verdict(const std::vector<Run>& runs) {
    bool right = true;
    for (const auto& run : runs) {
        if (run.gateway == Gateway::stock) {
            if (run.situation->letter != 'a' && !fails(run)) {
                fmt::print("The stock gateway did NOT fail in ({}).\n", run.situation->letter);
            }
            continue;
        }
        for (const auto& host : run.outcome.hosts) {
            if (host.works() && host.left_from == std::set{*host.reserved}) continue;
            right = false;
            fmt::print("Porthole FAILED in ({}): {} had {} reserved and left from {}.\n",
                       run.situation->letter, host.name, *host.reserved,
                       fmt::join(host.left_from, ", "));
        }
    }
    if (right) fmt::print("Porthole kept every reserved port, and every tunnel came up.\n");
    return right;
}

bool demonstrate(const std::set<char>& letters) {
    std::vector<Run> runs;
    for (const auto& situation : situations) {
        if (!letters.empty() && !letters.contains(situation.letter)) continue;
        for (const auto gateway : {Gateway::stock, Gateway::porthole}) {
            runs.push_back(
                {&situation, gateway, std::async(std::launch::async, [&situation, gateway] {
                     return Experiment(situation, gateway).run();
                 })});
        }
    }
    fmt::print(stderr, "{} labs side by side; this takes about 40 seconds …\n", runs.size());
    for (auto& each : runs) each.outcome = each.result.get();

    fmt::print(R"(
Two sites, all hosts on {} with {} and a keepalive of 5 s. Gateway A masquerades and
accepts input; gateway B masquerades and drops what is unsolicited.

)",
               listen_port, runs.front().outcome.wireguard);
    print_table(runs);
    fmt::print(R"(
left from:  the source port at gateway A's WAN, towards gateway B's port {}.
first ping: through the tunnel, counted from the start of the last host; –: none in {} s.
In (c) the remote is told the port that portholectl gave for each host. On a stock gateway nobody
knows a port beforehand but the one a host listens on, so the remote is told {} for both.
)",
               listen_port, ping_seconds, listen_port);
    print_flows(runs);
    fmt::print("\n");
    return print_verdict(runs);
}

}  // namespace

int main(int argc, char** argv) {
    std::set<char> letters;
    for (const auto& argument : std::vector<std::string>(argv + 1, argv + argc)) {
        if (argument.size() != 1 || std::string_view("abc").find(argument) == std::string::npos) {
            fmt::print(stderr, "usage: porthole-demo [a] [b] [c]\n");
            return 2;
        }
        letters.insert(argument.front());
    }
    try {
        return demonstrate(letters) ? 0 : 1;
    } catch (const std::exception& error) {
        fmt::print(stderr, "porthole-demo: {}\n", error.what());
        return 1;
    }
}
