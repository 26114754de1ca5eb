// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "home.hpp"
#include "lab/namespace.hpp"
#include "lab/sockets.hpp"
#include "lab/wireguard.hpp"

namespace porthole::day {

enum class End : std::uint8_t { inside, outside };

/// A tunnel between a host of the home and a remote with a public address. All hosts listen on the
/// same port; each has an external one of its own.
class Tunnel {
  public:
    static constexpr std::uint16_t listen_port = 51820;
    static constexpr unsigned keepalive = 25;  ///< seconds, on both ends

    /// `number`: from 1 on. The remote of one whose filtering is endpoint-independent roams to
    /// other addresses, others to other ports of the same address: whom the owner never sent
    /// anything to does not reach it.
    Tunnel(Home& home, unsigned number, bool endpoint_independent);

    /// The host is gone; nothing reaches it.
    void sleep();
    void wake();
    [[nodiscard]] bool asleep() const { return asleep_; }
    /// The remote goes on from somewhere else, and tells nobody.
    void roam();

    /// Sends a question through the tunnel.
    void ask(End from);
    /// Takes what has come on this end, and answers the other end's questions.
    void receive(End at);
    /// Whether a question of this end was answered since the last call.
    [[nodiscard]] bool answered(End from);
    [[nodiscard]] int descriptor(End end) const { return socket(end).descriptor(); }

    [[nodiscard]] unsigned number() const { return number_; }
    [[nodiscard]] bool has_contacts() const { return !endpoint_independent_; }
    [[nodiscard]] std::uint16_t external_port() const;

  private:
    [[nodiscard]] const lab::UdpSocket& socket(End end) const {
        return *sockets_.at(static_cast<std::size_t>(end));
    }
    [[nodiscard]] std::string remote_address() const;

    Home& home_;
    unsigned number_;
    bool endpoint_independent_;
    bool asleep_ = false;
    unsigned moves_ = 0;
    lab::Namespace host_{"host"};
    lab::Namespace remote_{"remote"};
    std::array<std::optional<lab::WireGuard>, 2> wireguards_;
    std::array<std::optional<lab::UdpSocket>, 2> sockets_;
    std::array<bool, 2> answered_{};
};

}  // namespace porthole::day
