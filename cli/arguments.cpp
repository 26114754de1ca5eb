// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/arguments.hpp"

#include <sstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/exit_status.hpp"
#include "complete.hpp"
#include "description.hpp"
#include "manager_arguments.hpp"
#include "tunnel_arguments.hpp"

namespace porthole::cli {
namespace {

constexpr auto protocols = "udp|tcp";

std::variant<std::uint64_t, ExternalPort> parse_released(const std::string& text) {
    const auto colon = text.find(':');
    if (colon == std::string::npos) return parse_number<std::uint64_t>("ID", text);
    return ExternalPort{text.substr(0, colon),
                        parse<Port>("external-port", text.substr(colon + 1))};
}

}  // namespace

std::variant<Invocation, Stop, Completion> parse_arguments(
    const std::vector<std::string>& arguments) {
    CLI::App app("Asks and tells the Porthole service.", "portholectl");
    app.set_version_flag("--version", "portholectl " PORTHOLE_VERSION);
    app.require_subcommand(0, 1);
    app.fallthrough();
    app.failure_message([](const CLI::App*, const CLI::Error& error) {
        return fmt::format("portholectl: {}; see portholectl --help\n", error.what());
    });
    bool json = false;
    app.add_flag("--json", json, "Print JSON");

    Status shown;
    Description status(app, "status", "Say whether all is well, and what to do if it is not");
    status.command().add_flag("--all", shown.all, "Show all that the service works with");

    Description diagnose(app, "diagnose", "Print a report for whoever helps, without keys");

    Description metrics(app, "metrics", "Print metrics in the OpenMetrics format");

    List wanted;
    Description list(app, "list", "List reservations");
    list.text(wanted.query, "host", "HOST", "Only those of this host");
    list.text(wanted.query, "protocol", protocols, "Only those of this protocol");
    list.port(wanted.query, "port", "Only those with this internal or external port");
    list.text(wanted.query, "origin", "static|api|auto", "Only those of this origin");
    list.text(wanted.query, "state", "active|settling|waiting", "Only those in this state");
    list.text(wanted.query, "search", "T", "Only those with T in their host or comment");
    list.text(wanted.query, "sort",
              "id|host|protocol|internal-port|external-port|origin|state|expires|last-seen",
              "Sort by this");
    list.command().add_flag_callback(
        "--descending", [&] { wanted.query["descending"] = sdbus::Variant(true); },
        "Sort the other way round");
    list.command().add_flag("--export", wanted.csv,
                            "Print CSV for portholectl apply; without --origin: those of api");

    Find found;
    Description find(app, "find", "Show who has an external port");
    find.argument(
        "PROTO", "The protocol", [&](const std::string& text) { found.protocol = text; },
        protocols);
    find.argument("PORT", "The port on the WAN",
                  [&](const std::string& text) { found.port = parse<Port>("PORT", text); });

    Apply applied;
    Description apply(app, "apply", "Make the reservations those of a file");
    apply.argument("FILE", "CSV, or TOML if its name ends in .toml; -: CSV from standard input",
                   [&](const std::string& text) { applied.file = text; });
    apply.command().add_flag("--dry-run", applied.dry_run, "Only show what would be done");
    apply.command().add_flag("--keep-others", applied.keep_others,
                             "Do not release those that are not in the file");

    const auto details = [](Description& command, Dictionary& dictionary) {
        command.port(dictionary, "external-port", "The port on the WAN");
        command.text(dictionary, "external-address", "any|ADDRESS",
                     "The one address of the WAN to have it on; any: all of them");
        command.text(dictionary, "filtering",
                     "address-dependent|address-and-port-dependent|endpoint-independent",
                     "Who reaches it: addresses, or addresses and ports, that it has sent to; "
                     "everybody");
        command.number<std::uint32_t>(dictionary, "lifetime", "S",
                                      "Seconds until it is released; 0: never");
        command.text(dictionary, "comment", "T", "At most 128 bytes");
    };

    Reserve reserved;
    Description reserve(app, "reserve", "Reserve a port for a host, or renew its reservation");
    reserve.argument("HOST", "IPv4, IPv6 or MAC address of a host on a LAN",
                     [&](const std::string& text) { reserved.host = text; });
    reserve.argument(
        "PROTO", "The protocol", [&](const std::string& text) { reserved.protocol = text; },
        protocols);
    reserve.argument("PORT", "The host's own port",
                     [&](const std::string& text) { reserved.port = parse<Port>("PORT", text); });
    details(reserve, reserved.options);
    reserve.text(reserved.options, "on-conflict", "fail|next",
                 "If the external port is taken: fail (default), or take the next free one");
    reserve.if_generation(reserved.options);

    Change changed;
    Description change(app, "change", "Change a reservation");
    change.argument("ID", "Of the reservation", [&](const std::string& text) {
        changed.id = parse_number<std::uint64_t>("ID", text);
    });
    details(change, changed.changes);
    change.if_generation(changed.options);

    Release released;
    Description release(app, "release", "Release reservations, all or none");
    release.command()
        .add_option_function<std::vector<std::string>>(
            "ID|PROTO:EXTERNAL_PORT",
            [&](const std::vector<std::string>& texts) {
                for (const auto& text : texts)
                    released.reservations.push_back(parse_released(text));
            },
            "Which ones")
        ->required()
        ->type_name("");
    release.if_generation(released.options);

    Description conflicts(app, "conflicts", "Show what keeps ports from being kept");
    conflicts.command().require_subcommand(0, 1);
    ResolveConflict resolved;
    Description resolve(conflicts.command(), "resolve", "End a conflict");
    resolve.argument("ID", "Of the conflict", [&](const std::string& text) {
        resolved.id = parse_number<std::uint64_t>("ID", text);
    });
    resolve.argument("ACTION", "One of what ends it, as conflicts shows them",
                     [&](const std::string& text) { resolved.action = text; });
    resolve.if_generation(resolved.options);

    Description hosts(app, "hosts", "Show who is on the LANs");

    Explain explained;
    Description explain(app, "explain", "Say what would become of a packet, and why");
    explain.argument("HOST", "IPv4, IPv6 or MAC address of the host that sends it",
                     [&](const std::string& text) { explained.host = text; });
    explain.argument(
        "PROTO", "The protocol", [&](const std::string& text) { explained.protocol = text; },
        protocols);
    explain.argument("PORT", "That the host sends it from",
                     [&](const std::string& text) { explained.port = parse<Port>("PORT", text); });
    explain.argument("REMOTE", "Where it is sent to, as ADDRESS:PORT",
                     [&](const std::string& text) { explained.remote = text; });

    Description monitor(app, "monitor", "Print changes as they happen");

    const TunnelArguments tunnel(app);
    const ManagerArguments manager(app);

    if (!arguments.empty() && arguments.front() == "complete") {
        const auto first =
            arguments.begin() + (arguments.size() > 1 && arguments[1] == "--" ? 2 : 1);
        return complete(app, {first, arguments.end()});
    }

    try {
        app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
        if (app.get_subcommands().empty()) throw CLI::RequiredError("A command");
    } catch (const CLI::ParseError& stop) {
        std::ostringstream text;
        const auto code = app.exit(stop, text, text);
        return Stop{code == 0 ? exit_done : exit_usage, text.str()};
    } catch (const InvalidArgument& error) {
        return Stop{exit_usage, fmt::format("portholectl: {}\n", error.what())};
    }

    if (list.given()) return Invocation{wanted, json};
    if (reserve.given()) return Invocation{reserved, json};
    if (change.given()) return Invocation{changed, json};
    if (release.given()) return Invocation{released, json};
    if (find.given()) return Invocation{found, json};
    if (apply.given()) return Invocation{applied, json};
    if (resolve.given()) return Invocation{resolved, json};
    if (conflicts.given()) return Invocation{ListConflicts{}, json};
    if (hosts.given()) return Invocation{ListHosts{}, json};
    if (explain.given()) return Invocation{explained, json};
    if (monitor.given()) return Invocation{Monitor{}, json};
    if (auto command = tunnel.given()) return Invocation{*std::move(command), json};
    if (auto command = manager.given()) return Invocation{*std::move(command), json};
    if (diagnose.given()) return Invocation{Diagnose{}, json};
    if (metrics.given()) return Invocation{Metrics{}, json};
    return Invocation{shown, json};
}

}  // namespace porthole::cli
