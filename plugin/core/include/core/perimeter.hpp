// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <set>

#include "core/configuration.hpp"
#include "core/firewall.hpp"
#include "types/interfaces.hpp"

namespace porthole {

enum class Side : std::uint8_t { wan, lan, neither };

template <>
struct TextForm<Side> {
    static constexpr std::string_view allowed = "\"wan\", \"lan\" or \"neither\"";
    static std::optional<Side> parse(std::string_view text);
    static std::string format(const Side& side);
};

/// One interface of the gateway and what it was taken for.
struct PerimeterInterface {
    InterfaceName name;
    Side side = Side::neither;
    std::string reason;              ///< why, in words
    std::vector<Address> addresses;  ///< IPv4 and IPv6
    bool operator==(const PerimeterInterface&) const = default;
};

/// What is inside and what is outside: the interfaces that are there, sorted by name.
struct Perimeter {
    std::vector<PerimeterInterface> interfaces;
    Scope scope;
    /// Whose hosts NAT66 is for, whether there is such a LAN now or not; none: for nobody.
    std::vector<Network> nat66_networks = {};
    bool operator==(const Perimeter&) const = default;
};

/// What its WAN addresses say about a gateway's way out.
enum class Reach : std::uint8_t {
    none,           ///< no IPv4 address
    carrier_grade,  ///< behind the NAT of a carrier (RFC 6598)
    of_private,     ///< "private": behind another NAT (RFC 1918)
    of_public,      ///< "public"
};

template <>
struct TextForm<Reach> {
    static constexpr std::string_view allowed =
        "\"none\", \"carrier-grade\", \"private\" or \"public\"";
    static std::optional<Reach> parse(std::string_view text);
    static std::string format(const Reach& reach);
};

/// The best of an interface's addresses.
Reach reach_of(const PerimeterInterface& interface);

/// Chooses the sides of all interfaces, from the configuration or by the default rules: a WAN is
/// the device of a default route in the main table unless it is a tunnel; LANs are the other
/// Ethernet-like devices with a private address, without the bridges of containers and virtual
/// machines. Configured names count even while no such interface is there.
Perimeter choose_perimeter(const Configuration& configuration, const InterfaceSnapshot& snapshot);

/// Whether packets from this address are translated.
bool is_nat_source(const Scope& scope, const HostKey& host);

/// The indexes of the LAN links.
std::set<int> lan_links(const Perimeter& perimeter, const InterfaceSnapshot& snapshot);

/// The index of the LAN link that this host is on; nothing for one behind another router, for the
/// gateway itself and for what cannot be a host's address.
std::optional<int> lan_link_of(const Perimeter& perimeter, const InterfaceSnapshot& snapshot,
                               const Address& host);

/// Whether the gateway itself has this address on an interface.
bool has_address(const Perimeter& perimeter, const Address& address);

/// Whether a host on a LAN can have this address, and a reservation for it.
bool is_lan_host(const Perimeter& perimeter, const Address& address);

/// Throws InvalidArgument where `host` is an address of the gateway's own.
void require_not_own(const Perimeter& perimeter, const HostKey& host);

/// Throws InvalidArgument where `host` is an IPv4 address that is not in a network whose sources
/// are translated, an IPv6 address in no network of a LAN's, or the network's own or the gateway's
/// own address. A MAC address can always come to a LAN.
void require_lan_host(const Perimeter& perimeter, const HostKey& host);
/// Throws InvalidArgument where `address` is a fixed one that no WAN has.
void require_wan_address(const Perimeter& perimeter, const std::optional<ExternalAddress>& address);

}  // namespace porthole
