// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/settler.hpp"

namespace porthole::nft {

/// Settles over ctnetlink in a thread of its own: one dump for all orders that wait, comparison in
/// user space, deletion by addresses and id.
class ConntrackSettler : public Settler {
  public:
    /// Opens its sockets in the calling thread's network namespace. Throws std::system_error.
    ConntrackSettler();
    ~ConntrackSettler() override;
    ConntrackSettler(const ConntrackSettler&) = delete;
    ConntrackSettler& operator=(const ConntrackSettler&) = delete;
    ConntrackSettler(ConntrackSettler&&) = delete;
    ConntrackSettler& operator=(ConntrackSettler&&) = delete;

    void settle(SettleOrder order) override;
    [[nodiscard]] int descriptor() const override { return descriptor_; }
    [[nodiscard]] std::optional<SettleReport> take_report() override;

  private:
    class Conntrack;
    void work(const std::stop_token& stop);
    [[nodiscard]] std::size_t settle_all(const std::vector<SettleOrder>& orders);

    std::unique_ptr<Conntrack> conntrack_;
    int descriptor_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::vector<SettleOrder> waiting_;    // guarded by mutex_
    std::optional<SettleReport> report_;  // guarded by mutex_
    std::jthread worker_;                 // last: it ends before the rest goes
};

}  // namespace porthole::nft
