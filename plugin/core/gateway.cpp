// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/gateway.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "core/desired_firewall.hpp"
#include "core/log.hpp"
#include "types/sorted.hpp"

namespace porthole {
namespace {

std::vector<ReserveRequest> requests_of(const Configuration& configuration) {
    std::vector<ReserveRequest> requests;
    for (const auto& row : configuration.reservations) {
        ReserveRequest request{.internal = row.internal};
        request.external_port = row.external_port;
        request.external_address = row.external_address;
        request.filtering = row.filtering.value_or(default_filtering);
        request.comment = row.comment;
        requests.push_back(std::move(request));
    }
    return requests;
}

// Not of rows of which only that is another which follows from what the gateway sees: it comes and
// goes with the WANs' addresses however full the disk is.
bool is_stored(const ReservationDifference& change) {
    if (change.before.size() != change.after.size()) return true;
    return !std::ranges::equal(change.before, change.after, [](auto before, const auto& after) {
        before.state = after.state;
        before.nat66 = after.nat66;
        before.nat66_place = after.nat66_place;
        return before == after;
    });
}

std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const auto& line : lines) text += (text.empty() ? "" : "; ") + line;
    return text;
}

}  // namespace

Gateway::Gateway(Configuration configuration, OpenedStore opened, FirewallBackend& firewall,
                 Settler& settler, Clock clock)
    : configuration_(std::move(configuration)),
      enabled_(opened.state.enabled),
      store_(std::move(opened.store)),
      firewall_(firewall),
      clock_(std::move(clock)),
      reservations_(std::move(opened.state.reservations)),
      generation_(opened.state.generation),
      settling_(settler) {
    reservations_.set_pool(configuration_.pool);
    reservations_.set_claim_alternates(configuration_.claims.alternates);
}

void Gateway::start(const InterfaceSnapshot& interfaces) {
    interfaces_ = interfaces;
    idle_since_ = last_look_ = last_stored_ = clock_();
    perimeter_ = perimeter_for(configuration_, interfaces_);
    set_perimeter(perimeter_);
    const auto followed = reservations_.follow_perimeter();
    if (is_stored(followed)) {
        auto transaction = store_.begin();
        transaction.write(followed, ++generation_);
        transaction.commit();
    }
    reservations_.apply(followed);
    firewall_.replace(desired_firewall(perimeter_.scope, reservations_));
    expire();
    const auto configured = configured_by(configuration_, perimeter_);
    configuration_refused_ = configured.refused;
    for (const auto& problem : configured.refused) {
        log::error("configuration-refused", "{}", problem);
    }
    commit(configured.difference);
    settle_everything({}, {}, true);
}

Reservation Gateway::reserve(const ReserveRequest& request, IfGeneration if_generation) {
    require_generation(if_generation);
    require_lan_host(perimeter_, request.internal.host);
    require_wan_address(request.external_address, reservations_.find(request.internal));
    const auto change = reservations_.reserve(request, Origin::api, clock_());
    reservations_.require_room(change);
    commit(change);
    return *reservations_.find(request.internal);
}

std::vector<std::pair<ReservationId, Port>> Gateway::reserve_many(
    std::span<const ReserveRequest> requests, IfGeneration if_generation) {
    require_generation(if_generation);
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const auto place = "rows[" + std::to_string(i) + "]: ";
        try {
            require_lan_host(perimeter_, requests[i].internal.host);
            require_wan_address(requests[i].external_address,
                                reservations_.find(requests[i].internal));
        } catch (const Refused& refused) {
            throw Refused(refused.reason(), place + refused.what());
        } catch (const InvalidArgument& invalid) {
            throw InvalidArgument(place + invalid.what());
        }
    }
    std::vector<ReservationId> ids;
    const auto change = reservations_.reserve_many(requests, Origin::api, clock_(), ids);
    reservations_.require_room(change);
    commit(change);
    std::vector<std::pair<ReservationId, Port>> result;
    result.reserve(ids.size());
    for (const auto id : ids) result.emplace_back(id, reservations_.find(id)->external_port);
    return result;
}

Reservation Gateway::change(ReservationId id, const ReservationChanges& changes,
                            IfGeneration if_generation) {
    require_generation(if_generation);
    require_wan_address(changes.external_address, reservations_.find(id));
    commit(reservations_.change(id, changes, clock_()));
    return *reservations_.find(id);
}

void Gateway::release(std::span<const ReservationId> ids, IfGeneration if_generation) {
    require_generation(if_generation);
    commit(reservations_.release(ids));
}

std::vector<std::string> Gateway::restore(std::span<const Reservation> earlier) {
    auto restored = reservations_.restore(earlier, clock_());
    commit(restored.difference);
    return std::move(restored.refused);
}

void Gateway::set_enabled(bool enabled) {
    auto perimeter = perimeter_;
    perimeter.scope.enabled = enabled;
    if (perimeter == perimeter_) return;
    commit({}, perimeter);
    enabled_ = enabled;
    candidates_ = {};
    journal_.touch_all();
    if (enabled) {
        log::info("switched-on", "the rules are in force again");
        return;
    }
    observations_ = {};
    find_conflicts();
    log::warning("switched-off", "no rule is in force until it is switched on again");
}

void Gateway::reload(Configuration configuration, const std::function<void()>& rest) {
    const auto old_pool = reservations_.pool();
    const auto old_alternates = reservations_.claim_alternates();
    reservations_.set_pool(configuration.pool);
    reservations_.set_claim_alternates(configuration.claims.alternates);
    ConfiguredDifference configured;
    std::optional<std::uint64_t> committed;  // the generation that it made
    try {
        const auto perimeter = perimeter_for(configuration, interfaces_);
        set_perimeter(perimeter);
        configured = configured_by(configuration, perimeter);
        if (configured.invalid) throw InvalidArgument(joined(configured.refused));
        if (!configured.refused.empty()) {
            throw Refused(Refusal::port_taken, joined(configured.refused));
        }
        commit(configured.difference, perimeter);
        committed = generation_;
        if (rest) rest();
    } catch (...) {
        reservations_.set_pool(old_pool);
        reservations_.set_claim_alternates(old_alternates);
        if (committed) {
            revert(configured.difference, *committed);
        } else {
            set_perimeter(perimeter_);
        }
        throw;
    }
    configuration_ = std::move(configuration);
    configuration_refused_.clear();
    candidates_ = {};  // who is still there is seen by the look that follows
    look();
}

// Of a configuration that was not kept in the end. `generation`: after its change.
void Gateway::revert(const ReservationDifference& change, std::uint64_t generation) {
    const auto perimeter = perimeter_for(configuration_, interfaces_);
    set_perimeter(perimeter);
    try {
        // A claim that has moved since then cannot be moved back by what it was.
        commit(generation == generation_ ? change.inverse()
                                         : configured_by(configuration_, perimeter).difference,
               perimeter);
    } catch (const std::exception& failure) {
        set_perimeter(perimeter_);
        log::error("take-back-failed", "the reservations are not as they were: {}", failure.what());
    }
}

ConfiguredDifference Gateway::configured_by(const Configuration& configuration,
                                            const Perimeter& perimeter) const {
    return reservations_.configure(
        requests_of(configuration), clock_(),
        [&perimeter](const HostKey& host) { require_not_own(perimeter, host); });
}

void Gateway::interfaces_changed(const InterfaceSnapshot& interfaces) {
    const auto perimeter = perimeter_for(configuration_, interfaces);
    set_perimeter(perimeter);
    try {
        commit(reservations_.follow_perimeter(), perimeter);
    } catch (...) {
        set_perimeter(perimeter_);
        throw;
    }
    interfaces_ = interfaces;
}

void Gateway::own_ports_changed(std::vector<ProtocolPort> ports) {
    received_on_ = std::move(ports);
    follow_own_ports();
}

void Gateway::hold_ports(std::vector<ProtocolPort> ports) {
    auto held_before = std::exchange(held_, std::move(ports));
    auto received_before = received_on_;
    // Who received on a port that is given back has gone; the next look at all sockets knows.
    for (const auto& port : held_before) {
        if (std::ranges::count(held_, port) == 0) std::erase(received_on_, port);
    }
    try {
        follow_own_ports();
    } catch (...) {
        held_ = std::move(held_before);
        received_on_ = std::move(received_before);
        gather_own_ports();
        throw;
    }
}

void Gateway::gather_own_ports() {
    own_ports_ = received_on_;
    own_ports_.insert(own_ports_.end(), held_.begin(), held_.end());
    sort_unique(own_ports_);
    reservations_.set_own_ports(own_ports_);
}

void Gateway::follow_own_ports() {
    gather_own_ports();
    auto perimeter = perimeter_;
    perimeter.scope.own_ports = unreserved_own_ports();
    const auto moved_claims = reservations_.leave_own_ports();
    if (perimeter.scope != perimeter_.scope || !moved_claims.empty()) {
        commit(moved_claims, perimeter);
    }
    find_conflicts();
}

std::vector<LinkNeighbour> Gateway::hosts_changed(std::span<const Neighbour> neighbours,
                                                  std::span<const Lease> leases) {
    std::vector<Neighbour> on_lans(neighbours.begin(), neighbours.end());
    std::erase_if(on_lans, [lans = lan_links(perimeter_, interfaces_)](const Neighbour& neighbour) {
        return !lans.contains(neighbour.link_index);
    });
    if (hosts_.update(on_lans, leases, clock_())) ++hosts_version_;
    auto current = reservations_.followed();
    current.insert(reservations_.whereabouts().of.begin(), reservations_.whereabouts().of.end());
    reservations_.set_whereabouts(hosts_.locate(
        current, [this](const Address& address) { return is_lan_host(perimeter_, address); },
        reservations_.followed_ipv6()));
    commit(reservations_.follow());
    return hosts_.take_unasked(reservations_.followed(), clock_());
}

std::string Gateway::interface_name(int link_index) const {
    const auto found = std::ranges::find(interfaces_.links, link_index, &Link::index);
    return found != interfaces_.links.end() ? found->name.text() : std::string();
}

void Gateway::set_perimeter(const Perimeter& perimeter) {
    reservations_.set_perimeter(perimeter.scope.wan_addresses, perimeter.nat66_networks);
}

void Gateway::saw(const Sightings& sightings) {
    take_in(sightings);
    follow_senders(sightings.seen);
}

// A host with several IPv6 addresses begins to send from a new one when it likes (RFC 8981). Flows
// of the old one end with that, so one that keeps sending from several is followed now and then.
// `all_seen` is sorted.
void Gateway::follow_senders(const std::vector<Sighting>& all_seen) {
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
        commit(change);
        followed_senders_.insert_or_assign(id, now);
        std::erase_if(followed_senders_,
                      [this](const auto& entry) { return !reservations_.find(entry.first); });
    }
}

void Gateway::take_in(const Sightings& sightings) {
    const auto now = clock_();
    const auto& watched = perimeter_.scope.watched;
    for (const auto& seen : sightings.seen) {
        const Endpoint internal{seen.host, seen.protocol, seen.port};
        if (reservations_.owner(internal) != nullptr) {
            reservations_.saw(internal, now);
            continue;
        }
        const bool wanted = watched && seen.host.family() == Family::ipv4 &&
                            seen.protocol == Protocol::udp && watched->contains(seen.port) &&
                            is_nat_source(perimeter_.scope, seen.host);
        const auto link = wanted ? lan_link_of(perimeter_, interfaces_, seen.host) : std::nullopt;
        if (link) candidates_.add(seen, *link, now);
    }
    // However much is lost: looking takes long where there are many flows.
    constexpr std::chrono::seconds rest{5};
    if (sightings.lost && now - last_loss_ >= rest) {
        last_loss_ = now;
        look();
    } else if (sightings.lost) {
        lost_ = true;
    }
}

std::vector<LinkNeighbour> Gateway::claim(std::span<const Neighbour> neighbours) {
    const auto now = clock_();
    const auto confirmed = candidates_.take_confirmed(neighbours, now);
    const auto claimed = reservations_.claim(confirmed, configuration_.claims, now);
    if (!claimed.difference.empty()) {
        try {
            commit(claimed.difference);
        } catch (...) {
            for (const auto& [internal, mac] : confirmed) {
                const auto* host = std::get_if<Address>(&internal.host);
                const auto link = lan_link_of(perimeter_, interfaces_, *host);
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

void Gateway::look() {
    lost_ = false;
    if (!perimeter_.scope.enabled) return;
    settling_.order_everything(judging_firewall(perimeter_.scope, reservations_), {});
}

std::chrono::milliseconds Gateway::look_interval() const {
    constexpr std::chrono::milliseconds while_something_is_wrong{10'000};
    constexpr std::chrono::milliseconds usual{60'000};
    constexpr int rest_factor = 100;  // where there are many flows, looking takes long
    const bool fine = observations_.fine() && !lost_;
    return std::max(fine ? usual : while_something_is_wrong, rest_factor * settling_.took());
}

void Gateway::digest(const Look& look) {
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
    commit(reservations_.hold_back(observations_.overloaded()));
    forget_idle_claims(now);
    store_last_seen(now);
    find_conflicts();
}

// While the gateway was off nobody could be seen, and a clock that is set makes everybody look
// idle.
void Gateway::forget_idle_claims(Time now) {
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
    commit(change);
    for (const auto& row : change.before) {
        log::info("claim-forgotten", "{} was not seen on port {} for {} days",
                  to_text(row.internal.host), to_text(row.internal.port),
                  std::chrono::floor<std::chrono::days>(idle).count());
    }
}

// Seldom: it wears flash memory out, and an hour does not matter.
void Gateway::store_last_seen(Time now) {
    constexpr std::chrono::hours interval{1};
    if (now - last_stored_ < interval) return;
    ReservationDifference seen;
    for (const auto id : reservations_.claims()) {
        const auto& row = *reservations_.find(id);
        if (row.last_seen > last_stored_) seen.after.push_back(row);
    }
    if (!seen.after.empty()) {
        seen.before = seen.after;
        auto transaction = store_.begin();
        transaction.write(seen, generation_);
        transaction.commit();
    }
    last_stored_ = now;
}

void Gateway::find_conflicts() {
    const auto now = clock_();
    conflicts_.update(observations_.findings(reservations_, own_ports_, now), now);
}

std::vector<ProtocolPort> Gateway::unreserved_own_ports() const {
    auto ports = own_ports_;
    std::erase_if(ports, [this](const ProtocolPort& port) {
        const auto* owner = reservations_.find(port.protocol, port.port);
        return owner != nullptr && owner->origin != Origin::automatic;
    });
    return ports;
}

Perimeter Gateway::perimeter_for(const Configuration& configuration,
                                 const InterfaceSnapshot& interfaces) const {
    auto perimeter = choose_perimeter(configuration, interfaces);
    perimeter.scope.enabled = enabled_;
    perimeter.scope.own_ports = unreserved_own_ports();
    perimeter.scope.watches_moves = cannot_watch_.empty() && perimeter.scope.nat66;
    if (!cannot_watch_.empty()) perimeter.scope.watched.reset();
    return perimeter;
}

void Gateway::expire() { commit(reservations_.expire(clock_())); }

void Gateway::rebuild() {
    firewall_.replace(desired_firewall(perimeter_.scope, reservations_));
    diverged_ = false;
    former_owners_.forget();
    ++rebuilds_;
    settle_everything({}, {}, true);
}

void Gateway::settled() {
    const auto rows = settling_.take_report();
    reservations_.set_state(rows, ReservationState::active);
    journal_.touch(rows);
    const auto look = settling_.take_look();
    if (look) digest(*look);
    if (settling_.take_early()) lost_ = true;
    remember(settling_.take_contacts(), look.has_value());
}

// A live flow keeps its contact, whatever the packet path knows of it.
void Gateway::remember(const std::vector<SeenContact>& contacts, bool renew) {
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

void Gateway::settle_everything(const std::vector<Mapping>& removed,
                                const std::vector<Address>& gone_addresses,
                                bool pinholes_were_away) {
    if (!perimeter_.scope.enabled) return;
    std::vector<ReservationId> rows;
    rows.reserve(reservations_.size());
    for (const auto& [id, row] : reservations_.rows()) rows.push_back(id);
    reservations_.set_state(rows, ReservationState::settling);
    journal_.touch(rows);
    settling_.order_everything(judging_firewall(perimeter_.scope, reservations_), std::move(rows),
                               removed, gone_addresses, true, pinholes_were_away);
}

GatewayStatus Gateway::status() const {
    GatewayStatus status{.enabled = enabled_,
                         .perimeter = perimeter_,
                         .masquerade = configuration_.masquerade,
                         .own_ports = own_ports_,
                         .reservations = reservations_.size(),
                         .generation = generation_,
                         .counters = firewall_.counters(),
                         .rebuilds = rebuilds_,
                         .settled_flows = settling_.deleted(),
                         .watched = perimeter_.scope.watched,
                         .claims = reservations_.claims().size(),
                         .claims_refused = claims_refused_,
                         .conflicts = conflicts_.open().size(),
                         .warnings = configuration_refused_};
    if (!enabled_) {
        status.warnings.emplace_back(
            "switched off: no reservation is in force, and nothing is translated or filtered");
    }
    if (!settling_.failure().empty()) {
        status.warnings.push_back("flows may still use wrong ports: " + settling_.failure());
    }
    if (!cannot_watch_.empty() && configuration_.claims.enabled) {
        status.warnings.push_back("no ports are claimed for hosts: " + cannot_watch_);
    }
    if (!firewall_.has_timeouts()) {
        status.warnings.emplace_back(
            "nat.udp-timeout has no effect: the kernel has no conntrack timeouts "
            "(CONFIG_NF_CONNTRACK_TIMEOUT)");
    }
    if (diverged_) status.warnings.emplace_back("the rules in the kernel are not the right ones");
    for (const auto& port : own_ports_) {
        const auto* owner = reservations_.anybody(port);
        if (owner == nullptr) continue;
        const auto address = owner->external_address.fixed();
        status.warnings.push_back("the gateway itself receives on " + to_text(port) +
                                  ", which is reserved for " + to_text(owner->internal.host) +
                                  ": through a WAN nobody gets there" +
                                  (address ? " at " + to_text(*address) : std::string()));
    }
    for (const auto& row : configuration_.reservations) {
        if (reservations_.find(row.internal) == nullptr) continue;  // it was refused
        try {
            require_lan_host(perimeter_, row.internal.host);
        } catch (const InvalidArgument& invalid) {
            status.warnings.push_back(std::string("in the configuration: ") + invalid.what());
        }
    }
    for (const auto& [address, count] : reservations_.missing_addresses()) {
        status.warnings.push_back(
            "no WAN has the address " + to_text(address) + ": " + std::to_string(count) +
            (count == 1 ? " reservation waits" : " reservations wait") + " for it");
    }
    if (reservations_.has_pinholes()) warn_of_pinholes(status.warnings);
    if (configuration_.nat66) warn_of_nat66(status.warnings);
    if (!forwards_) {
        status.warnings.emplace_back(
            "the gateway forwards nothing: net.ipv4.ip_forward is off (sysctl)");
    }
    if (perimeter_.scope.wans.empty()) {
        status.warnings.emplace_back(
            "no WAN is known: no interface has a default route, or name "
            "it in wan.interfaces");
    }
    if (perimeter_.scope.nat_sources.empty()) {
        status.warnings.emplace_back(
            "no LAN with a private IPv4 network is known: name it in "
            "lan.interfaces or nat.sources");
    }
    return status;
}

void Gateway::warn_of_pinholes(std::vector<std::string>& warnings) const {
    for (const auto& chain : observations_.chains_before_pinholes()) {
        warnings.push_back(
            "IPv6: whoever may come in for a reserved port still has to be accepted by the chain " +
            chain + ", whose policy is to drop");
    }
    std::set<std::string> others;
    for (const auto& route : interfaces_.default_routes) {
        if (route.family == Family::ipv6) others.insert(interface_name(route.link_index));
    }
    others.erase(std::string());  // it is gone already
    for (const auto& wan : perimeter_.scope.wans) others.erase(wan.text());
    for (const auto& name : others) {
        warnings.push_back("IPv6: what comes in through " + name +
                           " is not filtered, as that is no WAN; name all WANs in wan.interfaces");
    }
    if (!forwards_ipv6_) {
        warnings.emplace_back(
            "IPv6: the gateway forwards nothing: net.ipv6.conf.all.forwarding is off (sysctl)");
    }
}

void Gateway::warn_of_nat66(std::vector<std::string>& warnings) const {
    if (perimeter_.scope.ipv6_nat_sources.empty()) {
        warnings.emplace_back(
            "nat.ipv6 is \"nat66\", but no LAN with a private IPv6 network (fc00::/7) is known: "
            "name it in nat.sources");
    }
    if (perimeter_.scope.ipv6_wan_addresses.empty()) {
        warnings.emplace_back("nat.ipv6 is \"nat66\", but the gateway has no IPv6 address to show");
    }
    if (!cannot_watch_.empty()) {
        warnings.push_back("NAT66 follows hosts to other addresses of theirs only once a minute: " +
                           cannot_watch_);
    }
    for (const auto id : reservations_.crowded_out()) {
        const auto& row = *reservations_.find(id);
        const auto protocol = row.internal.protocol;
        const auto* owner = reservations_.find(protocol, row.external_port, Family::ipv6);
        const std::string whose = owner != nullptr ? to_text(owner->internal.host)
                                  : reservations_.is_own(protocol, row.external_port)
                                      ? "the gateway itself"
                                      : "the pool";
        warnings.push_back("NAT66: external port " +
                           to_text(ProtocolPort{protocol, row.external_port}) + " belongs to " +
                           whose + ", so " + to_text(row.internal.host) + " (reservation " +
                           std::to_string(number(id)) + ") does not leave from it over IPv6");
    }
}

Address Gateway::address_of(const HostKey& host, Family family) const {
    if (const auto* address = std::get_if<Address>(&host)) return *address;
    const auto& [places, holders, ipv6_places] = reservations_.whereabouts();
    const bool ipv4 = family == Family::ipv4;
    const auto& mac = std::get<MacAddress>(host);
    const auto place = places.find(mac);
    if (ipv4 && place != places.end()) return place->second;
    const auto ipv6 = ipv6_places.find(mac);
    const bool has_ipv6 = ipv6 != ipv6_places.end() && !ipv6->second.empty();
    if (!ipv4 && has_ipv6) return ipv6->second.front();
    throw InvalidArgument(
        "host", to_text(host),
        "a host that has an " + std::string(ipv4 ? "IPv4" : "IPv6") + " address on a LAN now");
}

Explanation Gateway::explain(const Endpoint& from, const Place& remote, Tracer& tracer) const {
    const auto family = remote.address.family();
    const auto* row = reservations_.find(from);
    const auto translated =
        row != nullptr && family == Family::ipv6 ? nat66_host(*row) : std::nullopt;
    const auto source = translated ? *translated : address_of(from.host, family);
    const Packet packet{from.protocol, {source, from.port}, remote};
    require_not_own(perimeter_, packet.source.address);
    if (packet.source.address.family() != family) {
        throw InvalidArgument(
            "remote", to_text(remote),
            "an address of the same family as the host's, " + to_text(packet.source.address));
    }
    return porthole::explain(
        packet, perimeter_, reservations_, [this](int index) { return interface_name(index); },
        tracer);
}

// One that no WAN has is waited for, but not asked for.
void Gateway::require_wan_address(const std::optional<ExternalAddress>& wanted,
                                  const Reservation* row) const {
    const bool kept = row != nullptr && wanted == row->external_address;
    if (!kept) porthole::require_wan_address(perimeter_, wanted);
}

void Gateway::require_generation(IfGeneration expected) const {
    if (!expected || *expected == generation_) return;
    throw Refused(Refusal::stale_generation, "if-generation " + std::to_string(*expected) +
                                                 ": the reservations are at generation " +
                                                 std::to_string(generation_) + " by now");
}

void Gateway::commit(const ReservationDifference& change) { commit(change, perimeter_); }

void Gateway::commit(const ReservationDifference& change, const Perimeter& perimeter) {
    auto firewall_change = difference({perimeter_.scope, {}}, {perimeter.scope, {}});
    auto rows_change = firewall_difference(change);
    firewall_change.mappings = std::move(rows_change.mappings);
    firewall_change.pinholes = std::move(rows_change.pinholes);
    firewall_change.forget_contacts = former_owners_.are_succeeded(change);
    bool rebuilt = false;
    const bool stored = is_stored(change);
    const bool switched = perimeter.scope.enabled != perimeter_.scope.enabled;
    if (!stored && !switched) {
        rebuilt = apply(firewall_change, change, perimeter.scope);
    } else {
        auto transaction = store_.begin();
        if (stored) transaction.write(change, generation_ + 1);
        if (switched) transaction.write_enabled(perimeter.scope.enabled);
        try {
            rebuilt = apply(firewall_change, change, perimeter.scope);
            transaction.commit();
        } catch (const KernelFailure&) {
            throw;  // it has taken nothing
        } catch (...) {
            take_back(firewall_change, rebuilt);
            throw;
        }
    }
    finish(change, perimeter, firewall_change, rebuilt, stored);
}

bool Gateway::apply(const FirewallDifference& difference, const ReservationDifference& change,
                    const Scope& scope) {
    try {
        const bool same_table = differ_in_lists_only(scope, perimeter_.scope);
        if (same_table && firewall_.apply(difference)) return false;
    } catch (const FirewallDrift& drift) {
        log::warning("table-rebuilt",
                     "table inet porthole is not as it was left; it is rebuilt ({})", drift.what());
        diverged_ = true;
    }
    firewall_.replace(desired_firewall(scope, reservations_, change));
    diverged_ = false;
    return true;
}

void Gateway::take_back(const FirewallDifference& difference, bool rebuilt) {
    try {
        try {
            if (!rebuilt && firewall_.apply(difference.inverse())) {
                if (difference.forget_contacts) look();
                return;
            }
        } catch (const FirewallDrift& drift) {
            log::warning("table-rebuilt", "{}", drift.what());
        }
        firewall_.replace(desired_firewall(perimeter_.scope, reservations_));
        if (!perimeter_.scope.enabled) return;
        settling_.order_everything(judging_firewall(perimeter_.scope, reservations_), {}, {}, {},
                                   true, true);
    } catch (const std::exception& failure) {
        diverged_ = true;
        log::error("take-back-failed", "the kernel is ahead of the store: {}", failure.what());
    }
}

void Gateway::finish(const ReservationDifference& change, const Perimeter& perimeter,
                     const FirewallDifference& difference, bool rebuilt, bool stored) noexcept {
    if (!change.empty()) {
        reservations_.apply(change);
        if (stored) ++generation_;
        journal_.record(change);
    }
    const auto& mappings = difference.mappings;
    if (rebuilt || difference.forget_contacts) {
        former_owners_.forget();
    } else {
        former_owners_.follow(change);
    }
    const bool more_own_ports = perimeter.scope.own_ports != perimeter_.scope.own_ports;
    perimeter_.scope.own_ports = perimeter.scope.own_ports;
    const bool moved = perimeter.scope != perimeter_.scope;
    if (perimeter != perimeter_) ++perimeter_version_;
    perimeter_ = perimeter;
    if (rebuilt || moved) {
        auto gone_addresses = difference.wan_addresses.removed;
        // Where NAT66 was switched off they are still there.
        std::ranges::copy_if(
            difference.ipv6_wan_addresses.removed, std::back_inserter(gone_addresses),
            [&perimeter](const Address& address) { return !has_address(perimeter, address); });
        settle_everything(
            mappings.removed, gone_addresses,
            rebuilt || !difference.wans.added.empty() || !difference.pinholes.added.empty());
        return;
    }
    if (!perimeter_.scope.enabled) return;
    std::vector<ReservationId> rows;  // one may be in the kernel already, as another row's
    for (const auto& row : change.after) {
        if (row.state == ReservationState::settling) rows.push_back(row.id);
    }
    const auto& pinholes = difference.pinholes;
    if (!mappings.empty() || !pinholes.empty() || !rows.empty()) {
        settling_.order(mappings, pinholes, perimeter_.scope, std::move(rows));
    }
    if (more_own_ports || difference.forget_contacts) look();
}

}  // namespace porthole
