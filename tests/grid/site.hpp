// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lab/namespace.hpp"
#include "lab/porthole.hpp"
#include "lab/wireguard.hpp"

namespace porthole::grid {

/// What stands between a host and the internet.
enum class Kind : std::uint8_t {
    strict,              ///< Porthole, address-and-port-dependent filtering
    address_dependent,   ///< Porthole, its default
    open,                ///< Porthole, endpoint-independent filtering
    dropping,            ///< stock masquerading, drops what comes in unsolicited
    accepting,           ///< stock masquerading, accepts it for itself
    random_port,         ///< masquerades to random ports
    full_cone,           ///< sends everything that comes for the port on to the host
    public_host,         ///< nothing
    behind_carrier_nat,  ///< a dropping one behind another that masquerades to random ports
};

std::string_view name(Kind kind);

constexpr std::uint16_t port = 51820;

/// A host with WireGuard and what is in front of it, on a bridge that stands for the internet.
class Site {
  public:
    /// `number`: 1 or 2; it makes the addresses. The port is reserved where Porthole is.
    Site(const lab::Namespace& internet, Kind kind, unsigned number);

    /// From now on the host sends to the other one. Both know each other's address and port.
    void start(const Site& other) const;
    /// Whether the other one answers through the tunnel within 20 s.
    [[nodiscard]] bool reaches(const Site& other) const;
    /// The interface of the internet that leads here.
    [[nodiscard]] const std::string& line() const { return line_; }

  private:
    void build_lan();
    void set_rules(Kind kind);
    void add_porthole(std::string_view filtering);

    unsigned number_;
    std::string line_;
    std::string wan_address_;
    std::string host_address_;
    std::string tunnel_address_;
    lab::Namespace carrier_{"carrier"};
    lab::Namespace gateway_{"gateway"};
    lab::Namespace host_{"host"};
    std::optional<lab::Porthole> porthole_;
    std::unique_ptr<lab::WireGuard> wireguard_;
};

}  // namespace porthole::grid
