// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <linux/netlink.h>

#include "core/sighting.hpp"
#include "netlink/connection.hpp"

namespace porthole::nft {

/// One packet that a rule has logged.
struct LoggedPacket {
    Sighting from;
    std::uint32_t sequence = 0;  ///< of the log's group: one more from packet to packet
    bool operator==(const LoggedPacket&) const = default;
};

/// Decodes a message of nfnetlink_log about a UDP or TCP packet over IPv4 (RFC 791) or IPv6 (RFC
/// 8200). Nothing for others, for fragments behind the first, for IPv6 with extension headers, and
/// for what is cut short.
std::optional<LoggedPacket> decode_logged_packet(const nlmsghdr* message);

/// Hears of the first packets of hosts' flows from watched ports, by NFLOG: other flows do not wake
/// anybody. The rules are the table's (Scope::watched and Scope::watches_moves).
class FlowWatch {
  public:
    /// Binds to the table's group in the calling thread's network namespace, for as long as this
    /// lives; the rule can only be made where the kernel has nfnetlink_log. Throws KernelFailure
    /// (EBUSY: another program has the group) or std::system_error.
    FlowWatch();
    explicit FlowWatch(std::unique_ptr<netlink::Transport> transport);

    /// For poll(2).
    [[nodiscard]] int descriptor() const { return connection_.transport().descriptor(); }
    /// Takes all that is there, without waiting. `lost` where the kernel had no room for a packet.
    [[nodiscard]] Sightings take();

  private:
    netlink::Connection connection_;
    netlink::ReceiveBuffer buffer_;
    std::optional<std::uint32_t> last_;  // sequence number; nothing: there was no packet yet
};

}  // namespace porthole::nft
