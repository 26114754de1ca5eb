// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bus_client.hpp"
#include "core/firewall.hpp"
#include "lab/namespace.hpp"
#include "lab/porthole.hpp"
#include "stopwatch.hpp"

namespace porthole::bench {

/// host eth0 ─── lan  gateway  wan ─── eth0 outside
struct Site {
    static constexpr std::string_view lan_address = "10.0.0.1";
    static constexpr std::string_view lan_network = "10.0.0.0/16";
    static constexpr std::string_view host_address = "10.0.0.2";
    static constexpr std::string_view wan_address = "203.0.113.1";
    static constexpr std::string_view outside_address = "203.0.113.2";

    Site();

    lab::Namespace host{"host"};
    lab::Namespace gateway{"gateway"};
    lab::Namespace outside{"outside"};
};

inline constexpr std::string_view configuration = R"(
[wan]
interfaces = ["wan"]
[lan]
interfaces = ["lan"]
)";

/// The existing reservation number `i`, below 60,000: udp and tcp in turns, the external port equal
/// to the internal one, from 10000 upwards, of 200 hosts.
dbus::RequestRow existing_row(std::size_t i);
Mapping existing_mapping(std::size_t i);
/// A UDP port that no existing reservation has; below 10,000 of them.
constexpr std::uint16_t free_port(std::size_t i) { return static_cast<std::uint16_t>(45'000 + i); }

/// The service with its bus and a client.
class Service {
  public:
    /// Starts it and makes the first `existing` reservations.
    explicit Service(const lab::Namespace& gateway, std::size_t existing = 0,
                     const lab::Setting& setting = {});

    [[nodiscard]] BusClient& client() { return *client_; }
    [[nodiscard]] lab::Porthole& porthole() { return porthole_; }
    /// Reserves the first `count` in one call; their ids.
    std::vector<std::uint64_t> reserve_existing(std::size_t count);
    /// Reads the property Version: a call that does nothing.
    void trivial_call();
    /// Waits until no flow is being settled.
    void wait_until_settled();
    /// The CPU time of the thread that serves the bus, in seconds.
    [[nodiscard]] double cpu_time();
    /// That of all its threads.
    [[nodiscard]] double cpu_time_of_all();

  private:
    lab::Porthole porthole_;
    std::unique_ptr<BusClient> client_;
};

}  // namespace porthole::bench
