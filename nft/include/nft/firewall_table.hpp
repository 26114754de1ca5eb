// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "core/firewall.hpp"
#include "netlink/connection.hpp"
#include "netlink/socket.hpp"
#include "nft/table_monitor.hpp"

namespace porthole::nft {

/// Table `inet porthole` of the calling thread's network namespace: a fixed skeleton of chains, and
/// sets and maps that hold everything that varies.
class FirewallTable : public FirewallBackend {
  public:
    /// Opens sockets of its own and watches the table from now on. Throws std::system_error.
    FirewallTable();
    /// `monitor` leaves out what comes from `transport`; without one nobody watches.
    explicit FirewallTable(std::unique_ptr<netlink::Transport> transport,
                           std::unique_ptr<TableMonitor> monitor = nullptr);
    ~FirewallTable() override;
    FirewallTable(const FirewallTable&) = delete;
    FirewallTable& operator=(const FirewallTable&) = delete;
    FirewallTable(FirewallTable&&) = delete;
    FirewallTable& operator=(FirewallTable&&) = delete;

    void replace(const Firewall& firewall) override;
    [[nodiscard]] bool apply(const FirewallDifference& difference) override;
    void remember(std::span<const Contact> contacts) override;
    void renew(std::span<const Contact> contacts) override;
    [[nodiscard]] bool has_timeouts() const override { return has_timeouts_; }
    [[nodiscard]] Obstruction obstruction() override;
    [[nodiscard]] FirewallCounters counters() override;

    /// For poll(2): readable when there is news of tables; -1 where nobody watches.
    [[nodiscard]] int descriptor() const;
    /// Whether a change of somebody else's may have gone unseen: no news will tell.
    [[nodiscard]] bool unsure() const { return unsure_; }
    /// Takes the news. True if somebody else changed the table, or may have; until replace().
    [[nodiscard]] bool changed_by_others();

  private:
    struct Content;
    explicit FirewallTable(std::unique_ptr<netlink::Socket> socket);
    [[nodiscard]] bool can_be_quiet(std::size_t reservations) const;
    void execute(netlink::FinalizedBatch batch, bool quietly);
    [[nodiscard]] std::uint32_t generation();

    std::unique_ptr<TableMonitor> monitor_;  // nothing: nobody watches
    netlink::Connection connection_;
    std::unique_ptr<Content> content_;  // what was put into the kernel last
    bool unsure_ = false;
    bool has_timeouts_ = true;  // until the kernel says otherwise
};

/// The batch that replace() sends: the table, its chains and rules, and all elements. `timeouts`:
/// the kernel has them.
netlink::FinalizedBatch encode_replacement(const Firewall& firewall,
                                           const FirewallCounters& counted = {},
                                           bool timeouts = true);
/// The batch that apply() sends after `from` was put there: elements only.
netlink::FinalizedBatch encode_difference(const Firewall& from,
                                          const FirewallDifference& difference);

}  // namespace porthole::nft
