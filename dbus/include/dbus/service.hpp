// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>

#include "core/checkpoints.hpp"
#include "core/event_loop.hpp"
#include "core/invitations.hpp"
#include "core/peer_watch.hpp"
#include "core/static_tunnels.hpp"

namespace sdbus {
class IConnection;
}

namespace porthole::dbus {

class GatewayObject;

/// The system bus is not there, went away or does not let us have our name. Nothing can be done
/// about it but to say so and exit; a service manager starts the daemon again.
class BusFailure : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A connection to the system bus, or to the one that DBUS_SYSTEM_BUS_ADDRESS names.
class Bus {
  public:
    /// Connects. Throws BusFailure, also where another process has the name of the service: so that
    /// a second daemon stops before it touches the kernel.
    Bus();
    ~Bus();
    Bus(const Bus&) = delete;
    Bus& operator=(const Bus&) = delete;
    Bus(Bus&&) = delete;
    Bus& operator=(Bus&&) = delete;

    [[nodiscard]] sdbus::IConnection& connection() { return *connection_; }

  private:
    std::unique_ptr<sdbus::IConnection> connection_;
};

/// What clients can have done.
struct UseCases {
    Gateway& gateway;
    Tunnels& tunnels;
    Invitations& invitations;
    PeerWatch& peers;
    StaticTunnels& static_tunnels;
    Checkpoints& checkpoints;
    Tracer& tracer;
};

/// The gateway as org.porthole.Gateway1.xml describes it to its clients.
class Service final : public EventSource {
  public:
    using ReadConfiguration = std::function<Configuration()>;
    /// The files of wg-quick(8).
    struct TunnelFiles {
        std::function<TunnelSettings(std::string_view)> read;
        std::function<SecretText(const TunnelSettings&)> write;
    };

    /// Exports the objects; calls are answered from the event loop on. What is given by reference
    /// must outlive the service. `read_configuration` serves Reload(), `tunnel_files` Import(),
    /// Export() and Invite(); what they throw is the answer.
    Service(Bus& bus, const UseCases& use_cases, ReadConfiguration read_configuration,
            TunnelFiles tunnel_files);
    ~Service() override;
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;
    Service(Service&&) = delete;
    Service& operator=(Service&&) = delete;

    /// Reads the configuration again, as Reload() does. What that throws is for the caller.
    void reload();
    /// The last step of start-up: from now on clients find the service. Throws BusFailure.
    void request_name();

    /// Answers the calls that are there and announces changes. Throws BusFailure when the bus has
    /// gone, or takes nothing any more.
    Interest prepare() override;
    /// Nothing is left to do: the next prepare() does the work.
    void dispatch() override {}

  private:
    using Clock = std::chrono::steady_clock;

    Interest held_up(Clock::duration time);
    void announce_changes();
    void announce_hosts();

    Bus& bus_;
    Gateway& gateway_;
    std::unique_ptr<GatewayObject> object_;
    Clock::time_point next_announcement_;  ///< not before this
    Clock::time_point next_host_announcement_;
    /// The generation of which everything was announced.
    std::uint64_t announced_ = gateway_.generation();
    bool bus_is_busy_ = false;         ///< it had not taken all of our last messages
    std::uint64_t hosts_version_ = 0;  ///< as it was announced
};

}  // namespace porthole::dbus
