// SPDX-License-Identifier: GPL-2.0-or-later
#include "tunnel_arguments.hpp"

namespace porthole::cli {

TunnelArguments::TunnelArguments(CLI::App& app)
    : tunnel_(app, "tunnel", "Make, show and change WireGuard tunnels of the gateway") {
    tunnel_.require_one();
    describe_tunnels();
    describe_invitations();
    describe_peers();
}

void TunnelArguments::add_name(Description& command, std::string& name) {
    command.argument("NAME", "Of the tunnel's interface, like wg0",
                     [&name](const std::string& text) { name = text; });
}

void TunnelArguments::add_tunnel(Description& command, std::string& name) {
    command.argument("TUNNEL", "Its name", [&name](const std::string& text) { name = text; });
}

void TunnelArguments::add_key(Description& command, const std::function<void(std::string)>& take) {
    command.argument("PUBLIC-KEY", "Of the peer", take);
}

void TunnelArguments::add_settings(Description& command, Dictionary& settings) {
    command.list(settings, "addresses", "A", "Of the interface, like 10.9.0.1/24");
    command.port(settings, "listen-port", "Default: the first from 51820 on that is free");
    command.number<std::uint32_t>(settings, "mtu", "BYTES", "Default, and 0: from the path");
    command.number<std::uint32_t>(settings, "fwmark", "N", "Of the packets outside");
    command.text(settings, "table", "auto|off|N", "The routing table for allowed IPs");
    command.number<std::uint32_t>(settings, "metric", "N", "Of these routes");
}

void TunnelArguments::add_other_side(Description& command, Dictionary& options) {
    command.text(options, "endpoint", "HOST:PORT",
                 "Where it finds this gateway; default: the public address of a WAN");
    command.list(options, "allowed-ips", "NETWORK",
                 "What it sends through the tunnel; default: the networks of tunnel and LANs");
    command.list(options, "dns", "SERVER", "For its resolver");
}

void TunnelArguments::describe_tunnels() {
    add_name(create_, created_.name);
    add_settings(create_, created_.settings);

    add_tunnel(configure_, configured_.name);
    add_settings(configure_, configured_.settings);

    add_name(import_, imported_.name);
    import_.argument("FILE", "Which one; -: standard input",
                     [this](const std::string& text) { imported_.file = text; });

    add_tunnel(delete_, deleted_.name);

    show_.command().add_option("TUNNEL", shown_.name, "Only this one")->type_name("");
}

void TunnelArguments::describe_invitations() {
    add_tunnel(export_, exported_.tunnel);
    add_key(export_, [this](const std::string& text) { exported_.public_key = text; });
    add_other_side(export_, exported_.options);
    export_.command().add_flag("--qr", exported_.qr, "As a QR code");

    add_tunnel(invite_, invited_.tunnel);
    invite_.text(invited_.options, "name", "T", "For people");
    invite_.list(invited_.options, "addresses", "A", "In the tunnel; default: the first free one");
    add_other_side(invite_, invited_.options);
    invite_.command().add_flag("--qr", invited_.qr, "As a QR code, for a phone");
    invite_.command().add_flag_callback(
        "--gateway", [this] { invited_.options["gateway"] = sdbus::Variant(true); },
        "Another gateway with Porthole: print a line for \"portholectl tunnel join\" there");
    invite_.list(invited_.options, "networks", "NETWORK",
                 "With --gateway: what it can reach here; default: the networks of the LANs");
    invite_.number<std::uint32_t>(invited_.options, "lifetime", "S",
                                  "With --gateway: how long the line can be used; default: a day");

    join_.command()
        .add_option("FILE", joined_.file, "That has the line; default: standard input")
        ->type_name("");
    join_.text(joined_.options, "name", "NAME",
               "Of the tunnel's interface; default: wg0, wg1, ...");
    join_.text(joined_.options, "endpoint", "HOST:PORT",
               "Where the other one finds this gateway; default: the public address of a WAN");
    join_.list(joined_.options, "networks", "NETWORK",
               "What it can reach here; default: the networks of the LANs");
}

void TunnelArguments::describe_peers() {
    peer_.require_one();
    add_tunnel(set_peer_, set_.tunnel);
    add_key(set_peer_,
            [this](const std::string& text) { set_.peer["public-key"] = sdbus::Variant(text); });
    set_peer_.text(set_.peer, "name", "T", "For people");
    set_peer_.text(set_.peer, "endpoint", "HOST:PORT",
                   "Where it is; empty: learnt from its packets");
    set_peer_.list(set_.peer, "allowed-ips", "NETWORK", "What it may send from and is sent");
    set_peer_.number<std::uint16_t>(set_.peer, "keepalive", "S", "Default: 5; 0: none");
    set_peer_.command()
        .add_option("--preshared-key-file", set_.preshared_key_file,
                    "That has the key they share; -: standard input")
        ->type_name("FILE");

    add_tunnel(apply_peers_, applied_.tunnel);
    apply_peers_.argument("FILE", "Of wg-quick or of wg setconf; -: standard input",
                          [this](const std::string& text) { applied_.file = text; });
    apply_peers_.command().add_flag("--dry-run", applied_.dry_run, "Only show what would be done");

    add_tunnel(remove_peer_, removed_.tunnel);
    add_key(remove_peer_, [this](const std::string& text) { removed_.public_key = text; });
}

std::optional<Command> TunnelArguments::given() const {
    if (create_.given()) return created_;
    if (configure_.given()) return configured_;
    if (import_.given()) return imported_;
    if (export_.given()) return exported_;
    if (invite_.given()) return invited_;
    if (join_.given()) return joined_;
    if (delete_.given()) return deleted_;
    if (show_.given()) return shown_;
    if (set_peer_.given()) return set_;
    if (apply_peers_.given()) return applied_;
    if (remove_peer_.given()) return removed_;
    return std::nullopt;
}

}  // namespace porthole::cli
