// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <optional>

#include <linux/netlink.h>

#include "netlink/connection.hpp"
#include "types/interfaces.hpp"

namespace porthole::netlink {

/// Decoders: pure functions of one message. Nothing for a message of another type, one that is cut
/// short, or one about something that InterfaceSnapshot does not hold.
std::optional<Link> decode_link(const nlmsghdr* message);
std::optional<LinkAddress> decode_address(const nlmsghdr* message);
/// The same, also of one that cannot be used yet, or never, as duplicates are looked for (RFC 4862,
/// section 5.4).
std::optional<LinkAddress> decode_assigned_address(const nlmsghdr* message);
/// One for each next hop; only of the main table, only with a destination of length 0.
std::vector<DefaultRoute> decode_default_route(const nlmsghdr* message);
/// Whether a notification can change an InterfaceSnapshot. Full routing tables change all day
/// without changing one.
bool concerns_interfaces(const nlmsghdr* message);

/// The interfaces, addresses and default routes of the calling thread's network namespace.
class InterfaceReader {
  public:
    InterfaceReader();
    explicit InterfaceReader(std::unique_ptr<Transport> transport);
    /// Throws KernelFailure.
    [[nodiscard]] InterfaceSnapshot read();

  private:
    Connection connection_;
};

/// Tells when a new InterfaceSnapshot should be read.
class InterfaceMonitor {
  public:
    /// Joins the notification groups of links, addresses and routes of both families.
    InterfaceMonitor();
    explicit InterfaceMonitor(std::unique_ptr<Transport> transport);

    [[nodiscard]] int descriptor() const { return transport_->descriptor(); }
    /// Takes all pending notifications. True if one of them concerns the interfaces, or if some
    /// were lost.
    [[nodiscard]] bool changed();

  private:
    std::unique_ptr<Transport> transport_;
    ReceiveBuffer buffer_;
};

}  // namespace porthole::netlink
