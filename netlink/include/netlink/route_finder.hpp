// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <optional>

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

    /// The largest packet, in bytes, that the gateway's own way to `destination` takes if it is
    /// marked with `fwmark` (0: it is not); nothing if there is no way, or one through the
    /// interface with the index `other_than` alone. Throws KernelFailure.
    [[nodiscard]] std::optional<std::uint32_t> path_mtu(const Address& destination,
                                                        std::uint32_t fwmark = 0,
                                                        unsigned other_than = 0);

  private:
    struct Route {
        unsigned interface = 0;  // 0: there is none
        std::uint32_t mtu = 0;   // 0: the interface's
    };
    Route route_to(const Address& destination, const Address& source, unsigned incoming,
                   std::uint32_t fwmark = 0);
    Connection connection_;
};

}  // namespace porthole::netlink
