// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <linux/netlink.h>

#include "netlink/connection.hpp"
#include "types/listener.hpp"

namespace porthole::netlink {

/// Decodes one socket of a dump of sockets of `protocol` (inet_diag_msg of the kernel's
/// inet_diag.h). Nothing for a message that is cut short, and for a socket without a port.
std::optional<Listener> decode_listener(const nlmsghdr* message, Protocol protocol);

/// The sockets of the calling thread's network namespace that receive from anybody, over IPv4 or
/// IPv6. The kernel has no notifications of them.
class ListenerReader {
  public:
    ListenerReader();
    explicit ListenerReader(std::unique_ptr<Transport> transport);
    /// Throws KernelFailure; ENOENT where the kernel's module udp_diag or tcp_diag is missing.
    [[nodiscard]] std::vector<Listener> read();

  private:
    Connection connection_;
};

}  // namespace porthole::netlink
