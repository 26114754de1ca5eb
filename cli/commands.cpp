// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/commands.hpp"

#include <algorithm>
#include <type_traits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/exit_status.hpp"
#include "cli/output.hpp"
#include "cli/service.hpp"
#include "input.hpp"
#include "printer.hpp"
#include "report_commands.hpp"
#include "tunnel_commands.hpp"

namespace porthole::cli {
namespace {

constexpr auto settling = "flows to be settled";

/// Carries out a command; one operator() for each.
class Runner {
  public:
    Runner(Service& service, Printer& printer) : service_(service), printer_(printer) {}

    void operator()(const List& command) {
        auto query = command.query;
        if (command.csv) query.emplace("origin", sdbus::Variant(std::string("api")));
        const auto [rows, generation] = service_.list(query);
        printer_.show(
            {{"reservations", array_of(rows)}, {"total", rows.size()}, {"generation", generation}},
            command.csv ? to_csv(rows) : reservation_table(rows, printer_.look()));
        if (!command.csv) return;
        const auto lossy = std::ranges::count_if(rows, [](const Row& row) {
            return row.expires != 0 || row.extras.contains("external-address");
        });
        if (lossy != 0) {
            printer_.note("{} have an end or an external address, which is not in CSV", lossy);
        }
    }

    void operator()(const Find& command) {
        const auto rows = service_.owners(command);
        printer_.show({{"reservations", array_of(rows)}}, reservation_table(rows, printer_.look()));
    }

    void operator()(const Apply& command) {
        const auto text = read_file(command.file);
        const auto wanted = command.file.ends_with(".toml") ? parse_toml(text, command.file)
                                                            : parse_csv(text, command.file);
        const auto [rows, generation] = service_.list({});
        const auto found = difference(rows, wanted, command.keep_others);
        if (!command.dry_run) {
            const auto progress = printer_.waiting_for(settling);
            service_.apply(found, generation);
        }
        auto json = to_json(found);
        json["dry-run"] = command.dry_run;
        printer_.show(json, difference_text(found));
    }

    void operator()(const Reserve& command) {
        const auto row = [&] {
            const auto progress = printer_.waiting_for(settling);
            return service_.reserve(command);
        }();
        show_settled(row);
        const auto wanted = command.options.find("external-port");
        const auto port = wanted != command.options.end() ? wanted->second.get<std::uint16_t>()
                                                          : command.port.value();
        if (row.external_port != port) {
            printer_.note("the external port is {}, not {}", row.external_port, port);
        }
    }

    void operator()(const Change& command) {
        const auto row = [&] {
            const auto progress = printer_.waiting_for(settling);
            return service_.change(command);
        }();
        show_settled(row);
    }

    void operator()(const Release& command) {
        const auto ids = service_.release(command);
        printer_.show({{"released", ids}}, fmt::format("released {}\n", fmt::join(ids, ", ")));
    }

    void operator()(const ListConflicts&) {
        const auto conflicts = service_.conflicts();
        auto array = Json::array();
        for (const auto& conflict : conflicts) array.push_back(to_json(conflict));
        printer_.show({{"conflicts", array}}, conflict_table(conflicts));
    }

    void operator()(const ResolveConflict& command) {
        service_.resolve(command);
        printer_.show({{"resolved", command.id}, {"action", command.action}},
                      fmt::format("resolved {}\n", command.id));
    }

    void operator()(const Reload&) {
        {
            const auto progress = printer_.waiting_for("the configuration to be taken over");
            service_.reload();
        }
        printer_.show({{"reloaded", true}}, "reloaded\n");
    }

    void operator()(const SetEnabled& command) {
        service_.set_enabled(command.enabled);
        printer_.show({{"enabled", command.enabled}}, command.enabled ? "on\n" : "off\n");
    }

    void operator()(const StartCheckpoint& command) {
        const auto id = service_.start_checkpoint(command.seconds);
        printer_.show({{"checkpoint", id}}, fmt::format("{}\n", id));
    }

    void operator()(const ExtendCheckpoint& command) {
        service_.extend_checkpoint(command);
        printer_.show({{"extended", command.id}}, fmt::format("extended {}\n", command.id));
    }

    void operator()(const EndCheckpoint& command) {
        service_.end_checkpoint(command);
        const auto* done = command.keep ? "committed" : "rolled-back";
        printer_.show({{done, command.id}}, fmt::format("{} {}\n", done, command.id));
    }

    void operator()(const ShowCheckpoint&) {
        const auto checkpoint = to_json(service_.active_checkpoint());
        printer_.show({{"active-checkpoint", checkpoint}},
                      checkpoint.empty() ? "no checkpoint\n" : checkpoint.dump() + '\n');
    }

    void operator()(const ListHosts&) {
        const auto hosts = service_.hosts();
        auto array = Json::array();
        for (const auto& host : hosts) array.push_back(to_json(host));
        printer_.show({{"hosts", array}}, host_table(hosts, printer_.look()));
    }

    void operator()(const Explain& command) {
        const auto explanation = to_json(service_.explain(command));
        printer_.show(explanation, explanation_text(explanation));
    }

    void operator()(const Monitor&) {
        const auto ready = [&](std::uint64_t generation) {
            if (printer_.json()) {
                printer_.line(event("start", generation));
            } else {
                printer_.say("watching from generation {}", generation);
            }
        };
        service_.monitor(ready, [&](const Announcement& news) { announce(news); });
    }

  private:
    static Json array_of(const std::vector<Row>& rows) {
        auto array = Json::array();
        for (const auto& row : rows) array.push_back(to_json(row));
        return array;
    }

    static Json event(const char* name, std::uint64_t generation) {
        return {{"event", name}, {"generation", generation}};
    }

    void announce(const Announcement& news) {
        if (news.conflict) {
            const auto& conflict = *news.conflict;
            const auto name = "conflict-" + conflict.state;
            printer_.line({{"event", name}, {"conflict", to_json(conflict)}},
                          fmt::format("{}  {}", name, conflict_line(conflict)));
        }
        if (news.checkpoint) {
            const auto& [id, how] = *news.checkpoint;
            printer_.line({{"event", "checkpoint-ended"}, {"checkpoint", id}, {"how", how}},
                          fmt::format("checkpoint {}  {}", how, id));
        }
        if (news.reset) printer_.line(event("reset", news.generation), "reset");
        for (const auto& row : news.changed) {
            auto json = event("changed", news.generation);
            json["reservation"] = to_json(row);
            printer_.line(json, "changed  " + reservation_line(row));
        }
        for (const auto id : news.removed) {
            auto json = event("removed", news.generation);
            json["id"] = id;
            printer_.line(json, fmt::format("removed  {}", id));
        }
    }

    void show_settled(const Row& row) {
        show(row);
        if (row.state == "settling") {
            printer_.note("flows that had the port may still be there; see status");
        }
    }
    void show(const Row& row) {
        printer_.show(to_json(row), reservation_table({row}, printer_.look()));
    }

    Service& service_;
    Printer& printer_;
};

int refused(const sdbus::Error& error, Printer& printer) {
    const auto message = explanation(error.getName(), error.getMessage());
    printer.say("portholectl: {}", message);
    printer.show({{"error", error.getName()}, {"message", message}}, "");
    return exit_status(error.getName());
}

int carry_out(const Command& command, Printer& printer) {
    try {
        Service service;
        return std::visit(
            [&](const auto& each) {
                using Each = decltype(each);
                if constexpr (std::is_invocable_v<ReportCommands, Each>) {
                    return ReportCommands(service, printer)(each);
                } else if constexpr (std::is_invocable_v<TunnelCommands, Each>) {
                    TunnelCommands(service, printer)(each);
                } else {
                    Runner(service, printer)(each);
                }
                return exit_done;
            },
            command);
    } catch (const sdbus::Error& error) {
        if (exit_status(error.getName()) != exit_unreachable) throw;
        const auto status = ReportCommands::without_service(command, printer, error);
        if (!status) throw;
        return *status;
    }
}

}  // namespace

int run(const Invocation& invocation, const Console& console) {
    Printer printer(invocation.json, console);
    try {
        return carry_out(invocation.command, printer);
    } catch (const sdbus::Error& error) {
        return refused(error, printer);
    } catch (const InvalidArgument& error) {  // in a file
        return refused(sdbus::Error("org.porthole.Gateway1.Error.InvalidArgument", error.what()),
                       printer);
    }
}

}  // namespace porthole::cli
