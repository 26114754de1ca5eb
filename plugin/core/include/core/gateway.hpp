// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>

#include "core/configuration.hpp"
#include "core/conflicts.hpp"
#include "core/explanation.hpp"
#include "core/firewall.hpp"
#include "core/former_owners.hpp"
#include "core/hosts.hpp"
#include "core/journal.hpp"
#include "core/observations.hpp"
#include "core/perimeter.hpp"
#include "core/query.hpp"
#include "core/reservations.hpp"
#include "core/settling.hpp"
#include "core/store.hpp"

namespace porthole {

/// What the gateway has to say about itself.
struct GatewayStatus {
    bool enabled = true;
    Perimeter perimeter;
    bool masquerade = false;
    std::vector<ProtocolPort> own_ports;  ///< that the gateway itself has, reserved ones too
    std::size_t reservations = 0;
    std::uint64_t generation = 0;
    FirewallCounters counters;
    std::uint64_t rebuilds = 0;         ///< how often somebody's change of the table was undone
    std::uint64_t settled_flows = 0;    ///< flows that were deleted to settle reservations
    std::optional<PortRange> watched;   ///< UDP ports that are claimed for hosts seen on them
    std::size_t claims = 0;             ///< automatic reservations
    std::uint64_t claims_refused = 0;   ///< by a limit, or for want of a port
    std::size_t conflicts = 0;          ///< open ones
    std::vector<std::string> warnings;  ///< what keeps Porthole from doing its work, one line each
};

/// A condition of a changing call: it is refused (`stale_generation`) if the reservations have
/// changed since the caller looked.
using IfGeneration = std::optional<std::uint64_t>;

/// The use cases of the gateway.
///
/// Every change goes one way: decide (pure), write to the store's open transaction, change the
/// kernel, commit the store, change memory. A call that throws has changed nothing: what the kernel
/// had already taken is taken back. Throws InvalidArgument, Refused, KernelFailure, StorageFailure.
class Gateway {
  public:
    using Clock = std::function<Time()>;

    Gateway(Configuration configuration, OpenedStore opened, FirewallBackend& firewall,
            Settler& settler, Clock clock);

    /// Nobody reports new flows from watched ports, so none are watched. To be called before
    /// start().
    void cannot_watch(std::string reason) { cannot_watch_ = std::move(reason); }
    /// Loads what was stored, takes over the configuration's reservations and puts everything into
    /// the kernel. To be called once, before anything else.
    void start(const InterfaceSnapshot& interfaces);

    Reservation reserve(const ReserveRequest& request, IfGeneration if_generation);
    /// The reservations' ids and external ports, in the order of the requests.
    std::vector<std::pair<ReservationId, Port>> reserve_many(
        std::span<const ReserveRequest> requests, IfGeneration if_generation);
    Reservation change(ReservationId id, const ReservationChanges& changes,
                       IfGeneration if_generation);
    void release(std::span<const ReservationId> ids, IfGeneration if_generation);

    /// Goes back to these rows of earlier (see Reservations::restore()). Returns what of them
    /// cannot be had any more, one line each.
    std::vector<std::string> restore(std::span<const Reservation> earlier);

    /// Takes all rules out of the kernel, or puts them back. Until then everything else can be
    /// changed as always; the flows of hosts are whoever's they are. It outlives restarts.
    void set_enabled(bool enabled);
    [[nodiscard]] bool enabled() const { return enabled_; }

    /// Takes over a new configuration as a difference, or throws and keeps the one that holds.
    /// `rest`: what else belongs to that, done with its reservations in force. They are taken back
    /// if it throws.
    void reload(Configuration configuration, const std::function<void()>& rest = nullptr);
    /// Follows a change of the gateway's interfaces.
    void interfaces_changed(const InterfaceSnapshot& interfaces);
    /// Follows the ports that the gateway itself has (see OwnPorts). What a reservation has stays
    /// the reservation's.
    void own_ports_changed(std::vector<ProtocolPort> ports);
    /// Ports that the gateway has in any case, whether somebody receives on them yet or not.
    void hold_ports(std::vector<ProtocolPort> ports);
    /// Whether the gateway forwards IPv4 and IPv6 at all, which is the administrator's to say.
    void forwarding_is(bool ipv4, bool ipv6) {
        forwards_ = ipv4;
        forwards_ipv6_ = ipv6;
    }
    /// Follows the hosts on the LANs. Returns who is to be asked whether he is still there. What
    /// was seen is known even where following it fails; the next call follows it again.
    std::vector<LinkNeighbour> hosts_changed(std::span<const Neighbour> neighbours,
                                             std::span<const Lease> leases);
    /// Takes in who was seen sending: owners stay, hosts on watched ports may get what they use,
    /// and NAT66 follows hosts that send from another of their addresses.
    void saw(const Sightings& sightings);
    /// Somebody was seen, and waits for claim().
    [[nodiscard]] bool has_candidates() const { return !candidates_.empty(); }
    /// Claims ports for those who were seen and are confirmed neighbours. Returns who is to be
    /// asked whether he is there.
    std::vector<LinkNeighbour> claim(std::span<const Neighbour> neighbours);
    /// Has all flows looked at: who is still there, and what stands against the reservations.
    /// settled() takes in the answer.
    void look();
    /// When to look again after a look.
    [[nodiscard]] std::chrono::milliseconds look_interval() const;
    /// Releases what has run out.
    void expire();
    /// Puts the table back that somebody else has changed, and settles all flows anew.
    void rebuild();
    /// The table may not be the right one, and rebuild() is to be tried again.
    [[nodiscard]] bool diverged() const { return diverged_; }
    /// Takes the settler's report: to be called when its descriptor is readable.
    void settled();
    /// Settles all flows, after a failure.
    void settle_everything() { settle_everything({}, {}, false); }
    [[nodiscard]] std::optional<Time> next_expiry() const { return reservations_.next_expiry(); }

    [[nodiscard]] const Reservations& reservations() const { return reservations_; }
    [[nodiscard]] std::uint64_t generation() const { return generation_; }
    /// Throws Refused (stale_generation).
    void require_generation(IfGeneration expected) const;
    [[nodiscard]] const Perimeter& perimeter() const { return perimeter_; }
    /// Grows whenever the perimeter changes.
    [[nodiscard]] std::uint64_t perimeter_version() const { return perimeter_version_; }
    [[nodiscard]] const Hosts& hosts() const { return hosts_; }
    /// Where DHCP servers keep what hosts_changed() wants to know.
    [[nodiscard]] const std::vector<std::filesystem::path>& lease_files() const {
        return configuration_.lease_files;
    }
    /// The name of an interface; empty: there is none.
    [[nodiscard]] std::string interface_name(int link_index) const;
    /// Grows whenever a host comes, goes, or has another name or address.
    [[nodiscard]] std::uint64_t hosts_version() const { return hosts_version_; }
    [[nodiscard]] const Settling& settling() const { return settling_; }
    [[nodiscard]] GatewayStatus status() const;
    /// What would become of a packet from this host and port to `remote`, and why. A host that is
    /// given by its MAC address must have an address of the remote's family now; of several IPv6
    /// ones it is the first.
    [[nodiscard]] Explanation explain(const Endpoint& from, const Place& remote,
                                      Tracer& tracer) const;
    /// For those use cases of the gateway that keep something else there.
    [[nodiscard]] Store& store() { return store_; }
    [[nodiscard]] Conflicts& conflicts() { return conflicts_; }
    [[nodiscard]] const Conflicts& conflicts() const { return conflicts_; }
    /// What has changed and was not announced yet.
    [[nodiscard]] Journal& journal() { return journal_; }

  private:
    [[nodiscard]] Perimeter perimeter_for(const Configuration& configuration,
                                          const InterfaceSnapshot& interfaces) const;
    void gather_own_ports();
    void follow_own_ports();
    [[nodiscard]] std::vector<ProtocolPort> unreserved_own_ports() const;
    [[nodiscard]] ConfiguredDifference configured_by(const Configuration& configuration,
                                                     const Perimeter& perimeter) const;
    void revert(const ReservationDifference& change, std::uint64_t generation);
    void set_perimeter(const Perimeter& perimeter);
    void warn_of_pinholes(std::vector<std::string>& warnings) const;
    void warn_of_nat66(std::vector<std::string>& warnings) const;
    [[nodiscard]] Address address_of(const HostKey& host, Family family) const;
    void settle_everything(const std::vector<Mapping>& removed,
                           const std::vector<Address>& gone_addresses, bool pinholes_were_away);
    void take_in(const Sightings& sightings);
    void follow_senders(const std::vector<Sighting>& all_seen);
    void digest(const Look& look);
    void remember(const std::vector<SeenContact>& contacts, bool renew);
    void forget_idle_claims(Time now);
    void store_last_seen(Time now);
    void find_conflicts();
    void require_wan_address(const std::optional<ExternalAddress>& wanted,
                             const Reservation* row) const;
    void commit(const ReservationDifference& change);
    void commit(const ReservationDifference& change, const Perimeter& perimeter);
    // True if the whole table was made anew.
    bool apply(const FirewallDifference& difference, const ReservationDifference& change,
               const Scope& scope);
    void take_back(const FirewallDifference& difference, bool rebuilt);
    // What follows a commit. It cannot be undone: where it throws, starting again from the store is
    // better than going on with half of it.
    void finish(const ReservationDifference& change, const Perimeter& perimeter,
                const FirewallDifference& difference, bool rebuilt, bool stored) noexcept;

    Configuration configuration_;
    bool enabled_;
    Store store_;
    FirewallBackend& firewall_;
    Clock clock_;
    InterfaceSnapshot interfaces_;
    std::vector<ProtocolPort> received_on_;  // by programs of the gateway, as far as is seen
    std::vector<ProtocolPort> held_;
    std::vector<ProtocolPort> own_ports_;  // both, sorted
    Perimeter perimeter_;
    std::uint64_t perimeter_version_ = 0;
    Hosts hosts_;
    std::uint64_t hosts_version_ = 0;
    Reservations reservations_;
    std::uint64_t generation_ = 0;
    Settling settling_;
    FormerOwners former_owners_;
    std::uint64_t rebuilds_ = 0;
    bool diverged_ = false;
    Journal journal_;
    std::vector<std::string> configuration_refused_;
    bool forwards_ = true;
    bool forwards_ipv6_ = true;
    std::string cannot_watch_;
    Candidates candidates_;
    std::uint64_t claims_refused_ = 0;
    bool lost_ = false;  // something went unseen, and nobody has looked yet
    Time last_loss_{};   // that was followed by a look at once
    std::map<ReservationId, Time> followed_senders_;
    Observations observations_;
    Conflicts conflicts_;
    Time idle_since_{};   // claims that were seen since then are not idle, whatever they say
    Time last_look_{};    // was digested then
    Time last_stored_{};  // what was seen
};

}  // namespace porthole
