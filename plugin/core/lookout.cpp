// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/lookout.hpp"

#include <algorithm>

#include "core/log.hpp"
#include "types/sorted.hpp"

namespace porthole {

Lookout::Lookout(Enforcement& enforcement, FirewallBackend& firewall,
                 const Configuration& configuration, const InterfaceSnapshot& interfaces,
                 Clock clock)
    : enforcement_(enforcement),
      reservations_(enforcement.reservations()),
      firewall_(firewall),
      configuration_(configuration),
      interfaces_(interfaces),
      clock_(std::move(clock)) {}

void Lookout::start() { idle_since_ = last_look_ = last_stored_ = clock_(); }

void Lookout::saw(const Sightings& sightings) {
    take_in(sightings);
    follow_senders(sightings.seen);
}

// A host with several IPv6 addresses begins to send from a new one when it likes (RFC 8981). Flows
// of the old one end with that, so one that keeps sending from several is followed now and then.
// `all_seen` is sorted.
void Lookout::follow_senders(const std::vector<Sighting>& all_seen) {
    constexpr std::chrono::seconds rest{30};
    const auto now = clock_();
    for (const auto& seen : all_seen) {
        if (seen.host.family() == Family::ipv4) continue;
        const auto* row = reservations_.owner({seen.host, seen.protocol, seen.port});
        const auto current = row != nullptr ? nat66_host(*row) : std::nullopt;
        const bool there = current && std::ranges::binary_search(
                                          all_seen, Sighting{*current, seen.protocol, seen.port});
        if (there) continue;
        const auto change = reservations_.translate({seen.host, seen.protocol, seen.port});
        if (change.empty()) continue;
        const auto id = change.after.front().id;
        const auto last = followed_senders_.find(id);
        const bool rested =
            last == followed_senders_.end() || now - last->second >= rest || now < last->second;
        if (!rested) continue;
        enforcement_.commit(change);
        followed_senders_.insert_or_assign(id, now);
        std::erase_if(followed_senders_,
                      [this](const auto& entry) { return !reservations_.find(entry.first); });
    }
}

void Lookout::take_in(const Sightings& sightings) {
    const auto now = clock_();
    const auto& watched = enforcement_.perimeter().scope.watched;
    for (const auto& seen : sightings.seen) {
        const Endpoint internal{seen.host, seen.protocol, seen.port};
        if (reservations_.owner(internal) != nullptr) {
            reservations_.saw(internal, now);
            continue;
        }
        const bool wanted = watched && seen.host.family() == Family::ipv4 &&
                            seen.protocol == Protocol::udp && watched->contains(seen.port) &&
                            is_nat_source(enforcement_.perimeter().scope, seen.host);
        const auto link =
            wanted ? lan_link_of(enforcement_.perimeter(), interfaces_, seen.host) : std::nullopt;
        if (link) candidates_.add(seen, *link, now);
    }
    // However much is lost: looking takes long where there are many flows.
    constexpr std::chrono::seconds rest{5};
    if (sightings.lost && now - last_loss_ >= rest) {
        last_loss_ = now;
        look();
    } else if (sightings.lost) {
        lost_at_ = enforcement_.looks();
    }
}

std::vector<LinkNeighbour> Lookout::claim(std::span<const Neighbour> neighbours) {
    const auto now = clock_();
    const auto confirmed = candidates_.take_confirmed(neighbours, now);
    const auto claimed = reservations_.claim(confirmed, configuration_.claims, now);
    if (!claimed.difference.empty()) {
        try {
            enforcement_.commit(claimed.difference);
        } catch (...) {
            for (const auto& [internal, mac] : confirmed) {
                const auto* host = std::get_if<Address>(&internal.host);
                const auto link = lan_link_of(enforcement_.perimeter(), interfaces_, *host);
                if (link) candidates_.add({*host, internal.protocol, internal.port}, *link, now);
            }
            throw;
        }
        for (const auto& row : claimed.difference.after) {
            log::info("claimed", "external port {} for {} on port {}",
                      to_text(ProtocolPort{row.internal.protocol, row.external_port}),
                      to_text(row.internal.host), to_text(row.internal.port));
        }
        look();
    }
    claims_refused_ += claimed.refused.size();
    return candidates_.take_unasked();
}

std::chrono::milliseconds Lookout::look_interval() const {
    constexpr std::chrono::milliseconds while_something_is_wrong{10'000};
    constexpr std::chrono::milliseconds usual{60'000};
    constexpr int rest_factor = 100;  // where there are many flows, looking takes long
    const bool fine = observations_.fine() && lost_at_ != enforcement_.looks();
    return std::max(fine ? usual : while_something_is_wrong,
                    rest_factor * enforcement_.settling().took());
}

void Lookout::digest(const Look& look) {
    const auto now = clock_();
    take_in({look.seen, false});
    follow_senders(look.seen);
    observations_.take(look, now);
    try {
        auto obstruction = firewall_.obstruction();
        if (!forwards_ipv6_) {
            obstruction.pinholes.clear();
            obstruction.nat66_ports.clear();
        }
        observations_.take(std::move(obstruction));
    } catch (const KernelFailure& failure) {
        log::warning("obstruction-unknown", "{}", failure.what());
    }
    // Whoever uses the port of a claim keeps it while he does: the claim is in force afterwards.
    enforcement_.commit(reservations_.hold_back(observations_.overloaded()));
    forget_idle_claims(now);
    store_last_seen(now);
    find_conflicts();
}

// While the gateway was off nobody could be seen, and a clock that is set makes everybody look
// idle.
void Lookout::forget_idle_claims(Time now) {
    constexpr std::chrono::hours impossible_pause{1};
    constexpr std::chrono::hours longest_grace{24};
    const auto pause = now - std::exchange(last_look_, now);
    if (pause < std::chrono::seconds::zero() || pause > impossible_pause) idle_since_ = now;
    for (const auto id : reservations_.claims()) {  // nobody was seen in the future
        const auto& row = *reservations_.find(id);
        if (row.last_seen > now) reservations_.saw(row.internal, now);
    }
    const auto idle = configuration_.claims.idle;
    if (now - idle_since_ < std::min<std::chrono::seconds>(idle, longest_grace)) return;
    const auto change = reservations_.forget(now - idle);
    enforcement_.commit(change);
    for (const auto& row : change.before) {
        log::info("claim-forgotten", "{} was not seen on port {} for {} days",
                  to_text(row.internal.host), to_text(row.internal.port),
                  std::chrono::floor<std::chrono::days>(idle).count());
    }
}

// Seldom: it wears flash memory out, and an hour does not matter.
void Lookout::store_last_seen(Time now) {
    constexpr std::chrono::hours interval{1};
    if (now - last_stored_ < interval) return;
    ReservationDifference seen;
    for (const auto id : reservations_.claims()) {
        const auto& row = *reservations_.find(id);
        if (row.last_seen > last_stored_) seen.after.push_back(row);
    }
    if (!seen.after.empty()) {
        seen.before = seen.after;
        auto transaction = enforcement_.store().begin();
        transaction.write(seen, enforcement_.generation());
        transaction.commit();
    }
    last_stored_ = now;
}

void Lookout::find_conflicts() {
    const auto now = clock_();
    conflicts_.update(observations_.findings(reservations_, now), now);
}

void Lookout::settled() {
    enforcement_.take_report();
    auto& settling = enforcement_.settling();
    const auto look = settling.take_look();
    if (look) digest(*look);
    if (settling.take_early()) lost_at_ = enforcement_.looks();
    remember(settling.take_contacts(), look.has_value());
}

// A live flow keeps its contact, whatever the packet path knows of it.
void Lookout::remember(const std::vector<SeenContact>& contacts, bool renew) {
    std::vector<Contact> current;
    std::map<HostKey, std::size_t> of_host;
    for (const auto& [owner, port, remote] : contacts) {
        const auto* row = reservations_.owner({owner.host, owner.protocol, owner.port});
        const bool ipv4 = owner.host.family() == Family::ipv4;
        const bool translated = row != nullptr && (ipv4 || nat66_host(*row) == owner.host);
        const bool wanted = row != nullptr &&
                            (translated ? row->external_port : row->internal.port) == port &&
                            row->filtering == Filtering::address_dependent;
        if (!wanted || of_host[row->internal.host] == most_contacts_of_a_host) continue;
        ++of_host[row->internal.host];
        const auto at = ipv4         ? row->external_address.fixed()
                        : translated ? std::nullopt
                                     : std::optional(owner.host);
        current.push_back({{owner.protocol, port}, remote, at});
    }
    sort_unique(current);
    try {
        renew ? firewall_.renew(current) : firewall_.remember(current);
    } catch (const KernelFailure& failure) {
        log::warning("contacts-not-renewed", "tried again at the next look: {}", failure.what());
    }
}

}  // namespace porthole
