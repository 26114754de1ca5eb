// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lab/sockets.hpp"
#include "netlink/transport.hpp"

namespace porthole::lab {

/// One direction of a flow.
struct Tuple {
    SocketAddress source;
    SocketAddress destination;
    bool operator==(const Tuple&) const = default;
};

/// An entry of the connection tracking table.
struct Flow {
    std::string protocol;  ///< "udp", "tcp"
    Tuple original;
    Tuple reply;
    bool unreplied = false;
    bool assured = false;
    unsigned timeout = 0;  ///< seconds
    std::string text;      ///< the line of conntrack(8)
    std::uint32_t id = 0;  ///< a flow that is deleted and comes again has another one
};

/// The UDP and TCP flows of a namespace, as conntrack(8) lists them.
std::vector<Flow> flows(const Namespace& where);
/// Those of them that `host` opened from `port`.
std::vector<Flow> flows_from(const Namespace& where, std::string_view host, std::uint16_t port);

/// Sees flows of a namespace appear from the moment it is made.
class FlowMonitor {
  public:
    explicit FlowMonitor(const Namespace& where);
    /// Waits until `host` has opened a flow from `port`; false if `limit` passes before.
    [[nodiscard]] bool wait_for(std::string_view host, std::uint16_t port, Duration limit) const;

  private:
    const Namespace& where_;
    std::unique_ptr<netlink::Transport> events_;
};

/// Sees IPv4 flows of a namespace end, from the moment it is made.
class FlowEndMonitor {
  public:
    explicit FlowEndMonitor(const Namespace& where);
    /// The addresses of the first packets of those that have ended since the last call, in the
    /// order of their ends. Throws std::runtime_error if there were more than the kernel could
    /// tell.
    [[nodiscard]] std::vector<Tuple> ended();

  private:
    std::unique_ptr<netlink::Transport> events_;
};

/// Reads one line of `conntrack -L`; nothing for a protocol without ports.
std::optional<Flow> parse_flow(const std::string& line);

}  // namespace porthole::lab
