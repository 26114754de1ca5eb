// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/commands.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include <fmt/ostream.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "cli/exit_status.hpp"
#include "cli/output.hpp"
#include "cli/qr_code.hpp"
#include "cli/service.hpp"

namespace porthole::cli {
namespace {

std::string read_file(const std::string& name) {
    std::ifstream file;
    if (name != "-") file.open(name, std::ios::binary);
    std::ostringstream text;
    // Of a directory, only reading fails.
    if (auto& stream = name == "-" ? std::cin : file;
        stream.peek() != std::istream::traits_type::eof()) {
        text << stream.rdbuf();
    }
    if (name == "-" || (file.is_open() && !file.bad() && !text.fail())) return text.str();
    throw std::runtime_error("cannot read " + name + ": " + std::generic_category().message(errno));
}

// What came from outside may not be UTF-8, as JSON has to be.
std::string dump(const Json& json, int indent) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

/// Carries out a command; one operator() for each.
class Runner {
  public:
    Runner(Service& service, bool json, std::ostream& out, std::ostream& err)
        : service_(service), json_(json), out_(out), err_(err) {}

    void operator()(const Status&) {
        const auto status = to_json(service_.status());
        show(status, status_text(status));
    }

    void operator()(const List& command) {
        auto query = command.query;
        if (command.csv) query.emplace("origin", sdbus::Variant(std::string("api")));
        const auto [rows, generation] = service_.list(query);
        show({{"reservations", array_of(rows)}, {"total", rows.size()}, {"generation", generation}},
             command.csv ? to_csv(rows) : reservation_table(rows));
        if (!command.csv) return;
        const auto lossy = std::ranges::count_if(rows, [](const Row& row) {
            return row.expires != 0 || row.extras.contains("external-address");
        });
        if (lossy != 0) {
            fmt::print(err_, "note: {} have an end or an external address, which is not in CSV\n",
                       lossy);
        }
    }

    void operator()(const Find& command) {
        const auto rows = service_.owners(command);
        show({{"reservations", array_of(rows)}}, reservation_table(rows));
    }

    void operator()(const Apply& command) {
        const auto text = read_file(command.file);
        const auto wanted = command.file.ends_with(".toml") ? parse_toml(text, command.file)
                                                            : parse_csv(text, command.file);
        const auto [rows, generation] = service_.list({});
        const auto found = difference(rows, wanted, command.keep_others);
        if (!command.dry_run) service_.apply(found, generation);
        auto json = to_json(found);
        json["dry-run"] = command.dry_run;
        show(json, difference_text(found));
    }

    void operator()(const Reserve& command) {
        const auto row = service_.reserve(command);
        show_settled(row);
        const auto wanted = command.options.find("external-port");
        const auto port = wanted != command.options.end() ? wanted->second.get<std::uint16_t>()
                                                          : command.port.value();
        if (row.external_port != port) {
            fmt::print(err_, "note: the external port is {}, not {}\n", row.external_port, port);
        }
    }

    void operator()(const Change& command) { show_settled(service_.change(command)); }

    void operator()(const Release& command) {
        const auto ids = service_.release(command);
        show({{"released", ids}}, fmt::format("released {}\n", fmt::join(ids, ", ")));
    }

    void operator()(const ListConflicts&) {
        const auto conflicts = service_.conflicts();
        auto array = Json::array();
        for (const auto& conflict : conflicts) array.push_back(to_json(conflict));
        show({{"conflicts", array}}, conflict_table(conflicts));
    }

    void operator()(const ResolveConflict& command) {
        service_.resolve(command);
        show({{"resolved", command.id}, {"action", command.action}},
             fmt::format("resolved {}\n", command.id));
    }

    void operator()(const Reload&) {
        service_.reload();
        show({{"reloaded", true}}, "reloaded\n");
    }

    void operator()(const SetEnabled& command) {
        service_.set_enabled(command.enabled);
        show({{"enabled", command.enabled}}, command.enabled ? "on\n" : "off\n");
    }

    void operator()(const StartCheckpoint& command) {
        const auto id = service_.start_checkpoint(command.seconds);
        show({{"checkpoint", id}}, fmt::format("{}\n", id));
    }

    void operator()(const ExtendCheckpoint& command) {
        service_.extend_checkpoint(command);
        show({{"extended", command.id}}, fmt::format("extended {}\n", command.id));
    }

    void operator()(const EndCheckpoint& command) {
        service_.end_checkpoint(command);
        const auto* done = command.keep ? "committed" : "rolled-back";
        show({{done, command.id}}, fmt::format("{} {}\n", done, command.id));
    }

    void operator()(const ShowCheckpoint&) {
        const auto checkpoint = to_json(service_.active_checkpoint());
        show({{"active-checkpoint", checkpoint}},
             checkpoint.empty() ? "no checkpoint\n" : checkpoint.dump() + '\n');
    }

    void operator()(const ListHosts&) {
        const auto hosts = service_.hosts();
        auto array = Json::array();
        for (const auto& host : hosts) array.push_back(to_json(host));
        show({{"hosts", array}}, host_table(hosts));
    }

    void operator()(const Explain& command) {
        const auto explanation = to_json(service_.explain(command));
        show(explanation, explanation_text(explanation));
    }

    void operator()(const Monitor&) {
        const auto ready = [&](std::uint64_t generation) {
            if (json_) {
                line(event("start", generation));
            } else {
                fmt::print(err_, "watching from generation {}\n", generation);
            }
        };
        service_.monitor(ready, [&](const Announcement& news) { announce(news); });
    }

    void operator()(const CreateTunnel& command) {
        service_.create_tunnel(command);
        show_tunnels(command.name);
    }

    void operator()(const ConfigureTunnel& command) {
        service_.configure_tunnel(command);
        show_tunnels(command.name);
    }

    void operator()(const ExportPeer& command) {
        const auto text = service_.export_peer(command);
        show({{"configuration", text}}, drawn(text, command.qr));
        fmt::print(err_, "note: only the peer has its PrivateKey, which belongs to [Interface]\n");
    }

    void operator()(const Invite& command) {
        const auto answer = service_.invite(command);
        const auto line = answer.find("line");
        if (line != answer.end()) {
            show(to_json(answer), line->second.get<std::string>() + '\n');
            fmt::print(err_,
                       "note: whoever has this line can join; give it to \"portholectl tunnel "
                       "join\" on the other gateway, and what that prints to the same here\n");
            return;
        }
        const auto text = answer.at("configuration").get<std::string>();
        show(to_json(answer), drawn(text, command.qr));
    }

    void operator()(const Join& command) {
        if (command.file == "-" && isatty(STDIN_FILENO) == 1) {
            fmt::print(err_, "Paste the line:\n");
        }
        const auto answer = service_.join(read_file(command.file), command.options);
        const auto back = answer.find("answer");
        if (back != answer.end()) {
            show(to_json(answer), back->second.get<std::string>() + '\n');
            fmt::print(err_,
                       "note: {} is made; give this line to \"portholectl tunnel join\" on the "
                       "gateway that has invited\n",
                       answer.at("tunnel").get<std::string>());
        } else {
            show(to_json(answer),
                 fmt::format("{} has the peer {}\n", answer.at("tunnel").get<std::string>(),
                             answer.at("peer").get<std::string>()));
        }
    }

    void operator()(const ImportTunnel& command) {
        service_.import_tunnel(command.name, read_file(command.file));
        show_tunnels(command.name);
    }

    void operator()(const DeleteTunnel& command) {
        service_.delete_tunnel(command.name);
        show({{"deleted", command.name}}, fmt::format("deleted {}\n", command.name));
    }

    void operator()(const ShowTunnels& command) { show_tunnels(command.name); }

    void operator()(const SetPeer& command) {
        auto peer = command.peer;
        if (command.preshared_key_file) {
            auto key = read_file(*command.preshared_key_file);
            if (key.ends_with('\n')) key.pop_back();
            // The service would take it for the wish to have none.
            if (key.empty()) {
                throw std::runtime_error("there is no key in " + *command.preshared_key_file);
            }
            peer["preshared-key"] = sdbus::Variant(key);
        }
        service_.set_peer(command.tunnel, peer);
        show_tunnels(command.tunnel);
    }

    void operator()(const RemovePeer& command) {
        service_.remove_peer(command.tunnel, command.public_key);
        show({{"removed", command.public_key}}, fmt::format("removed {}\n", command.public_key));
    }

  private:
    static Json array_of(const std::vector<Row>& rows) {
        auto array = Json::array();
        for (const auto& row : rows) array.push_back(to_json(row));
        return array;
    }

    void show_tunnels(const std::optional<std::string>& name) {
        const auto tunnels = service_.tunnels(name);
        auto array = Json::array();
        for (const auto& tunnel : tunnels) array.push_back(to_json(tunnel));
        show({{"tunnels", array}}, tunnel_text(tunnels, std::time(nullptr)));
    }

    /// The text itself where it does not fit: nobody has another copy of its keys.
    std::string drawn(const std::string& text, bool qr) {
        if (!qr || json_) return text;
        try {
            return qr_code(text);
        } catch (const std::runtime_error& error) {
            fmt::print(err_, "note: {}\n", error.what());
            return text;
        }
    }

    static Json event(const char* name, std::uint64_t generation) {
        return {{"event", name}, {"generation", generation}};
    }

    void announce(const Announcement& news) {
        if (news.conflict) {
            const auto& conflict = *news.conflict;
            const auto name = "conflict-" + conflict.state;
            line({{"event", name}, {"conflict", to_json(conflict)}},
                 fmt::format("{}  {}", name, conflict_line(conflict)));
        }
        if (news.checkpoint) {
            const auto& [id, how] = *news.checkpoint;
            line({{"event", "checkpoint-ended"}, {"checkpoint", id}, {"how", how}},
                 fmt::format("checkpoint {}  {}", how, id));
        }
        if (news.reset) line(event("reset", news.generation), "reset");
        for (const auto& row : news.changed) {
            auto json = event("changed", news.generation);
            json["reservation"] = to_json(row);
            line(json, "changed  " + reservation_line(row));
        }
        for (const auto id : news.removed) {
            auto json = event("removed", news.generation);
            json["id"] = id;
            line(json, fmt::format("removed  {}", id));
        }
    }

    /// One line, at once: somebody waits for it.
    void line(const Json& json, const std::string& text = {}) {
        out_ << (json_ ? dump(json, -1) : text) << std::endl;
    }

    void show_settled(const Row& row) {
        show(row);
        if (row.state == "settling") {
            fmt::print(err_, "note: flows that had the port may still be there; see status\n");
        }
    }
    void show(const Row& row) { show(to_json(row), reservation_table({row})); }
    void show(const Json& json, const std::string& text) {
        out_ << (json_ ? dump(json, 2) + '\n' : text);
    }

    Service& service_;
    bool json_;
    std::ostream& out_;
    std::ostream& err_;
};

int report(const sdbus::Error& error, bool json, std::ostream& out, std::ostream& err) {
    const auto message = explanation(error.getName(), error.getMessage());
    fmt::print(err, "portholectl: {}\n", message);
    if (json) out << dump({{"error", error.getName()}, {"message", message}}, 2) << '\n';
    return exit_status(error.getName());
}

}  // namespace

int run(const Invocation& invocation, std::ostream& out, std::ostream& err) {
    try {
        Service service;
        std::visit(Runner(service, invocation.json, out, err), invocation.command);
        return exit_done;
    } catch (const sdbus::Error& error) {
        return report(error, invocation.json, out, err);
    } catch (const InvalidArgument& error) {  // in a file
        return report(sdbus::Error("org.porthole.Gateway1.Error.InvalidArgument", error.what()),
                      invocation.json, out, err);
    }
}

}  // namespace porthole::cli
