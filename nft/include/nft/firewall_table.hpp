// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "core/firewall.hpp"
#include "netlink/connection.hpp"

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

  private:
    netlink::Connection connection_;
};

/// The batch that replace() sends: the table, its chains and rules, and all elements.
netlink::FinalizedBatch encode_replacement(const Firewall& firewall);
/// The batch that apply() sends: elements only.
netlink::FinalizedBatch encode_difference(const FirewallDifference& difference);

}  // namespace porthole::nft
