// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "netlink/connection.hpp"
#include "types/address.hpp"

namespace porthole::netlink {

/// Asks the routing tables of the calling thread's network namespace, policy rules included.
class RouteFinder {
  public:
    RouteFinder();
    explicit RouteFinder(std::unique_ptr<Transport> transport);

    /// The index of the interface that packets from `host`, coming in from where it is, leave
    /// through to `destination`; 0: there is no way. Both of one family. Throws KernelFailure.
    [[nodiscard]] unsigned outgoing_interface(const Address& host, const Address& destination);

  private:
    unsigned route_to(const Address& destination, const Address& source, unsigned incoming);
    Connection connection_;
};

}  // namespace porthole::netlink
