// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

#include "netlink/batch.hpp"
#include "netlink/message.hpp"
#include "types/interfaces.hpp"
#include "wg/change.hpp"

// The messages of the generic netlink family "wireguard" (uapi/linux/wireguard.h). Pure.
namespace porthole::wg {

/// The messages of WG_CMD_SET_DEVICE that make this change, in their order; at least one. Only the
/// first one has what concerns the interface itself; a peer whose allowed IPs do not fit goes on in
/// the next one. Each must be done before the next is sent. They wipe themselves.
std::vector<netlink::FinalizedBatch> encode(std::uint16_t family, const InterfaceName& name,
                                            const DeviceChange& change);

/// Puts the parts of a dump by WG_CMD_GET_DEVICE together: a peer may go on in the next one.
class DeviceDecoder {
  public:
    /// False: the message cannot be understood. What was taken before stays.
    bool take(const nlmsghdr* message);
    /// What was taken is forgotten: the dump begins anew.
    void restart() { state_ = {}; }
    /// Sorted.
    [[nodiscard]] WireGuardState finish() &&;

  private:
    bool take_peer(const netlink::Attributes& attributes);
    WireGuardState state_;
};

}  // namespace porthole::wg
