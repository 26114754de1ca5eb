// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "types/interfaces.hpp"
#include "types/reservation.hpp"

namespace porthole {

/// What one reservation of a host that is translated means to the packet filter: packets of `host`
/// from `internal_port` leave through a WAN from `external_port`, nobody but the owner sends from
/// there or receives there, and `filtering` says who reaches the owner unasked.
struct Mapping {
    Protocol protocol;
    std::optional<Address> host;  ///< nothing: it is away, and its port is kept for it
    Port internal_port;
    Port external_port;
    /// Made for a host that did not ask: live flows that contradict it stay as they are. The packet
    /// filter makes no difference, only the settler does.
    bool claimed = false;
    Filtering filtering = Filtering::address_dependent;
    /// Where it leaves from and receives: a fixed one of the WANs' addresses, or all.
    ExternalAddress external_address = {};
    /// Each has ports of its own outside. IPv6: NAT66.
    Family family = Family::ipv4;
    bool operator==(const Mapping&) const = default;
    /// By external port first: it tells most mappings apart, and is quick to compare.
    auto operator<=>(const Mapping& other) const {
        return std::tie(external_port, protocol, internal_port, host, claimed, filtering,
                        external_address, family) <=>
               std::tie(other.external_port, other.protocol, other.internal_port, other.host,
                        other.claimed, other.filtering, other.external_address, other.family);
    }
};

/// The same for an IPv6 host at its own address: `filtering` says who outside may send to its port
/// unasked (RFC 6092 calls that a pinhole).
struct Pinhole {
    Protocol protocol;
    Address host;  ///< IPv6
    Port port;     ///< inside and outside
    Filtering filtering = Filtering::address_dependent;
    auto operator<=>(const Pinhole&) const = default;
};

/// A remote that an owner has sent something to: where the filtering is address-dependent, it may
/// answer from any port (RFC 4787 section 5).
struct Contact {
    ProtocolPort external;  ///< what the owner's packets left from
    Address remote;
    /// Of a pinhole: its host. Of a mapping with a fixed external address: that.
    std::optional<Address> at = std::nullopt;
    auto operator<=>(const Contact&) const = default;
};

/// What one host can make while a contact lasts, and what of it is renewed: so nobody else runs out
/// of them, whatever it does.
constexpr std::size_t most_contacts_of_a_host = 1000;

/// The external ports that displaced flows leave from; nobody can reserve them.
constexpr auto default_pool = *PortRange::from(Port::constant<61440>(), Port::constant<65535>());

/// How long conntrack keeps an idle UDP flow of a reserved port (RFC 4787 REQ-5 recommends it).
constexpr std::chrono::seconds default_udp_timeout{300};

/// Where and how the NAT applies. Every list is sorted and without duplicates; networks do not
/// overlap.
struct Scope {
    std::vector<InterfaceName> wans = {};
    std::vector<InterfaceName> masquerade_wans =
        {};                                   ///< WANs whose other flows are masqueraded too
    std::vector<Network> nat_sources = {};    ///< sources that are translated, IPv4
    std::vector<Network> exempt = {};         ///< destinations that are never translated, IPv4
    std::vector<Address> wan_addresses = {};  ///< what source NAT puts on packets, IPv4
    /// What the gateway itself receives on, as far as no mapping has it. Nobody else leaves from
    /// there, and whoever may come in there at all still does.
    std::vector<ProtocolPort> own_ports = {};
    PortRange pool = default_pool;  ///< what displaced flows leave from
    /// UDP ports from which new flows of hosts are reported, unless a mapping has them.
    std::optional<PortRange> watched = std::nullopt;
    std::chrono::seconds udp_timeout = default_udp_timeout;  ///< of new flows of reserved ports
    /// The LANs' IPv6 networks, whose hosts may have pinholes; the table does not need them.
    std::vector<Network> ipv6_networks = {};
    bool nat66 = false;  ///< IPv6 is translated, too
    /// Sources that are translated, IPv6: none without NAT66.
    std::vector<Network> ipv6_nat_sources = {};
    /// What NAT66 puts on packets; none where there is none.
    std::vector<Address> ipv6_wan_addresses = {};
    /// Also reported: new flows from those of their addresses that NAT66 does not show a
    /// reservation's port for.
    bool watches_moves = false;
    bool enabled = true;  ///< false: there is no table, whatever else is said here
    bool operator==(const Scope&) const = default;
};

/// Whether a FirewallDifference leads from one to the other: it changes lists only.
inline bool differ_in_lists_only(const Scope& a, const Scope& b) {
    return a.enabled == b.enabled && a.pool == b.pool && a.watched == b.watched &&
           a.udp_timeout == b.udp_timeout && a.nat66 == b.nat66 &&
           a.watches_moves == b.watches_moves;
}

/// Everything that Porthole wants to be in the kernel's packet filter.
struct Firewall {
    Scope scope;
    std::vector<Mapping> mappings;       ///< sorted, without duplicates
    std::vector<Pinhole> pinholes = {};  ///< the same; one for each protocol, host and port
    bool operator==(const Firewall&) const = default;
};

/// What to take out of a set of values and what to put in. No value is in both.
template <typename T>
struct SetDifference {
    std::vector<T> removed;
    std::vector<T> added;
    [[nodiscard]] bool empty() const { return removed.empty() && added.empty(); }
    [[nodiscard]] SetDifference inverse() const { return {added, removed}; }
    bool operator==(const SetDifference&) const = default;
};

/// The way from one Firewall to another whose scopes differ in lists only.
struct FirewallDifference {
    SetDifference<InterfaceName> wans = {};
    SetDifference<InterfaceName> masquerade_wans = {};
    SetDifference<Network> nat_sources = {};
    SetDifference<Network> exempt = {};
    SetDifference<Address> wan_addresses = {};
    SetDifference<ProtocolPort> own_ports = {};
    SetDifference<Mapping> mappings = {};
    SetDifference<Pinhole> pinholes = {};
    SetDifference<Network> ipv6_nat_sources = {};
    SetDifference<Address> ipv6_wan_addresses = {};
    /// Also forget all contacts: some of them may be another owner's than a port or an IPv6
    /// address now has.
    bool forget_contacts = false;

    [[nodiscard]] bool empty() const {
        return wans.empty() && masquerade_wans.empty() && nat_sources.empty() && exempt.empty() &&
               wan_addresses.empty() && own_ports.empty() && mappings.empty() && pinholes.empty() &&
               ipv6_nat_sources.empty() && ipv6_wan_addresses.empty() && !forget_contacts;
    }
    /// The way back.
    [[nodiscard]] FirewallDifference inverse() const {
        return {wans.inverse(),
                masquerade_wans.inverse(),
                nat_sources.inverse(),
                exempt.inverse(),
                wan_addresses.inverse(),
                own_ports.inverse(),
                mappings.inverse(),
                pinholes.inverse(),
                ipv6_nat_sources.inverse(),
                ipv6_wan_addresses.inverse(),
                forget_contacts};
    }
    bool operator==(const FirewallDifference&) const = default;
};

/// The kernel does not hold what was last applied: somebody removed or changed our table. Or it did
/// not say whether it took the change. replace() makes the table right again.
class FirewallDrift : public KernelFailure {
  public:
    using KernelFailure::KernelFailure;
};

/// How many packets the rules have counted; replace() lets them count on.
struct FirewallCounters {
    std::uint64_t unsolicited = 0;  ///< dropped: came for a host's port, and nobody let them in
    std::uint64_t displaced = 0;    ///< flows that left from the pool: their port is another's
    std::uint64_t guarded = 0;      ///< dropped: about to leave from a port of another's
    /// Contacts that were not learnt: the host has too many, or all hosts together.
    std::uint64_t contacts_refused = 0;
    bool operator==(const FirewallCounters&) const = default;
};

/// What stands between those outside who may come in and the owners of the ports.
struct Obstruction {
    std::vector<ProtocolPort> ports;  ///< packets for them were sent on, and none got through
    /// Others' chains that drop what they forward unless a rule accepts it, as in
    /// "inet fw4 forward". They are asked for where there are ports or pinholes.
    std::vector<std::string> chains = {};
    std::vector<Endpoint> pinholes = {};         ///< as `ports`, of IPv6 hosts
    std::vector<ProtocolPort> nat66_ports = {};  ///< as `ports`, of the WANs' IPv6 addresses
    bool operator==(const Obstruction&) const = default;
};

/// The packet filter, as the gateway needs it. Each call is one transaction in the kernel:
/// it is applied as a whole or, when it throws, not at all; after a FirewallDrift it may be either.
class FirewallBackend {
  public:
    FirewallBackend() = default;
    FirewallBackend(const FirewallBackend&) = delete;
    FirewallBackend& operator=(const FirewallBackend&) = delete;
    FirewallBackend(FirewallBackend&&) = delete;
    FirewallBackend& operator=(FirewallBackend&&) = delete;
    virtual ~FirewallBackend() = default;

    /// Puts `firewall` in the place of whatever table of ours there is. Throws KernelFailure.
    virtual void replace(const Firewall& firewall) = 0;
    /// Changes the table that is there. False, and nothing done, where that takes another table:
    /// replace() makes it. Throws FirewallDrift where the table is not the one that `difference`
    /// starts from or the kernel's answer is missing, KernelFailure for everything else. Does
    /// nothing if it is empty.
    [[nodiscard]] virtual bool apply(const FirewallDifference& difference) = 0;
    /// Adds contacts that the packet path has not learnt. Without duplicates. Throws KernelFailure.
    virtual void remember(std::span<const Contact> contacts) = 0;
    /// The same, and renews those that the packet path would forget soon; it asks for all contacts
    /// that there are, however many. Throws KernelFailure; then some of them may be forgotten
    /// before the next call.
    virtual void renew(std::span<const Contact> contacts) = 0;
    /// False where the kernel has no timeouts of flows' own: those of all flows apply.
    [[nodiscard]] virtual bool has_timeouts() const = 0;
    /// Nothing where all gets through. Throws KernelFailure.
    [[nodiscard]] virtual Obstruction obstruction() = 0;
    /// Zeros where there is no table. Throws KernelFailure.
    [[nodiscard]] virtual FirewallCounters counters() = 0;
};

}  // namespace porthole
