// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/tunnels.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <iterator>
#include <utility>

#include "core/log.hpp"
#include "tunnel_plan.hpp"
#include "types/limits.hpp"

namespace porthole {
namespace {

[[noreturn]] void refuse_port(Port port, const std::string& owner) {
    throw Refused(Refusal::port_taken, "listen-port " + to_text(port) + " belongs to " + owner);
}

auto place_of(std::vector<PeerSettings>& peers, const PublicKey& key) {
    return std::ranges::lower_bound(peers, key, {}, &PeerSettings::public_key);
}

// The error that is answered is the one before.
template <typename Undo>
void take_back(const InterfaceName& name, const Undo& undo) {
    try {
        undo();
    } catch (const std::exception& failure) {
        log::error("take-back-failed", "{} is not as it was: {}", to_text(name), failure.what());
    }
}

// The kernel would put a number in its place.
void require_literal(const InterfaceName& name) {
    if (to_text(name).find('%') == std::string::npos) return;
    throw InvalidArgument("invalid name \"" + to_text(name) +
                          "\": expected the name of an interface without '%'");
}

PeerSettings new_peer(const PublicKey& key) {
    return {.public_key = key, .keepalive = default_keepalive};
}

PeerSettings changed(PeerSettings peer, const PeerChanges& changes) {
    if (changes.name) peer.name = *changes.name;
    if (changes.preshared_key) peer.preshared_key = *changes.preshared_key;
    if (changes.endpoint) peer.endpoint = *changes.endpoint;
    if (changes.keepalive) peer.keepalive = *changes.keepalive;
    if (changes.allowed_ips) peer.allowed_ips = *changes.allowed_ips;
    return peer;
}

PeerState state_of(const WireGuardPeer& peer,
                   const std::optional<std::chrono::nanoseconds>& handshake_age) {
    constexpr std::chrono::seconds life_of_a_session{180};  // REJECT_AFTER_TIME of the protocol
    if (handshake_age && *handshake_age < life_of_a_session) return PeerState::connected;
    if (peer.endpoint && peer.keepalive.count() != 0) return PeerState::handshaking;
    return handshake_age ? PeerState::stale : PeerState::unseen;
}

}  // namespace

PeerSettings peer_with(const PeerChanges& changes) {
    return changed(new_peer(changes.public_key), changes);
}

std::string to_text(PeerState state) {
    switch (state) {
        case PeerState::connected:
            return "connected";
        case PeerState::handshaking:
            return "handshaking";
        case PeerState::stale:
            return "stale";
        case PeerState::unseen:
            break;
    }
    return "never";
}

Tunnels::Tunnels(Gateway& gateway, TunnelBackend& backend, std::vector<Tunnel> stored,
                 Gateway::Clock clock, MonotonicClock monotonic)
    : gateway_(gateway), backend_(backend), handshakes_(std::move(clock), std::move(monotonic)) {
    for (auto& tunnel : stored) tunnels_.emplace(tunnel.name, std::move(tunnel));
}

void Tunnels::start() {
    hold_what_is_there();
    remove_what_a_crash_has_left();
    default_routes_ = {};
    for (const auto& [name, tunnel] : tunnels_) {
        try {
            default_routes_.add(tunnel);
            bring_up(tunnel);
            failures_.erase(name);
        } catch (const Error& error) {
            failures_[name] = error.what();
            log::error("tunnel-failed", "{} is not up: {}", to_text(name), error.what());
        }
    }
    set_rules();
}

// Those that a crash has left, too, but not of tunnels that are there and cannot be read.
void Tunnels::set_rules() {
    if (!cannot_read_.empty()) return;
    try {
        backend_.set_rules(default_routes_.rules());
        rules_failure_.clear();
    } catch (const Error& error) {
        rules_failure_ = error.what();
        log::error("rules-failed", "the default routes of tunnels are not in force: {}",
                   error.what());
    }
}

// An interface that nobody was told of. One without a tunnel that was finished once stays: its
// tunnel may have been lost with the database.
void Tunnels::remove_what_a_crash_has_left() {
    try {
        for (const auto& name : backend_.unfinished()) {
            if (tunnels_.contains(name)) continue;
            log::warning("tunnel-removed", "{} is left from a change that was not finished",
                         to_text(name));
            backend_.remove(name);
        }
    } catch (const Error& error) {
        log::error("tunnel-failed", "an interface without a tunnel may be there: {}", error.what());
    }
}

void Tunnels::bring_up(const Tunnel& tunnel) {
    const auto& name = tunnel.name;
    auto actual = backend_.read(name);
    if (!actual) {
        backend_.create(name);
        actual.emplace();
    }
    const auto wanted = with_learnt_endpoints(
        with_stored_endpoints(device_of(tunnel.settings), tunnel), actual->device);
    backend_.configure(name, actual->device, wanted);
    backend_.connect(name, link_of(tunnel.settings), wanted.peers);
    backend_.finish(name);
}

const Tunnel& Tunnels::create(const InterfaceName& name, TunnelSettings settings, Origin by) {
    if (tunnels_.contains(name)) {
        throw Refused(Refusal::tunnel_exists, "there is a tunnel " + to_text(name) + " already");
    }
    require_literal(name);
    require_at_most(tunnels_.size() + 1, most_tunnels, "tunnels");
    require_bounded(settings);
    if (!cannot_read_.empty()) {
        throw StorageFailure("add tunnel " + to_text(name) + " to those that are stored",
                             cannot_read_);
    }
    if (!settings.private_key) settings.private_key = PrivateKey::generate();
    if (settings.listen_port) {
        require_free(*settings.listen_port);
    } else {
        settings.listen_port = free_port();
    }
    if (settings.fwmark == 0) settings.fwmark = free_mark(tunnels_);
    std::ranges::stable_sort(settings.peers, {}, &PeerSettings::public_key);
    const Tunnel tunnel{name, std::move(settings), by};
    const auto device = device_of(tunnel.settings);
    require_consistent(device);
    auto default_routes = default_routes_;
    default_routes.add(tunnel);
    if (is_there(name)) {
        throw Refused(Refusal::tunnel_exists, "there is an interface " + to_text(name) +
                                                  " already, which Porthole has not made");
    }
    bool made = false;
    try {
        // Nobody's flow must leave from its port once it is up.
        hold_ports(&tunnel);
        auto transaction = gateway_.store().begin();
        transaction.write(tunnel);
        backend_.create(name);
        made = true;
        backend_.configure(name, {}, device);
        backend_.connect(name, link_of(tunnel.settings), device.peers);
        change_rules(default_routes_, default_routes);
        transaction.commit();
    } catch (...) {
        take_back(name, [&] { change_rules(default_routes, default_routes_); });
        take_back(name, [&] {
            if (made) backend_.remove(name);
        });
        hold_what_is_there();
        throw;
    }
    take_back(name, [&] { backend_.finish(name); });
    versions_[name] = ++version_;
    default_routes_ = std::move(default_routes);
    return tunnels_.emplace(name, tunnel).first->second;
}

void Tunnels::replace(const InterfaceName& name, TunnelSettings settings, Origin by) {
    auto& tunnel = changeable(name, by);
    require_bounded(settings);
    const auto& before = tunnel.settings;
    if (!settings.private_key) settings.private_key = before.private_key;
    if (!settings.listen_port) settings.listen_port = before.listen_port;
    if (settings.listen_port != before.listen_port) require_free(*settings.listen_port);
    if (settings.fwmark == 0) settings.fwmark = before.fwmark;
    std::ranges::stable_sort(settings.peers, {}, &PeerSettings::public_key);
    Tunnel changed{name, std::move(settings), tunnel.origin, tunnel.learnt};
    std::erase_if(changed.learnt, [&](const auto& each) {
        return !is_placed_alike(before, changed.settings, each.first);
    });
    require_consistent(device_of(changed.settings));
    try {
        hold_ports(&changed);  // a change of the gateway's, with a transaction of its own
        move(tunnel, changed);
    } catch (...) {
        hold_what_is_there();
        throw;
    }
    for (const auto& peer : before.peers) {
        if (find_peer(changed.settings, peer.public_key) == nullptr) {
            handshakes_.forget(name, peer.public_key);
        }
    }
    tunnel = std::move(changed);
    failures_.erase(name);
    versions_[name] = ++version_;
    hold_what_is_there();
}

// In the kernel and in the store.
void Tunnels::move(const Tunnel& from, const Tunnel& to) {
    const auto& name = from.name;
    auto transaction = gateway_.store().begin();
    transaction.write(to);
    const auto state = backend_.read(name);
    const auto actual = state ? state->device : WireGuardDevice{};
    const auto wanted = continued(from.settings, actual, to);
    auto default_routes = default_routes_;
    default_routes.remove(name);
    default_routes.add(to);
    bool made = false;
    try {
        if (!state) {
            backend_.create(name);
            made = true;
        }
        backend_.configure(name, actual, wanted);
        backend_.connect(name, link_of(to.settings), wanted.peers);
        change_rules(default_routes_, default_routes);
        transaction.commit();
    } catch (...) {
        take_back(name, [&] { change_rules(default_routes, default_routes_); });
        take_back(name, [&] {
            if (made) return backend_.remove(name);
            const auto now = backend_.read(name);
            if (!state || !now) return;
            backend_.configure(name, now->device, actual);
            backend_.connect(name, link_of(from.settings), actual.peers);
        });
        throw;
    }
    take_back(name, [&] { backend_.finish(name); });
    default_routes_ = std::move(default_routes);
}

void Tunnels::configure(const InterfaceName& name, const TunnelChanges& changes) {
    auto settings = changeable(name, Origin::api).settings;
    if (changes.private_key) settings.private_key = changes.private_key;
    if (changes.listen_port) settings.listen_port = changes.listen_port;
    if (changes.addresses) settings.addresses = *changes.addresses;
    if (changes.mtu) settings.mtu = *changes.mtu;
    if (changes.fwmark) settings.fwmark = *changes.fwmark;
    if (changes.table) settings.table = *changes.table;
    if (changes.metric) settings.metric = *changes.metric;
    replace(name, std::move(settings));
}

void Tunnels::set_peers(const InterfaceName& name, const std::vector<PeerChanges>& peers) {
    auto settings = changeable(name, Origin::api).settings;
    const auto before = std::exchange(settings.peers, {});
    for (const auto& changes : peers) {
        auto& peer = settings.peers.emplace_back(peer_with(changes));
        const auto known =
            std::ranges::lower_bound(before, peer.public_key, {}, &PeerSettings::public_key);
        const bool is_there = known != before.end() && known->public_key == peer.public_key;
        if (is_there && !changes.preshared_key) peer.preshared_key = known->preshared_key;
    }
    replace(name, std::move(settings));
}

void Tunnels::remove(const InterfaceName& name, Origin by) {
    const auto& tunnel = changeable(name, by);
    auto transaction = gateway_.store().begin();
    transaction.remove_tunnel(name);
    auto default_routes = default_routes_;
    default_routes.remove(name);
    bool removed = false;
    try {
        change_rules(default_routes_, default_routes);
        remove_interface(name);
        removed = true;
        transaction.commit();
    } catch (...) {
        take_back(name, [&] {
            if (removed) bring_up(tunnel);
        });
        take_back(name, [&] { change_rules(default_routes, default_routes_); });
        throw;
    }
    default_routes_ = std::move(default_routes);
    tunnels_.erase(name);
    failures_.erase(name);
    handshakes_.forget(name);
    versions_[name] = ++version_;
    hold_what_is_there();
}

// It may be gone already.
void Tunnels::remove_interface(const InterfaceName& name) {
    try {
        backend_.remove(name);
    } catch (const KernelFailure& failure) {
        if (failure.code() != ENODEV) throw;
    }
}

void Tunnels::set_peer(const InterfaceName& name, const PeerChanges& changes) {
    auto& tunnel = changeable(name, Origin::api);
    auto& peers = tunnel.settings.peers;
    const auto place = place_of(peers, changes.public_key);
    const bool is_there = place != peers.end() && place->public_key == changes.public_key;
    const auto peer = changed(is_there ? *place : new_peer(changes.public_key), changes);
    require_bounded(peer);
    if (!is_there)
        require_at_most(peers.size() + 1, most_peers, "peers of tunnel " + to_text(name));
    require_consistent_with(tunnel.settings, peer);
    const auto before = is_there ? std::optional(*place) : std::nullopt;
    auto transaction = gateway_.store().begin();
    const bool endpoint_given = changes.endpoint.has_value();
    transaction.write(name, peer,
                      endpoint_given ? std::nullopt : learnt_place(tunnel, peer.public_key));
    change(tunnel, before, peer, endpoint_given, transaction);
    if (is_there) {
        *place = peer;
    } else {
        peers.insert(place, peer);
    }
    if (endpoint_given) tunnel.learnt.erase(peer.public_key);
    versions_[name] = ++version_;
}

void Tunnels::remove_peer(const InterfaceName& name, const PublicKey& key) {
    auto& tunnel = changeable(name, Origin::api);
    auto& peers = tunnel.settings.peers;
    const auto place = place_of(peers, key);
    if (place == peers.end() || place->public_key != key) {
        throw Refused(Refusal::no_such_peer,
                      "tunnel " + to_text(name) + " has no peer " + to_text(key));
    }
    auto transaction = gateway_.store().begin();
    transaction.remove_peer(name, key);
    change(tunnel, *place, std::nullopt, false, transaction);
    peers.erase(place);
    tunnel.learnt.erase(key);
    handshakes_.forget(name, key);
    versions_[name] = ++version_;
}

void Tunnels::move_peer(const InterfaceName& name, const PublicKey& key, const Place& place) {
    const auto& settings = find(name).settings;
    const auto peer = std::ranges::find(settings.peers, key, &PeerSettings::public_key);
    if (peer == settings.peers.end()) return;
    const auto from = peer_of(*peer);
    auto to = from;
    to.endpoint = PeerEndpoint{place};
    backend_.change_peer(name, from, to, true);
    fit_mtu(name, link_with(settings, std::nullopt), to);
}

void Tunnels::remember(const std::vector<LearntEndpoint>& learnt) {
    auto transaction = gateway_.store().begin();
    for (const auto& [tunnel, peer, place] : learnt) transaction.write_learnt(tunnel, peer, place);
    transaction.commit();
    for (const auto& [tunnel, peer, place] : learnt) {
        auto& known = tunnels_.at(tunnel).learnt;
        known.erase(peer);
        if (place) known.emplace(peer, *place);
    }
}

std::uint64_t Tunnels::version(const InterfaceName& name) const {
    const auto found = versions_.find(name);
    return found == versions_.end() ? 0 : found->second;
}

// In a time that does not depend on how many peers there are.
void Tunnels::change(const Tunnel& tunnel, const std::optional<PeerSettings>& before,
                     const std::optional<PeerSettings>& after, bool endpoint_given,
                     Store::Transaction& transaction) {
    const auto& name = tunnel.name;
    const auto old_peer = before ? std::optional(peer_of(*before)) : std::nullopt;
    auto new_peer = after ? std::optional(peer_of(*after)) : std::nullopt;
    const bool named =
        after && after->endpoint && std::holds_alternative<NamedPlace>(*after->endpoint);
    // Until the name is known, where it was is the best guess.
    if (named && old_peer) new_peer->endpoint = old_peer->endpoint;
    auto link = link_with(tunnel.settings, before);
    const auto old_routes = std::exchange(link.routes, {});
    const auto new_routes = link_with(tunnel.settings, after).routes;
    std::vector<Network> gone;
    std::vector<Network> come;
    std::ranges::set_difference(old_routes, new_routes, std::back_inserter(gone));
    std::ranges::set_difference(new_routes, old_routes, std::back_inserter(come));
    auto default_routes = default_routes_;
    if (before) default_routes.remove(name, *before);
    if (after) default_routes.add(name, tunnel.settings, *after);
    backend_.change_peer(name, old_peer, new_peer, endpoint_given && !named);
    bool routed = false;
    try {
        backend_.change_routes(name, link, gone, come);
        routed = true;
        change_rules(default_routes_, default_routes);
        transaction.commit();
    } catch (...) {
        take_back(name, [&] { change_rules(default_routes, default_routes_); });
        take_back(name, [&] {
            if (routed) backend_.change_routes(name, link, come, gone);
        });
        take_back(name, [&] { backend_.take_peer_back(name, old_peer, new_peer); });
        throw;
    }
    default_routes_ = std::move(default_routes);
    if (new_peer && new_peer->endpoint) fit_mtu(name, link, *new_peer);
}

void Tunnels::fit_mtu(const InterfaceName& name, const TunnelLink& link,
                      const WireGuardPeer& peer) {
    try {
        backend_.fit_mtu(name, link, peer);
    } catch (const Error& error) {
        log::error("mtu-failed", "{} may have too large an MTU: {}", to_text(name), error.what());
    }
}

// Most changes are none of these.
void Tunnels::change_rules(const DefaultRoutes& from, const DefaultRoutes& to) {
    if (from == to) return;
    backend_.set_rules(to.rules());
    rules_failure_.clear();
}

const Tunnel& Tunnels::find(const InterfaceName& name) const {
    const auto found = tunnels_.find(name);
    if (found != tunnels_.end()) return found->second;
    throw Refused(Refusal::no_such_tunnel, "there is no tunnel " + to_text(name));
}

Tunnel& Tunnels::changeable(const InterfaceName& name, Origin by) {
    auto& tunnel = tunnels_.at(find(name).name);
    if (tunnel.origin == Origin::configured && by != Origin::configured) {
        throw Refused(
            Refusal::read_only,
            "tunnel " + to_text(name) +
                " comes from the configuration file; change the [[tunnel]] with name = \"" +
                to_text(name) + "\" there");
    }
    return tunnel;
}

std::vector<PeerView> Tunnels::peers(const InterfaceName& name) {
    const auto& tunnel = find(name);
    const auto& settings = tunnel.settings;
    const auto state = backend_.read(name).value_or(WireGuardState{});
    const auto& actual = state.device.peers;
    std::vector<PeerView> views;
    views.reserve(settings.peers.size());
    for (const auto& peer : settings.peers) {
        auto& view = views.emplace_back(PeerView{.settings = peer, .endpoint = {}});
        view.learnt = learnt_place(tunnel, peer.public_key);
        const auto seen =
            std::ranges::lower_bound(actual, peer.public_key, {}, &WireGuardPeer::public_key);
        if (seen == actual.end() || seen->public_key != peer.public_key) continue;
        const auto& activity = state.activity.at(static_cast<std::size_t>(seen - actual.begin()));
        if (seen->endpoint) view.endpoint = seen->endpoint->place;
        view.last_handshake = activity.last_handshake;
        view.received_bytes = activity.received_bytes;
        view.sent_bytes = activity.sent_bytes;
        view.handshake_age = handshakes_.age(name, activity);
        view.state = state_of(*seen, view.handshake_age);
    }
    return views;
}

// Of whatever kind.
bool Tunnels::is_there(const InterfaceName& name) {
    try {
        return backend_.read(name).has_value();
    } catch (const KernelFailure& failure) {
        if (failure.code() != EOPNOTSUPP) throw;
        return true;
    }
}

std::vector<std::string> Tunnels::warnings() const {
    std::vector<std::string> lines;
    if (!cannot_read_.empty()) lines.push_back("no stored tunnel is up: " + cannot_read_);
    for (const auto& [name, failure] : failures_) {
        lines.push_back("tunnel " + to_text(name) + " is not up: " + failure);
    }
    if (!rules_failure_.empty()) {
        lines.push_back("the default routes of tunnels are not in force: " + rules_failure_);
    }
    std::ranges::copy(default_routes_.warnings(), std::back_inserter(lines));
    return lines;
}

void Tunnels::require_free(Port port) const {
    const ProtocolPort wanted{Protocol::udp, port};
    if (const auto* owner = gateway_.reservations().anybody(wanted)) {
        refuse_port(port, to_text(owner->internal.host));
    }
    for (const auto& [name, tunnel] : tunnels_) {
        if (tunnel.settings.listen_port == port) refuse_port(port, "tunnel " + to_text(name));
    }
    if (gateway_.reservations().is_own(Protocol::udp, port)) {
        refuse_port(port, "another program of the gateway");
    }
}

// From where hosts behind other NATs look for it first.
Port Tunnels::free_port() const {
    constexpr std::uint16_t usual = 51820;
    for (auto value = usual; value != 0; ++value) {
        const auto port = *Port::from(value);
        try {
            require_free(port);
            if (!gateway_.reservations().pool().contains(port)) return port;
        } catch (const Refused&) {  // NOLINT(bugprone-empty-catch)
            // It is somebody's.
        }
    }
    throw Refused(Refusal::limit_exceeded, "no listen-port from 51820 on is free");
}

// Where nobody waits for an answer that could say that it failed.
void Tunnels::hold_what_is_there() {
    try {
        hold_ports(nullptr);
    } catch (const Error& error) {
        log::error("own-ports-failed", "the ports of tunnels: {}", error.what());
    }
}

void Tunnels::hold_ports(const Tunnel* also) {
    std::vector<ProtocolPort> ports;
    const auto hold = [&ports](const Tunnel& tunnel) {
        if (tunnel.settings.listen_port) {
            ports.push_back({Protocol::udp, *tunnel.settings.listen_port});
        }
    };
    for (const auto& [name, tunnel] : tunnels_) hold(tunnel);
    if (also != nullptr) hold(*also);
    gateway_.hold_ports(std::move(ports));
}

}  // namespace porthole
