// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "netlink/transport.hpp"

namespace porthole::nft {

/// Tells when somebody else has changed table `inet porthole`.
class TableMonitor {
  public:
    /// `own_port`: the netlink port whose changes are our own. Joins the notifications of nf_tables
    /// in the calling thread's network namespace. Throws std::system_error.
    explicit TableMonitor(std::uint32_t own_port);
    /// For a transport that does not carry our own changes.
    explicit TableMonitor(std::unique_ptr<netlink::Transport> transport);

    /// For poll(2).
    [[nodiscard]] int descriptor() const { return transport_->descriptor(); }
    /// Takes all pending notifications. True if one of them is about the table, or some were lost.
    [[nodiscard]] bool changed_by_others();

  private:
    std::unique_ptr<netlink::Transport> transport_;
    std::vector<std::byte> buffer_;
};

}  // namespace porthole::nft
