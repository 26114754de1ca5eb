// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>

#include "core/configuration.hpp"
#include "core/enforcement.hpp"
#include "core/explanation.hpp"
#include "core/hosts.hpp"
#include "core/lookout.hpp"
#include "core/query.hpp"

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
/// Each decides, which is pure, and has the change put into force. A call that throws has changed
/// nothing. Throws InvalidArgument, Refused, and what Enforcement does.
class Gateway {
  public:
    using Clock = Lookout::Clock;

    Gateway(Configuration configuration, OpenedStore opened, FirewallBackend& firewall,
            Settler& settler, Clock clock);
    ~Gateway() = default;
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;
    Gateway(Gateway&&) = delete;
    Gateway& operator=(Gateway&&) = delete;

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
        lookout_.set_forwards_ipv6(ipv6);
    }
    /// Follows the hosts on the LANs. Returns who is to be asked whether he is still there. What
    /// was seen is known even where following it fails; the next call follows it again.
    std::vector<LinkNeighbour> hosts_changed(std::span<const Neighbour> neighbours,
                                             std::span<const Lease> leases);
    /// Takes in who was seen sending: owners stay, hosts on watched ports may get what they use,
    /// and NAT66 follows hosts that send from another of their addresses.
    void saw(const Sightings& sightings) { lookout_.saw(sightings); }
    /// Somebody was seen, and waits for claim().
    [[nodiscard]] bool has_candidates() const { return lookout_.has_candidates(); }
    /// Claims ports for those who were seen and are confirmed neighbours. Returns who is to be
    /// asked whether he is there.
    std::vector<LinkNeighbour> claim(std::span<const Neighbour> neighbours) {
        return lookout_.claim(neighbours);
    }
    /// Has all flows looked at: who is still there, and what stands against the reservations.
    /// settled() takes in the answer.
    void look() { lookout_.look(); }
    /// When to look again after a look.
    [[nodiscard]] std::chrono::milliseconds look_interval() const {
        return lookout_.look_interval();
    }
    /// Releases what has run out.
    void expire();
    /// Puts the table back that somebody else has changed, and settles all flows anew.
    void rebuild() { enforcement_.rebuild(); }
    /// The table may not be the right one, and rebuild() is to be tried again.
    [[nodiscard]] bool diverged() const { return enforcement_.diverged(); }
    /// Takes the settler's report: to be called when its descriptor is readable.
    void settled() { lookout_.settled(); }
    /// Settles all flows, after a failure.
    void settle_everything() { enforcement_.settle_everything(); }
    [[nodiscard]] std::optional<Time> next_expiry() const { return reservations_.next_expiry(); }

    [[nodiscard]] const Reservations& reservations() const { return reservations_; }
    [[nodiscard]] std::uint64_t generation() const { return enforcement_.generation(); }
    /// Throws Refused (stale_generation).
    void require_generation(IfGeneration expected) const;
    [[nodiscard]] const Perimeter& perimeter() const { return enforcement_.perimeter(); }
    /// Grows whenever the perimeter changes.
    [[nodiscard]] std::uint64_t perimeter_version() const {
        return enforcement_.perimeter_version();
    }
    [[nodiscard]] const Hosts& hosts() const { return hosts_; }
    /// Where DHCP servers keep what hosts_changed() wants to know.
    [[nodiscard]] const std::vector<std::filesystem::path>& lease_files() const {
        return configuration_.lease_files;
    }
    /// The name of an interface; empty: there is none.
    [[nodiscard]] std::string interface_name(int link_index) const;
    /// Grows whenever a host comes, goes, or has another name or address.
    [[nodiscard]] std::uint64_t hosts_version() const { return hosts_version_; }
    [[nodiscard]] const Settling& settling() const { return enforcement_.settling(); }
    [[nodiscard]] GatewayStatus status() const;
    /// What would become of a packet from this host and port to `remote`, and why. A host that is
    /// given by its MAC address must have an address of the remote's family now; of several IPv6
    /// ones it is the first.
    [[nodiscard]] Explanation explain(const Endpoint& from, const Place& remote,
                                      Tracer& tracer) const;
    /// For those use cases of the gateway that keep something else there.
    [[nodiscard]] Store& store() { return enforcement_.store(); }
    [[nodiscard]] Conflicts& conflicts() { return lookout_.conflicts(); }
    [[nodiscard]] const Conflicts& conflicts() const { return lookout_.conflicts(); }
    /// What has changed and was not announced yet.
    [[nodiscard]] Journal& journal() { return enforcement_.journal(); }

  private:
    [[nodiscard]] Perimeter perimeter_for(const Configuration& configuration,
                                          const InterfaceSnapshot& interfaces) const;
    void gather_own_ports();
    void follow_own_ports();
    [[nodiscard]] std::vector<ProtocolPort> unreserved_own_ports() const;
    [[nodiscard]] ConfiguredDifference configured_by(const Configuration& configuration,
                                                     const Perimeter& perimeter) const;
    void revert(const ReservationDifference& change, std::uint64_t generation);
    void warn_of_pinholes(std::vector<std::string>& warnings) const;
    void warn_of_nat66(std::vector<std::string>& warnings) const;
    [[nodiscard]] Address address_of(const HostKey& host, Family family) const;
    void require_wan_address(const std::optional<ExternalAddress>& wanted,
                             const Reservation* row) const;

    Configuration configuration_;
    bool enabled_;
    FirewallBackend& firewall_;
    Clock clock_;
    InterfaceSnapshot interfaces_;
    std::vector<ProtocolPort> received_on_;  // by programs of the gateway, as far as is seen
    std::vector<ProtocolPort> held_;
    Hosts hosts_;
    std::uint64_t hosts_version_ = 0;
    std::vector<std::string> configuration_refused_;
    bool forwards_ = true;
    std::string cannot_watch_;
    Enforcement enforcement_;
    Reservations& reservations_;  // of what is in force
    Lookout lookout_;
};

}  // namespace porthole
