// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "lab/sockets.hpp"

namespace porthole::fault {

/// A socket of a host behind the gateway.
struct Inside {
    std::string host;
    std::uint16_t port;
    auto operator<=>(const Inside&) const = default;
};

/// What the remotes saw: where packets of an inner socket came from, and how many.
using Observed = std::map<Inside, std::map<lab::SocketAddress, std::size_t>>;

/// Hosts that talk to remotes, and a stranger who talks to the gateway's ports, in a thread of its
/// own. It knows nothing of Porthole: it sees only what arrives.
class Traffic {
  public:
    Traffic(std::vector<lab::UdpSocket> inside, std::vector<Inside> names,
            std::vector<lab::UdpSocket> remotes, std::vector<lab::SocketAddress> remote_addresses,
            lab::UdpSocket stranger, std::uint64_t seed);
    ~Traffic();
    Traffic(const Traffic&) = delete;
    Traffic& operator=(const Traffic&) = delete;
    Traffic(Traffic&&) = delete;
    Traffic& operator=(Traffic&&) = delete;

    /// Ports of the gateway that the stranger knocks at from now on.
    void set_stranger_targets(std::vector<lab::SocketAddress> targets);
    /// Begins to take down what is sent from now on.
    void begin();
    /// What was taken down since begin(), of what was sent since then.
    [[nodiscard]] Observed end();
    [[nodiscard]] std::size_t sent() const { return sent_; }
    /// Of the stranger's: what reached a host, ever.
    [[nodiscard]] std::size_t strangers_let_in() const { return strangers_; }

  private:
    void run(const std::stop_token& stop);
    void send();
    void receive();

    std::vector<lab::UdpSocket> inside_;
    std::vector<Inside> names_;
    std::vector<lab::UdpSocket> remotes_;
    std::vector<lab::SocketAddress> remote_addresses_;
    lab::UdpSocket stranger_;
    std::mt19937_64 random_;
    std::atomic<std::uint64_t> epoch_{0};  // odd: packets that are sent now count
    std::atomic<std::size_t> sent_{0};
    std::atomic<std::size_t> strangers_{0};
    std::mutex mutex_;
    Observed observed_;                        // guarded by mutex_
    std::vector<lab::SocketAddress> targets_;  // guarded by mutex_
    std::jthread thread_;                      // last: it ends before the rest goes
};

}  // namespace porthole::fault
