// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>

#include "cli/service.hpp"
#include "printer.hpp"

namespace porthole::cli {

/// Carries out the commands about tunnels.
class TunnelCommands {
  public:
    TunnelCommands(Service& service, Printer& printer) : service_(service), printer_(printer) {}

    void operator()(const CreateTunnel& command);
    void operator()(const ConfigureTunnel& command);
    void operator()(const ImportTunnel& command);
    void operator()(const ExportPeer& command);
    void operator()(const Invite& command);
    void operator()(const Join& command);
    void operator()(const DeleteTunnel& command);
    void operator()(const ShowTunnels& command);
    void operator()(const SetPeer& command);
    void operator()(const ApplyPeers& command);
    void operator()(const RemovePeer& command);

  private:
    void show_tunnels(const std::optional<std::string>& name);
    std::string drawn(const std::string& text, bool qr);

    Service& service_;
    Printer& printer_;
};

}  // namespace porthole::cli
