// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>

#include "core/claims.hpp"
#include "core/configuration.hpp"
#include "core/conflicts.hpp"
#include "core/enforcement.hpp"
#include "core/observations.hpp"

namespace porthole {

/// Follows what the flows show: who uses his port and who has given it up, hosts that send from
/// watched ports or from another address than before, and what stands against the reservations.
class Lookout {
  public:
    using Clock = std::function<Time()>;

    /// What is given by reference must outlive it; the configuration and the interfaces may change.
    Lookout(Enforcement& enforcement, FirewallBackend& firewall, const Configuration& configuration,
            const InterfaceSnapshot& interfaces, Clock clock);

    /// To be called once, before anything else.
    void start();
    /// Takes in who was seen sending: owners stay, hosts on watched ports may get what they use,
    /// and NAT66 follows hosts that send from another of their addresses.
    void saw(const Sightings& sightings);
    /// Somebody was seen, and waits for claim().
    [[nodiscard]] bool has_candidates() const { return !candidates_.empty(); }
    void forget_candidates() { candidates_ = {}; }
    /// Claims ports for those who were seen and are confirmed neighbours. Returns who is to be
    /// asked whether he is there.
    std::vector<LinkNeighbour> claim(std::span<const Neighbour> neighbours);
    /// How many were refused, by a limit or for want of a port.
    [[nodiscard]] std::uint64_t claims_refused() const { return claims_refused_; }

    /// Has all flows looked at; settled() takes in the answer.
    void look() { enforcement_.look(); }
    /// When to look again after a look.
    [[nodiscard]] std::chrono::milliseconds look_interval() const;
    /// Takes the settler's report, and what it has seen.
    void settled();

    /// What the last look has found does not count any more.
    void forget_look() { observations_ = {}; }
    /// Opens and ends conflicts, by the last look and by the reservations as they are.
    void find_conflicts();
    [[nodiscard]] const Observations& observations() const { return observations_; }
    [[nodiscard]] Conflicts& conflicts() { return conflicts_; }
    [[nodiscard]] const Conflicts& conflicts() const { return conflicts_; }

    /// Whether the gateway forwards IPv6 at all: else nothing can stop what comes in.
    void set_forwards_ipv6(bool forwards) { forwards_ipv6_ = forwards; }
    [[nodiscard]] bool forwards_ipv6() const { return forwards_ipv6_; }

  private:
    void take_in(const Sightings& sightings);
    void follow_senders(const std::vector<Sighting>& all_seen);
    void digest(const Look& look);
    void remember(const std::vector<SeenContact>& contacts, bool renew);
    void forget_idle_claims(Time now);
    void store_last_seen(Time now);

    Enforcement& enforcement_;
    Reservations& reservations_;
    FirewallBackend& firewall_;
    const Configuration& configuration_;
    const InterfaceSnapshot& interfaces_;
    Clock clock_;
    Candidates candidates_;
    std::uint64_t claims_refused_ = 0;
    std::map<ReservationId, Time> followed_senders_;
    Observations observations_;
    Conflicts conflicts_;
    bool forwards_ipv6_ = true;
    // Something went unseen after so many looks.
    std::optional<std::uint64_t> lost_at_;
    Time last_loss_{};    // that was followed by a look at once
    Time idle_since_{};   // claims that were seen since then are not idle, whatever they say
    Time last_look_{};    // was digested then
    Time last_stored_{};  // what was seen
};

}  // namespace porthole
