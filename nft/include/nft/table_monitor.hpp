// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "netlink/socket.hpp"

namespace porthole::nft {

/// Tells when somebody else has changed table `inet porthole`.
class TableMonitor {
  public:
    /// `own_port`: the netlink port whose changes are our own. Joins the notifications of nf_tables
    /// in the calling thread's network namespace. Throws std::system_error.
    explicit TableMonitor(std::uint32_t own_port);
    /// For a transport that does not carry our own changes, and that is always joined.
    explicit TableMonitor(std::unique_ptr<netlink::Transport> transport);

    /// Leaves the notifications for a while, and joins them again; what has arrived stays.
    /// Throws std::system_error.
    void leave();
    void join();

    /// For poll(2).
    [[nodiscard]] int descriptor() const { return transport_->descriptor(); }
    /// Takes all pending notifications. True if one of them is about the table, or some were lost.
    [[nodiscard]] bool changed_by_others();

  private:
    explicit TableMonitor(std::unique_ptr<netlink::Socket> socket);

    netlink::Socket* socket_ = nullptr;  // the transport, if it can leave
    std::unique_ptr<netlink::Transport> transport_;
    netlink::ReceiveBuffer buffer_;
};

}  // namespace porthole::nft
