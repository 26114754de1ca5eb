// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/gateway.hpp"

#include <algorithm>

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
      firewall_(firewall),
      clock_(std::move(clock)),
      enforcement_(std::move(opened), firewall, settler),
      reservations_(enforcement_.reservations()),
      lookout_(enforcement_, firewall, configuration_, interfaces_, clock_) {
    reservations_.set_pool(configuration_.pool);
    reservations_.set_claim_alternates(configuration_.claims.alternates);
}

void Gateway::start(const InterfaceSnapshot& interfaces) {
    interfaces_ = interfaces;
    lookout_.start();
    enforcement_.start(perimeter_for(configuration_, interfaces_));
    expire();
    const auto configured = configured_by(configuration_, perimeter());
    configuration_refused_ = configured.refused;
    for (const auto& problem : configured.refused) {
        log::error("configuration-refused", "{}", problem);
    }
    enforcement_.commit(configured.difference);
    enforcement_.settle_everything({}, {}, true);
}

Reservation Gateway::reserve(const ReserveRequest& request, IfGeneration if_generation) {
    require_generation(if_generation);
    require_lan_host(perimeter(), request.internal.host);
    require_wan_address(request.external_address, reservations_.find(request.internal));
    const auto change = reservations_.reserve(request, Origin::api, clock_());
    reservations_.require_room(change);
    enforcement_.commit(change);
    return *reservations_.find(request.internal);
}

std::vector<std::pair<ReservationId, Port>> Gateway::reserve_many(
    std::span<const ReserveRequest> requests, IfGeneration if_generation) {
    require_generation(if_generation);
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const auto place = "rows[" + std::to_string(i) + "]: ";
        try {
            require_lan_host(perimeter(), requests[i].internal.host);
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
    enforcement_.commit(change);
    std::vector<std::pair<ReservationId, Port>> result;
    result.reserve(ids.size());
    for (const auto id : ids) result.emplace_back(id, reservations_.find(id)->external_port);
    return result;
}

Reservation Gateway::change(ReservationId id, const ReservationChanges& changes,
                            IfGeneration if_generation) {
    require_generation(if_generation);
    require_wan_address(changes.external_address, reservations_.find(id));
    const auto change = reservations_.change(id, changes, clock_());
    reservations_.require_room(change);
    enforcement_.commit(change);
    return *reservations_.find(id);
}

void Gateway::release(std::span<const ReservationId> ids, IfGeneration if_generation) {
    require_generation(if_generation);
    enforcement_.commit(reservations_.release(ids));
}

std::vector<std::string> Gateway::restore(std::span<const Reservation> earlier) {
    auto restored = reservations_.restore(earlier, clock_());
    enforcement_.commit(restored.difference);
    return std::move(restored.refused);
}

void Gateway::set_enabled(bool enabled) {
    auto switched = perimeter();
    switched.scope.enabled = enabled;
    if (switched == perimeter()) return;
    enforcement_.commit({}, switched);
    enabled_ = enabled;
    lookout_.forget_candidates();
    journal().touch_all();
    if (enabled) {
        log::info("switched-on", "the rules are in force again");
        return;
    }
    lookout_.forget_look();
    lookout_.find_conflicts();
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
        enforcement_.decide_for(perimeter);
        configured = configured_by(configuration, perimeter);
        if (configured.invalid) throw InvalidArgument(joined(configured.refused));
        if (!configured.refused.empty()) {
            throw Refused(Refusal::port_taken, joined(configured.refused));
        }
        enforcement_.commit(configured.difference, perimeter);
        committed = generation();
        if (rest) rest();
    } catch (...) {
        reservations_.set_pool(old_pool);
        reservations_.set_claim_alternates(old_alternates);
        if (committed) {
            revert(configured.difference, *committed);
        } else {
            enforcement_.decide_for(this->perimeter());
        }
        throw;
    }
    configuration_ = std::move(configuration);
    configuration_refused_.clear();
    lookout_.forget_candidates();  // who is still there is seen by the look that follows
    look();
}

// Of a configuration that was not kept in the end. `generation`: after its change.
void Gateway::revert(const ReservationDifference& change, std::uint64_t generation) {
    const auto perimeter = perimeter_for(configuration_, interfaces_);
    enforcement_.decide_for(perimeter);
    try {
        // A claim that has moved since then cannot be moved back by what it was.
        enforcement_.commit(generation == this->generation()
                                ? change.inverse()
                                : configured_by(configuration_, perimeter).difference,
                            perimeter);
    } catch (const std::exception& failure) {
        enforcement_.decide_for(this->perimeter());
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
    enforcement_.decide_for(perimeter);
    try {
        enforcement_.commit(reservations_.follow_perimeter(), perimeter);
    } catch (...) {
        enforcement_.decide_for(this->perimeter());
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
    auto ports = received_on_;
    ports.insert(ports.end(), held_.begin(), held_.end());
    sort_unique(ports);
    reservations_.set_own_ports(std::move(ports));
}

void Gateway::follow_own_ports() {
    gather_own_ports();
    auto followed = perimeter();
    followed.scope.own_ports = unreserved_own_ports();
    const auto moved_claims = reservations_.leave_own_ports();
    if (followed.scope != perimeter().scope || !moved_claims.empty()) {
        enforcement_.commit(moved_claims, followed);
    }
    lookout_.find_conflicts();
}

std::vector<LinkNeighbour> Gateway::hosts_changed(std::span<const Neighbour> neighbours,
                                                  std::span<const Lease> leases) {
    std::vector<Neighbour> on_lans(neighbours.begin(), neighbours.end());
    std::erase_if(on_lans,
                  [lans = lan_links(perimeter(), interfaces_)](const Neighbour& neighbour) {
                      return !lans.contains(neighbour.link_index);
                  });
    if (hosts_.update(on_lans, leases, clock_())) ++hosts_version_;
    auto current = reservations_.followed();
    current.insert(reservations_.whereabouts().of.begin(), reservations_.whereabouts().of.end());
    reservations_.set_whereabouts(hosts_.locate(
        current, [this](const Address& address) { return is_lan_host(perimeter(), address); },
        reservations_.followed_ipv6()));
    enforcement_.commit(reservations_.follow());
    return hosts_.take_unasked(reservations_.followed(), clock_());
}

std::string Gateway::interface_name(int link_index) const {
    const auto found = std::ranges::find(interfaces_.links, link_index, &Link::index);
    return found != interfaces_.links.end() ? found->name.text() : std::string();
}

std::vector<ProtocolPort> Gateway::unreserved_own_ports() const {
    auto ports = reservations_.own_ports();
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

void Gateway::expire() { enforcement_.commit(reservations_.expire(clock_())); }

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
    require_not_own(perimeter(), packet.source.address);
    if (packet.source.address.family() != family) {
        throw InvalidArgument(
            "remote", to_text(remote),
            "an address of the same family as the host's, " + to_text(packet.source.address));
    }
    return porthole::explain(
        packet, perimeter(), reservations_, [this](int index) { return interface_name(index); },
        tracer);
}

// One that no WAN has is waited for, but not asked for.
void Gateway::require_wan_address(const std::optional<ExternalAddress>& wanted,
                                  const Reservation* row) const {
    const bool kept = row != nullptr && wanted == row->external_address;
    if (!kept) porthole::require_wan_address(perimeter(), wanted);
}

void Gateway::require_generation(IfGeneration expected) const {
    if (!expected || *expected == generation()) return;
    throw Refused(Refusal::stale_generation, "if-generation " + std::to_string(*expected) +
                                                 ": the reservations are at generation " +
                                                 std::to_string(generation()) + " by now");
}

}  // namespace porthole
