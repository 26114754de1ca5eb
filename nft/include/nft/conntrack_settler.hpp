// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/settler.hpp"

namespace porthole::nft {

/// How much of a processor settling may take. A walk through conntrack is one system call of many
/// milliseconds, and on most kernels nobody else gets that processor meanwhile.
struct SettlingPace {
    /// So long no further order must come before a walk begins: what is ordered together is settled
    /// together, and whoever ordered it gets its answer first.
    std::chrono::microseconds quiet{1000};
    /// But no order waits longer for others.
    std::chrono::milliseconds longest_wait{250};
    /// However many orders come, a walk is followed by a rest of so many times the processor time
    /// that it took, up to this;
    int rest_factor = 10;
    std::chrono::milliseconds longest_rest{500};
    /// or of so many times, if it was for more than a few orders: who waits for each of his orders
    /// gives one at a time, and the kernel lets nothing else onto the processor during a walk,
    int rest_factor_of_many = 100;
    std::size_t few = 8;
    std::chrono::milliseconds longest_rest_of_many{1000};
};

class GracePeriod;

/// Settles over ctnetlink in a thread of its own: one dump for all orders that wait, comparison in
/// user space, deletion by addresses and id.
class ConntrackSettler : public Settler {
  public:
    /// Opens its sockets in the calling thread's network namespace. Throws std::system_error.
    explicit ConntrackSettler(const SettlingPace& pace = {});
    ~ConntrackSettler() override;
    ConntrackSettler(const ConntrackSettler&) = delete;
    ConntrackSettler& operator=(const ConntrackSettler&) = delete;
    ConntrackSettler(ConntrackSettler&&) = delete;
    ConntrackSettler& operator=(ConntrackSettler&&) = delete;

    void settle(SettleOrder order) override;
    [[nodiscard]] int descriptor() const override { return descriptor_; }
    [[nodiscard]] std::optional<SettleReport> take_report() override;

  private:
    using Clock = std::chrono::steady_clock;
    class Conntrack;
    void work(const std::stop_token& stop);
    [[nodiscard]] std::vector<SettleOrder> take_orders(const std::stop_token& stop,
                                                       Clock::time_point rested);
    /// The flows of one family.
    template <typename Bits>
    void settle_flows(const std::vector<SettleOrder>& orders, SettleReport& report);

    SettlingPace pace_;
    std::unique_ptr<Conntrack> conntrack_;
    int descriptor_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::vector<SettleOrder> waiting_;    // guarded by mutex_
    Clock::time_point first_, last_;      // when what waits was ordered; guarded by mutex_
    std::optional<SettleReport> report_;  // guarded by mutex_
    std::unique_ptr<GracePeriod> packets_on_their_way_;
    std::jthread worker_;  // last: it ends before the rest goes
};

}  // namespace porthole::nft
