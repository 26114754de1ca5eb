// SPDX-License-Identifier: GPL-2.0-or-later
#include "tunnel_commands.hpp"

#include <ctime>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/peer_file.hpp"
#include "cli/qr_code.hpp"
#include "input.hpp"
#include "wg/quick_file.hpp"

namespace porthole::cli {

void TunnelCommands::operator()(const CreateTunnel& command) {
    service_.create_tunnel(command);
    show_tunnels(command.name);
}

void TunnelCommands::operator()(const ConfigureTunnel& command) {
    service_.configure_tunnel(command);
    show_tunnels(command.name);
}

void TunnelCommands::operator()(const ExportPeer& command) {
    const auto text = service_.export_peer(command);
    printer_.show({{"configuration", text}}, drawn(text, command.qr));
    printer_.note("only the peer has its PrivateKey, which belongs to [Interface]");
}

void TunnelCommands::operator()(const Invite& command) {
    const auto answer = service_.invite(command);
    const auto line = answer.find("line");
    if (line != answer.end()) {
        printer_.show(to_json(answer), line->second.get<std::string>() + '\n');
        printer_.note(
            "whoever has this line can join; give it to \"portholectl tunnel "
            "join\" on the other gateway, and what that prints to the same here");
        return;
    }
    const auto text = answer.at("configuration").get<std::string>();
    printer_.show(to_json(answer), drawn(text, command.qr));
}

void TunnelCommands::operator()(const Join& command) {
    if (command.file == "-" && isatty(STDIN_FILENO) == 1) {
        printer_.say("Paste the line:");
    }
    const auto answer = service_.join(read_file(command.file), command.options);
    const auto back = answer.find("answer");
    if (back != answer.end()) {
        printer_.show(to_json(answer), back->second.get<std::string>() + '\n');
        printer_.note(
            "{} is made; give this line to \"portholectl tunnel join\" on the "
            "gateway that has invited",
            answer.at("tunnel").get<std::string>());
    } else {
        printer_.show(to_json(answer),
                      fmt::format("{} has the peer {}\n", answer.at("tunnel").get<std::string>(),
                                  answer.at("peer").get<std::string>()));
    }
}

void TunnelCommands::operator()(const ImportTunnel& command) {
    service_.import_tunnel(command.name, read_file(command.file));
    show_tunnels(command.name);
}

void TunnelCommands::operator()(const DeleteTunnel& command) {
    service_.delete_tunnel(command.name);
    printer_.show({{"deleted", command.name}}, fmt::format("deleted {}\n", command.name));
}

void TunnelCommands::operator()(const ShowTunnels& command) { show_tunnels(command.name); }

void TunnelCommands::operator()(const SetPeer& command) {
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

void TunnelCommands::operator()(const ApplyPeers& command) {
    auto wanted = wg::parse_quick_file(read_file(command.file));
    const auto peers = std::exchange(wanted.peers, {});
    const auto present = service_.tunnels(command.tunnel).front().peers;
    const auto found = peer_difference(present, peers);
    if (!command.dry_run) {
        const auto progress = printer_.waiting_for("the peers to be taken over");
        service_.set_peers(command.tunnel, to_wire(present, peers));
    }
    auto json = to_json(found);
    json["dry-run"] = command.dry_run;
    printer_.show(json, difference_text(found));
    if (!found.uncertain.empty()) {
        printer_.note("{} have a preshared key, which nobody can compare", found.uncertain.size());
    }
    if (wanted != TunnelSettings{}) {
        printer_.note("[Interface] stays as it is; see portholectl tunnel configure");
    }
}

void TunnelCommands::operator()(const RemovePeer& command) {
    service_.remove_peer(command.tunnel, command.public_key);
    printer_.show({{"removed", command.public_key}},
                  fmt::format("removed {}\n", command.public_key));
}

void TunnelCommands::show_tunnels(const std::optional<std::string>& name) {
    const auto tunnels = service_.tunnels(name);
    auto array = Json::array();
    for (const auto& tunnel : tunnels) array.push_back(to_json(tunnel));
    printer_.show({{"tunnels", array}}, tunnel_text(tunnels, std::time(nullptr), printer_.look()));
}

// The text itself where it does not fit: nobody has another copy of its keys.
std::string TunnelCommands::drawn(const std::string& text, bool qr) {
    if (!qr || printer_.json()) return text;
    try {
        return qr_code(text);
    } catch (const std::runtime_error& error) {
        printer_.note("{}", error.what());
        return text;
    }
}

}  // namespace porthole::cli
