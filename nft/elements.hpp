// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <span>

#include "core/firewall.hpp"
#include "netlink/batch.hpp"
#include "port_use.hpp"

namespace porthole::nft {

/// The sets and maps of the table.
namespace sets {
constexpr auto exact = "exact";              ///< protocol . source . source port : external port
constexpr auto exact_flows = "exact-flows";  ///< the keys of `exact` with their values joined
constexpr auto owners = "owners";            ///< protocol . external port : source . source port
constexpr auto host_ports = "host-ports";    ///< protocol . external port, owned by a LAN host
/// The same, of those only whose filtering is endpoint-independent.
constexpr auto endpoint_independent = "endpoint-independent";
/// The same, of those only whose filtering is not address-dependent: they need no contacts.
constexpr auto without_contacts = "without-contacts";
constexpr auto contacts = "contacts";  ///< protocol . remote . external port
/// protocol . external port that was sent on to its owner, until a packet for it gets through
constexpr auto undelivered = "undelivered";
constexpr auto learners = "learners";    ///< source: how many contacts it has made lately
constexpr auto own_ports = "own-ports";  ///< protocol . port of the gateway's
constexpr auto ports = "ports";          ///< protocol . port that anybody has on any side
constexpr auto wans = "wans";
constexpr auto masquerade_wans = "masquerade-wans";
constexpr auto nat_sources = "nat-sources";
constexpr auto exempt = "exempt";
constexpr auto wan_addresses = "wan-addresses";
constexpr auto collided = "collided";  ///< protocol . source . source port that the guard stopped
// Of those that are bound to one of the WANs' addresses, which is in the keys, too:
constexpr auto fixed = "fixed";  ///< protocol . source . source port : external address . port
constexpr auto fixed_flows = "fixed-flows";    ///< the keys of `fixed` with their values joined
constexpr auto fixed_owners = "fixed-owners";  ///< protocol . external address . port : …
constexpr auto fixed_ports = "fixed-ports";    ///< the keys of `fixed-owners`
constexpr auto bound_ports = "bound-ports";    ///< the same without the addresses
constexpr auto fixed_endpoint_independent = "fixed-endpoint-independent";
constexpr auto fixed_without_contacts = "fixed-without-contacts";
constexpr auto fixed_contacts = "fixed-contacts";  ///< protocol . remote . external address . port
// Of IPv6 hosts that are translated, as without "nat66" and "ipv6" above:
constexpr auto nat66 = "nat66";
constexpr auto nat66_flows = "nat66-flows";
constexpr auto nat66_owners = "nat66-owners";
constexpr auto nat66_ports = "nat66-ports";
constexpr auto nat66_endpoint_independent = "nat66-endpoint-independent";
constexpr auto nat66_without_contacts = "nat66-without-contacts";
constexpr auto nat66_contacts = "nat66-contacts";
constexpr auto nat66_undelivered = "nat66-undelivered";
constexpr auto nat66_learners = "nat66-learners";
constexpr auto ipv6_nat_sources = "ipv6-nat-sources";
constexpr auto ipv6_wan_addresses = "ipv6-wan-addresses";
constexpr auto ipv6_collided = "ipv6-collided";
// Of IPv6 hosts at their own addresses:
constexpr auto pinholes = "pinholes";  ///< protocol . host . port
/// The same, of those only whose filtering is endpoint-independent.
constexpr auto open_pinholes = "open-pinholes";
/// The same, of those only whose filtering is not address-dependent.
constexpr auto pinholes_without_contacts = "pinholes-without-contacts";
constexpr auto pinhole_contacts = "pinhole-contacts";  ///< protocol . remote . host . port
/// protocol . host . port that somebody was let in for, until a packet for it gets through
constexpr auto undelivered_pinholes = "undelivered-pinholes";
constexpr auto pinhole_learners = "pinhole-learners";  ///< host: how many contacts it has made
}  // namespace sets

/// The sets that mappings are in.
struct MappingSets {
    const char* exact;
    const char* exact_flows;
    const char* owners;
    const char* ports;
    const char* endpoint_independent;
    const char* without_contacts;
};
inline constexpr MappingSets any_address_sets{
    sets::exact,      sets::exact_flows,          sets::owners,
    sets::host_ports, sets::endpoint_independent, sets::without_contacts};
inline constexpr MappingSets fixed_address_sets{sets::fixed,
                                                sets::fixed_flows,
                                                sets::fixed_owners,
                                                sets::fixed_ports,
                                                sets::fixed_endpoint_independent,
                                                sets::fixed_without_contacts};
inline constexpr MappingSets nat66_sets{sets::nat66,
                                        sets::nat66_flows,
                                        sets::nat66_owners,
                                        sets::nat66_ports,
                                        sets::nat66_endpoint_independent,
                                        sets::nat66_without_contacts};

/// So long a contact lasts that nobody renews. Flows that live longer than it have it renewed.
constexpr std::chrono::seconds contact_lifetime{600};
/// A host makes so many contacts at once, and then so many a second: within a lifetime, as many as
/// it can have.
constexpr std::uint32_t contacts_at_once = 400;
constexpr std::uint32_t contacts_per_second = 1;
static_assert(contacts_at_once + contacts_per_second * contact_lifetime.count() ==
              most_contacts_of_a_host);
/// Whoever was not let through once is tried again within this time, or does not matter any more.
constexpr std::chrono::seconds undelivered_lifetime{3600};
/// Of all hosts together, for each of the sets of contacts.
constexpr std::uint32_t most_contacts = 131072;

enum class Edit : std::uint8_t {
    add,     ///< what must not be there yet
    put,     ///< what may be there already, and stays as it is then
    remove,  ///< what must be there
};

/// Appends the commands that add elements to, or remove them from, what stands for them in the
/// table.
void edit_mappings(netlink::Batch& batch, Edit edit, std::span<const Mapping> mappings);
void edit_pinholes(netlink::Batch& batch, Edit edit, std::span<const Pinhole> pinholes);
void edit_ports(netlink::Batch& batch, Edit edit, const char* set,
                std::span<const ProtocolPort> ports);
void edit_interfaces(netlink::Batch& batch, Edit edit, const char* set,
                     std::span<const InterfaceName> names);
void edit_networks(netlink::Batch& batch, Edit edit, const char* set,
                   std::span<const Network> networks);
void edit_addresses(netlink::Batch& batch, Edit edit, const char* set,
                    std::span<const Address> addresses);
/// The set that this contact is in.
const char* set_of(const Contact& contact);
/// They last for contact_lifetime.
void edit_contacts(netlink::Batch& batch, Edit edit, std::span<const Contact> contacts);
/// Removes all elements, however many there are.
void flush(netlink::Batch& batch, const char* set);
/// The elements of an anonymous set of protocols.
void add_protocols(netlink::Batch& batch, std::uint32_t set_id,
                   std::span<const Protocol> protocols);

}  // namespace porthole::nft
