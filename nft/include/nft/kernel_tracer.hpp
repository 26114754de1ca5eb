// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/tracer.hpp"
#include "netlink/connection.hpp"
#include "netlink/route_finder.hpp"

namespace porthole::nft {

/// Asks the routing tables and conntrack of the calling thread's network namespace: one entry at a
/// time, without a walk through all of them.
class KernelTracer final : public Tracer {
  public:
    KernelTracer();

    [[nodiscard]] int way_out(const Address& host, const Address& remote) override;
    [[nodiscard]] std::optional<TrackedFlow> flow_of(Protocol protocol, const Place& source,
                                                     const Place& destination) override;

  private:
    netlink::RouteFinder routes_;
    netlink::Connection conntrack_;
};

}  // namespace porthole::nft
