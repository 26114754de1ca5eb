// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <span>
#include <vector>

#include "types/listener.hpp"

namespace porthole {

/// Tells the ports that the gateway itself keeps from those that its programs have for a moment, to
/// ask something and read the answer.
class OwnPorts {
  public:
    /// `ephemeral`: what the kernel chooses such ports from (net.ipv4.ip_local_port_range).
    explicit OwnPorts(const PortRange& ephemeral) : ephemeral_(ephemeral) {}

    /// The ports that can be reached over a WAN, sorted. To be called with all sockets every few
    /// seconds: an ephemeral port counts when it is there for the third time in a row, or when the
    /// kernel itself has it open.
    std::vector<ProtocolPort> update(std::span<const Listener> listeners,
                                     std::span<const Address> wan_addresses);

  private:
    PortRange ephemeral_;
    std::map<ProtocolPort, int> seen_;  // the ephemeral ones, and how often in a row
};

}  // namespace porthole
