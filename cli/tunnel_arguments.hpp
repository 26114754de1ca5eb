// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>

#include "description.hpp"

namespace porthole::cli {

/// "portholectl tunnel …", described to CLI11.
class TunnelArguments {
  public:
    explicit TunnelArguments(CLI::App& app);
    TunnelArguments(const TunnelArguments&) = delete;
    TunnelArguments& operator=(const TunnelArguments&) = delete;
    TunnelArguments(TunnelArguments&&) = delete;
    TunnelArguments& operator=(TunnelArguments&&) = delete;
    ~TunnelArguments() = default;

    /// What was given of it, once the arguments are parsed.
    [[nodiscard]] std::optional<Command> given() const;

  private:
    void describe_tunnels();
    void describe_invitations();
    void describe_peers();
    static void add_name(Description& command, std::string& name);
    static void add_tunnel(Description& command, std::string& name);
    static void add_key(Description& command, const std::function<void(std::string)>& take);
    static void add_settings(Description& command, Dictionary& settings);
    static void add_other_side(Description& command, Dictionary& options);

    Description tunnel_;
    CreateTunnel created_;
    Description create_{tunnel_.command(), "create", "Make a tunnel"};
    ConfigureTunnel configured_;
    Description configure_{tunnel_.command(), "configure", "Change a tunnel"};
    ImportTunnel imported_;
    Description import_{tunnel_.command(), "import", "Make a tunnel from a file of wg-quick"};
    ExportPeer exported_;
    Description export_{tunnel_.command(), "export", "Print the file of a peer's side"};
    Invite invited_;
    Description invite_{tunnel_.command(), "invite",
                        "Give a device or another gateway a place in a tunnel"};
    Join joined_;
    Description join_{tunnel_.command(), "join",
                      "Take the line of another gateway's invitation, or of its answer"};
    DeleteTunnel deleted_;
    Description delete_{tunnel_.command(), "delete", "Remove a tunnel with its keys and peers"};
    ShowTunnels shown_;
    Description show_{tunnel_.command(), "show", "Show tunnels and their peers"};
    Description peer_{tunnel_.command(), "peer", "Change the peers of a tunnel"};
    SetPeer set_;
    Description set_peer_{peer_.command(), "set", "Add a peer, or change one"};
    ApplyPeers applied_;
    Description apply_peers_{peer_.command(), "apply", "Make the peers those of a file"};
    RemovePeer removed_;
    Description remove_peer_{peer_.command(), "remove", "Remove a peer"};
};

}  // namespace porthole::cli
