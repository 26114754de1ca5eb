// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <optional>

#include <linux/netlink.h>

#include "netlink/connection.hpp"
#include "netlink/socket.hpp"
#include "types/neighbour.hpp"

namespace porthole::netlink {

/// Decodes one entry of the neighbour table. Nothing for a message that is cut short, and for an
/// entry without a usable MAC address.
std::optional<Neighbour> decode_neighbour(const nlmsghdr* message);

/// The neighbour table of the calling thread's network namespace.
class NeighbourTable {
  public:
    NeighbourTable();
    explicit NeighbourTable(std::unique_ptr<Transport> transport);

    /// Those whose MAC address is known. Throws KernelFailure.
    [[nodiscard]] std::vector<Neighbour> read();
    /// Has the kernel ask for them now: who answers is a confirmed neighbour. Throws KernelFailure.
    void probe(const LinkNeighbour& wanted);

  private:
    Connection connection_;
};

/// Tells when somebody may have become a confirmed neighbour; only while it is asked to.
class NeighbourMonitor {
  public:
    NeighbourMonitor();
    /// Joins the kernel's notifications, or leaves them. Throws std::system_error.
    void listen(bool wanted);
    /// For poll(2).
    [[nodiscard]] int descriptor() const { return socket_.descriptor(); }
    /// Takes all pending notifications. True if there was one, or some were lost.
    [[nodiscard]] bool changed();

  private:
    Socket socket_;
    ReceiveBuffer buffer_;
    bool listening_ = false;
};

}  // namespace porthole::netlink
