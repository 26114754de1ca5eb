// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "home.hpp"
#include "lab/deadline.hpp"
#include "tunnel.hpp"

namespace porthole::day {

using lab::Clock;
using Seconds = std::chrono::duration<double>;

/// How often something has happened, and how long the tunnels took.
struct Outcome {
    std::size_t events = 0;
    std::vector<Seconds> times = {};
};

/// Ten tunnels through one gateway. Hosts sleep, remotes roam, the provider changes the WAN's
/// address, and one more host contacts everybody. After each of these the tunnels have to be up
/// again within one keepalive and one handshake.
class Day {
  public:
    Day(std::chrono::hours length, unsigned seed);
    /// Takes `length`, and ten minutes more for those that are late.
    void run();
    /// Prints what was seen; whether all of it is as it should be.
    [[nodiscard]] bool report() const;

  private:
    /// A tunnel that is to come up again.
    struct Expected {
        Tunnel* tunnel;
        End asking;  ///< the end that does not know what has happened
        std::string event;
        Clock::time_point since;
    };

    void at(Clock::duration time, std::function<void()> action);
    Clock::duration moment(std::chrono::hours hour, std::chrono::minutes first,
                           std::chrono::minutes last);
    Tunnel& any_tunnel();

    void plan();
    void change_address();
    void roam(Tunnel& tunnel);
    void sleep(Tunnel& tunnel, Clock::duration time);
    void talk();
    void ask_everybody();
    void look();
    void measure_sets();

    void expect(Tunnel& tunnel, const std::string& event, End asking);
    void expect_all(const std::string& event, End asking);
    [[nodiscard]] bool is_expected(const Tunnel& tunnel) const;
    void wait_until(Clock::time_point time);
    void receive(Clock::time_point until);
    void settle_expected();

    std::chrono::hours length_;
    std::mt19937 random_;
    Home home_;
    std::vector<std::unique_ptr<Tunnel>> tunnels_;
    lab::Namespace talker_{"talker"};
    std::optional<lab::UdpSocket> talker_socket_;

    Clock::time_point start_;
    std::multimap<Clock::time_point, std::function<void()>> agenda_;
    std::vector<Expected> expected_;
    std::map<std::string, Outcome> outcomes_;
    std::size_t asked_ = 0;  // when nothing had happened
    std::vector<std::string> unanswered_;
    std::size_t looks_ = 0;
    std::size_t live_ = 0;
    std::vector<std::string> forgotten_;  // contacts of live flows
    std::map<std::string, day::Fill> fullest_;
};

}  // namespace porthole::day
