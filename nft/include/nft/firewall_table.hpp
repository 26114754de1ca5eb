// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "core/firewall.hpp"
#include "netlink/connection.hpp"
#include "netlink/socket.hpp"

namespace porthole::nft {

/// Table `inet porthole` of the calling thread's network namespace: a fixed skeleton of chains, and
/// sets and maps that hold everything that varies.
class FirewallTable : public FirewallBackend {
  public:
    /// Opens a socket of its own. Throws std::system_error.
    FirewallTable();
    explicit FirewallTable(std::unique_ptr<netlink::Transport> transport);

    void replace(const Firewall& firewall) override;
    void apply(const FirewallDifference& difference) override;
    [[nodiscard]] FirewallCounters counters() override;

    /// The netlink port that the changes come from; 0 for an injected transport.
    [[nodiscard]] std::uint32_t port_id() const { return port_id_; }

  private:
    explicit FirewallTable(std::unique_ptr<netlink::Socket> socket);

    std::uint32_t port_id_ = 0;
    netlink::Connection connection_;
};

/// The batch that replace() sends: the table, its chains and rules, and all elements.
netlink::FinalizedBatch encode_replacement(const Firewall& firewall,
                                           const FirewallCounters& counted = {});
/// The batch that apply() sends: elements only.
netlink::FinalizedBatch encode_difference(const FirewallDifference& difference);

}  // namespace porthole::nft
