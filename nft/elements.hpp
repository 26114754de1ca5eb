// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <span>

#include "core/firewall.hpp"
#include "netlink/batch.hpp"
#include "port_use.hpp"

namespace porthole::nft {

/// The sets and maps of the table.
namespace sets {
constexpr auto exact = "exact";              ///< protocol . source . source port : external port
constexpr auto exact_flows = "exact-flows";  ///< the keys of `exact` with their values joined
constexpr auto host_ports = "host-ports";    ///< protocol . external port, owned by a LAN host
constexpr auto own_ports = "own-ports";      ///< protocol . port of the gateway's
constexpr auto ports = "ports";              ///< protocol . port that anybody has on any side
constexpr auto wans = "wans";
constexpr auto masquerade_wans = "masquerade-wans";
constexpr auto nat_sources = "nat-sources";
constexpr auto exempt = "exempt";
constexpr auto wan_addresses = "wan-addresses";
constexpr auto collided = "collided";  ///< protocol . source . source port that the guard stopped
}  // namespace sets

enum class Edit : std::uint8_t { add, remove };

/// Appends the commands that add elements to, or remove them from, what stands for them in the
/// table. Elements to be added must not be there yet, those to be removed must be.
void edit_mappings(netlink::Batch& batch, Edit edit, std::span<const Mapping> mappings);
void edit_ports(netlink::Batch& batch, Edit edit, const char* set,
                std::span<const ProtocolPort> ports);
void edit_interfaces(netlink::Batch& batch, Edit edit, const char* set,
                     std::span<const InterfaceName> names);
void edit_networks(netlink::Batch& batch, Edit edit, const char* set,
                   std::span<const Network> networks);
void edit_addresses(netlink::Batch& batch, Edit edit, const char* set,
                    std::span<const Address> addresses);
/// The elements of an anonymous set of protocols.
void add_protocols(netlink::Batch& batch, std::uint32_t set_id,
                   std::span<const Protocol> protocols);

}  // namespace porthole::nft
