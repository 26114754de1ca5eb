// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/complete_command.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "cli/service.hpp"

namespace porthole::cli {
namespace {

// Who types waits no longer.
constexpr std::chrono::seconds patience{2};

/// Asks the service for what could stand there.
class Asker {
  public:
    explicit Asker(const Completion& completion) : completion_(completion) {}

    std::vector<Candidate> ask() {
        if (completion_.kinds == std::vector<std::string>{"FILE"}) return {};
        try {
            Service service;
            service.wait_at_most(patience);
            for (const auto& kind : completion_.kinds) add(service, kind);
        } catch (const sdbus::Error&) {
            // A message would end up amid what is being typed.
        }
        return std::move(found_);
    }

  private:
    void add(Service& service, const std::string& kind) {
        if (kind == "HOST") add_hosts(service);
        if (kind == "ID") add_ids(service);
        if (kind == "PROTO:EXTERNAL_PORT") add_ports(service);
        if (kind == "ACTION") add_actions(service);
        if (kind == "TUNNEL") add_tunnels(service);
        if (kind == "PUBLIC-KEY") add_peers(service);
    }

    void add_hosts(Service& service) {
        for (const auto& host : service.hosts()) {
            found_.push_back({host.key, host.name});
            for (const auto& address : host.addresses) {
                if (address != host.key) found_.push_back({address, host.name});
            }
        }
    }

    void add_ids(Service& service) {
        const auto& of = completion_.commands.front();
        if (of == "conflicts") {
            for (const auto& conflict : service.conflicts()) {
                found_.push_back({std::to_string(conflict.id), conflict_line(conflict)});
            }
        } else if (of == "checkpoint") {
            const auto checkpoint = to_json(service.active_checkpoint());
            if (checkpoint.contains("id")) found_.push_back({checkpoint["id"].dump()});
        } else {
            for (const auto& row : service.list({}).first) {
                found_.push_back({std::to_string(row.id), what(row)});
            }
        }
    }

    void add_ports(Service& service) {
        for (const auto& row : service.list({}).first) {
            found_.push_back({fmt::format("{}:{}", row.protocol, row.external_port), what(row)});
        }
    }

    void add_actions(Service& service) {
        for (const auto& conflict : service.conflicts()) {
            if (std::to_string(conflict.id) != completion_.arguments.front()) continue;
            for (const auto& action : conflict.actions) found_.push_back({action});
        }
    }

    void add_tunnels(Service& service) {
        for (const auto& tunnel : service.tunnels(std::nullopt)) {
            found_.push_back({tunnel.name, fmt::format("port {}", tunnel.listen_port)});
        }
    }

    void add_peers(Service& service) {
        for (const auto& tunnel : service.tunnels(completion_.arguments.front())) {
            for (const auto& peer : tunnel.peers) found_.push_back({peer.public_key, peer.name});
        }
    }

    static std::string what(const Row& row) {
        return fmt::format("{} {} {}", row.host, row.protocol, row.internal_port);
    }

    const Completion& completion_;
    std::vector<Candidate> found_;
};

}  // namespace

void print(const Completion& completion, std::ostream& out) {
    auto all = completion.candidates;
    if (!completion.kinds.empty())
        std::ranges::move(Asker(completion).ask(), std::back_inserter(all));
    for (const auto& [word, description] : all) {
        if (!word.starts_with(completion.begun)) continue;
        out << word << '\t' << description << '\n';
    }
    if (std::ranges::find(completion.kinds, "FILE") != completion.kinds.end()) {
        out << "\tfiles\n";
    }
}

}  // namespace porthole::cli
