// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/arguments.hpp"

#include <charconv>
#include <functional>
#include <sstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/exit_status.hpp"

namespace porthole::cli {
namespace {

/// A number of the wire's type, in decimal digits.
template <typename T>
T parse_number(std::string_view field, const std::string& text) {
    T value = 0;
    const auto* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc() && rest == end) return value;
    throw InvalidArgument(field, text,
                          fmt::format("a number from 0 to {}", std::numeric_limits<T>::max()));
}

/// A subcommand while it is described to CLI11: its values go where they are wanted as they are
/// read.
class Description {
  public:
    Description(CLI::App& app, const char* name, const char* help)
        : command_(*app.add_subcommand(name, help)) {}
    /// A group of subcommands, one of which must be given.
    void require_one() { command_.require_subcommand(1); }

    void argument(const char* name, const char* help,
                  const std::function<void(const std::string&)>& take) {
        command_.add_option_function<std::string>(name, take, help)->required()->type_name("");
    }

    /// An option that the service knows by the same name; `to_wire` may throw InvalidArgument.
    template <typename ToWire>
    void option(Dictionary& dictionary, std::string key, const char* value, const char* help,
                ToWire to_wire) {
        const auto take = [&dictionary, key, to_wire](const std::string& text) {
            dictionary[key] = sdbus::Variant(to_wire(key, text));
        };
        command_.add_option_function<std::string>("--" + key, take, help)->type_name(value);
    }
    void text(Dictionary& dictionary, const char* key, const char* value, const char* help) {
        option(dictionary, key, value, help,
               [](const std::string&, const std::string& text) { return text; });
    }
    void port(Dictionary& dictionary, const char* key, const char* help) {
        option(dictionary, key, "N", help, [](const std::string& field, const std::string& text) {
            return parse<Port>(field, text).value();
        });
    }
    template <typename T>
    void number(Dictionary& dictionary, const char* key, const char* value, const char* help) {
        option(dictionary, key, value, help, parse_number<T>);
    }
    /// One that may come several times, and have commas.
    void list(Dictionary& dictionary, const std::string& key, const char* value, const char* help) {
        const auto take = [&dictionary, key](const std::vector<std::string>& texts) {
            dictionary[key] = sdbus::Variant(texts);
        };
        command_.add_option_function<std::vector<std::string>>("--" + key, take, help)
            ->delimiter(',')
            ->type_name(value);
    }
    void if_generation(Dictionary& dictionary) {
        number<std::uint64_t>(dictionary, "if-generation", "N",
                              "Only if nothing has changed since generation N");
    }

    [[nodiscard]] CLI::App& command() { return command_; }
    [[nodiscard]] bool given() const { return command_.parsed(); }

  private:
    CLI::App& command_;
};

std::variant<std::uint64_t, ExternalPort> parse_released(const std::string& text) {
    const auto colon = text.find(':');
    if (colon == std::string::npos) return parse_number<std::uint64_t>("ID", text);
    return ExternalPort{text.substr(0, colon),
                        parse<Port>("external-port", text.substr(colon + 1))};
}

}  // namespace

std::variant<Invocation, Stop> parse_arguments(const std::vector<std::string>& arguments) {
    CLI::App app("Asks and tells the Porthole service.", "portholectl");
    app.set_version_flag("--version", "portholectl " PORTHOLE_VERSION);
    app.require_subcommand(0, 1);
    app.fallthrough();
    app.failure_message([](const CLI::App*, const CLI::Error& error) {
        return fmt::format("portholectl: {}; see portholectl --help\n", error.what());
    });
    bool json = false;
    app.add_flag("--json", json, "Print JSON");

    Description status(app, "status", "Show what the service works with");

    List wanted;
    Description list(app, "list", "List reservations");
    list.text(wanted.query, "host", "HOST", "Only those of this host");
    list.text(wanted.query, "protocol", "P", "Only udp or tcp");
    list.port(wanted.query, "port", "Only those with this internal or external port");
    list.text(wanted.query, "origin", "O", "Only static, api or auto");
    list.text(wanted.query, "state", "S", "Only settling, active or waiting");
    list.text(wanted.query, "search", "T", "Only those with T in their host or comment");
    list.text(wanted.query, "sort", "K", "Sort by a column: id, host, external-port, expires, ...");
    list.command().add_flag_callback(
        "--descending", [&] { wanted.query["descending"] = sdbus::Variant(true); },
        "Sort the other way round");

    const auto details = [](Description& command, Dictionary& dictionary) {
        command.port(dictionary, "external-port", "The port on the WAN");
        command.text(dictionary, "external-address", "A",
                     "The one address of the WAN to have it on; any: all of them");
        command.text(dictionary, "filtering", "MODE",
                     "Who reaches it: address-dependent, address-and-port-dependent or "
                     "endpoint-independent");
        command.number<std::uint32_t>(dictionary, "lifetime", "S",
                                      "Seconds until it is released; 0: never");
        command.text(dictionary, "comment", "T", "At most 128 bytes");
    };

    Reserve reserved;
    Description reserve(app, "reserve", "Reserve a port for a host, or renew its reservation");
    reserve.argument("HOST", "IPv4, IPv6 or MAC address of a host on a LAN",
                     [&](const std::string& text) { reserved.host = text; });
    reserve.argument("PROTO", "udp or tcp",
                     [&](const std::string& text) { reserved.protocol = text; });
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

    Description hosts(app, "hosts", "Show who is on the LANs");

    Explain explained;
    Description explain(app, "explain", "Say what would become of a packet, and why");
    explain.argument("HOST", "IPv4, IPv6 or MAC address of the host that sends it",
                     [&](const std::string& text) { explained.host = text; });
    explain.argument("PROTO", "udp or tcp",
                     [&](const std::string& text) { explained.protocol = text; });
    explain.argument("PORT", "That the host sends it from",
                     [&](const std::string& text) { explained.port = parse<Port>("PORT", text); });
    explain.argument("REMOTE", "Where it is sent to, as ADDRESS:PORT",
                     [&](const std::string& text) { explained.remote = text; });

    Description monitor(app, "monitor", "Print changes as they happen");

    Description tunnel(app, "tunnel", "Make, show and change WireGuard tunnels of the gateway");
    tunnel.require_one();
    const auto tunnel_name = [](Description& command, std::string& name) {
        command.argument("NAME", "Of the tunnel's interface, like wg0",
                         [&name](const std::string& text) { name = text; });
    };

    CreateTunnel created;
    Description create(tunnel.command(), "create", "Make a tunnel");
    tunnel_name(create, created.name);
    create.list(created.settings, "addresses", "A", "Of the interface, like 10.9.0.1/24");
    create.port(created.settings, "listen-port", "Default: the first from 51820 on that is free");
    create.number<std::uint32_t>(created.settings, "mtu", "BYTES", "Default: from the path");
    create.number<std::uint32_t>(created.settings, "fwmark", "N", "Of the packets outside");
    create.text(created.settings, "table", "T", "For routes to allowed IPs: auto, off or a number");
    create.number<std::uint32_t>(created.settings, "metric", "N", "Of these routes");

    ImportTunnel imported;
    Description import_file(tunnel.command(), "import", "Make a tunnel from a file of wg-quick");
    tunnel_name(import_file, imported.name);
    import_file.argument("FILE", "Which one; -: standard input",
                         [&](const std::string& text) { imported.file = text; });

    DeleteTunnel deleted;
    Description remove(tunnel.command(), "delete", "Remove a tunnel with its keys and peers");
    tunnel_name(remove, deleted.name);

    ShowTunnels shown;
    Description show(tunnel.command(), "show", "Show tunnels and their peers");
    show.command().add_option("NAME", shown.name, "Of one tunnel; default: all")->type_name("");

    Description peer(tunnel.command(), "peer", "Change the peers of a tunnel");
    peer.require_one();
    const auto peer_key = [](Description& command, const std::function<void(std::string)>& take) {
        command.argument("PUBLIC-KEY", "Of the peer", take);
    };

    SetPeer set;
    Description set_peer(peer.command(), "set", "Add a peer, or change one");
    tunnel_name(set_peer, set.tunnel);
    peer_key(set_peer,
             [&](const std::string& text) { set.peer["public-key"] = sdbus::Variant(text); });
    set_peer.text(set.peer, "name", "T", "For people");
    set_peer.text(set.peer, "endpoint", "HOST:PORT", "Where it is; empty: learnt from its packets");
    set_peer.list(set.peer, "allowed-ips", "NETWORK", "What it may send from and is sent");
    set_peer.number<std::uint16_t>(set.peer, "keepalive", "S", "Default: 5; 0: none");
    set_peer.command()
        .add_option("--preshared-key-file", set.preshared_key_file,
                    "That has the key they share; -: standard input")
        ->type_name("FILE");

    RemovePeer removed;
    Description remove_peer(peer.command(), "remove", "Remove a peer");
    tunnel_name(remove_peer, removed.tunnel);
    peer_key(remove_peer, [&](const std::string& text) { removed.public_key = text; });

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
    if (conflicts.given()) return Invocation{ListConflicts{}, json};
    if (hosts.given()) return Invocation{ListHosts{}, json};
    if (explain.given()) return Invocation{explained, json};
    if (monitor.given()) return Invocation{Monitor{}, json};
    if (create.given()) return Invocation{created, json};
    if (import_file.given()) return Invocation{imported, json};
    if (remove.given()) return Invocation{deleted, json};
    if (show.given()) return Invocation{shown, json};
    if (set_peer.given()) return Invocation{set, json};
    if (remove_peer.given()) return Invocation{removed, json};
    return Invocation{Status{}, json};
}  // namespace porthole::cli

}  // namespace porthole::cli
