// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <set>

#include "core/default_routes.hpp"
#include "core/gateway.hpp"
#include "core/handshakes.hpp"
#include "core/tunnel.hpp"
#include "core/tunnel_backend.hpp"
#include "core/tunnel_device.hpp"

namespace porthole {

/// What is to be set of a peer: what is not given stays, or is the default of a new one.
struct PeerChanges {
    PublicKey public_key;
    std::optional<Comment> name = std::nullopt;
    std::optional<std::optional<PresharedKey>> preshared_key = std::nullopt;  ///< nothing: none
    std::optional<std::optional<EndpointSetting>> endpoint = std::nullopt;    ///< nothing: none
    std::optional<Keepalive> keepalive = std::nullopt;  ///< default: 5 s, which NATs need
    std::optional<std::vector<Network>> allowed_ips = std::nullopt;  ///< sorted
};

/// What is to be set of a tunnel itself: what is not given stays.
struct TunnelChanges {
    std::optional<PrivateKey> private_key = std::nullopt;
    std::optional<Port> listen_port = std::nullopt;
    std::optional<std::vector<InterfaceAddress>> addresses = std::nullopt;
    std::optional<std::optional<std::uint32_t>> mtu = std::nullopt;  ///< nothing: from the path
    std::optional<std::uint32_t> fwmark = std::nullopt;
    std::optional<RouteTable> table = std::nullopt;
    std::optional<std::uint32_t> metric = std::nullopt;
};

/// A peer that is to be there with what is given, and with the defaults of a new one.
PeerSettings peer_with(const PeerChanges& changes);

/// How it stands with a peer.
enum class PeerState : std::uint8_t {
    connected,    ///< there is a session
    handshaking,  ///< there is none, and the kernel tries for one
    stale,        ///< there was one, and nobody tries
    unseen,       ///< there was none, and nobody tries
};

std::string to_text(PeerState state);

/// A peer as it was set, and as the kernel sees it.
struct PeerView {
    PeerSettings settings;
    std::optional<Place> endpoint;               ///< that the kernel sends to
    std::optional<Place> learnt = std::nullopt;  ///< where it was last, as it is stored
    std::chrono::sys_time<std::chrono::nanoseconds> last_handshake{};      ///< 0: never
    std::optional<std::chrono::nanoseconds> handshake_age = std::nullopt;  ///< nothing: never
    std::uint64_t received_bytes = 0;
    std::uint64_t sent_bytes = 0;
    PeerState state = PeerState::unseen;
};

/// Where a peer was last; nothing: where it was said to be.
struct LearntEndpoint {
    InterfaceName tunnel;
    PublicKey peer;
    std::optional<Place> place;
};

/// The use cases of the gateway's own tunnels.
///
/// A change goes the way of Enforcement's: decide, write to the store's open transaction, change
/// the kernel, commit, change memory. A call that throws has changed nothing. Throws
/// InvalidArgument, Refused, KernelFailure, StorageFailure. `by`: who asks; tunnels of the
/// configuration file are refused (read_only) to everybody else.
class Tunnels {
  public:
    /// `gateway` has been started.
    Tunnels(Gateway& gateway, TunnelBackend& backend, std::vector<Tunnel> stored,
            Gateway::Clock clock, MonotonicClock monotonic = std::chrono::steady_clock::now);

    /// There are more, but they cannot be read.
    void cannot_read(std::string reason) { cannot_read_ = std::move(reason); }
    /// Makes the interfaces of all tunnels, or makes those that are there what they are to be:
    /// sessions and endpoints that were learnt stay. One that fails keeps no other from coming up,
    /// and warnings() has why.
    void start();

    /// Without a private key one is made, without a listen port one is chosen that nobody has,
    /// without a firewall mark one that no other tunnel has.
    const Tunnel& create(const InterfaceName& name, TunnelSettings settings,
                         Origin by = Origin::api);
    /// Makes the tunnel what is said, as a difference: sessions that can stay do, and so does the
    /// private key, the listen port or the firewall mark that is not given. All or nothing.
    void replace(const InterfaceName& name, TunnelSettings settings, Origin by = Origin::api);
    void configure(const InterfaceName& name, const TunnelChanges& changes);
    /// Makes these its peers, and no others. A preshared key that is not given stays.
    void set_peers(const InterfaceName& name, const std::vector<PeerChanges>& peers);
    /// With its interface, keys and peers.
    void remove(const InterfaceName& name, Origin by = Origin::api);
    /// Adds the peer, or makes the one of this key what is said. No other peer's session is
    /// disturbed.
    void set_peer(const InterfaceName& name, const PeerChanges& changes);
    void remove_peer(const InterfaceName& name, const PublicKey& key);
    /// Has the kernel send to this peer there from now on; what was set of it stays.
    void move_peer(const InterfaceName& name, const PublicKey& key, const Place& place);
    /// Stores where these peers, which must be there, are: that is where they are looked for when
    /// their interfaces are made anew, until somebody sets an endpoint.
    void remember(const std::vector<LearntEndpoint>& learnt);

    [[nodiscard]] const std::map<InterfaceName, Tunnel>& all() const { return tunnels_; }
    /// Throws Refused (no_such_tunnel).
    [[nodiscard]] const Tunnel& find(const InterfaceName& name) const;
    /// The same, and throws Refused (read_only) for one of the configuration file's.
    [[nodiscard]] const Tunnel& find_changeable(const InterfaceName& name) {
        return changeable(name, Origin::api);
    }
    /// In the order of their keys.
    [[nodiscard]] std::vector<PeerView> peers(const InterfaceName& name);
    /// Its interface is there, and what it is to be.
    [[nodiscard]] bool is_up(const InterfaceName& name) const { return !failures_.contains(name); }
    /// One line for every tunnel that is not up, or not the way to what it should be.
    [[nodiscard]] std::vector<std::string> warnings() const;
    /// Another one after every change by create(), remove(), set_peer() and remove_peer().
    [[nodiscard]] std::uint64_t version() const { return version_; }
    /// The version of its last change; 0: none since the start.
    [[nodiscard]] std::uint64_t version(const InterfaceName& name) const;

  private:
    void remove_what_a_crash_has_left();
    bool is_there(const InterfaceName& name);
    void bring_up(const Tunnel& tunnel);
    void move(const Tunnel& from, const Tunnel& to);
    void remove_interface(const InterfaceName& name);
    Tunnel& changeable(const InterfaceName& name, Origin by);
    void change(const Tunnel& tunnel, const std::optional<PeerSettings>& before,
                const std::optional<PeerSettings>& after, bool endpoint_given,
                Store::Transaction& transaction);
    void fit_mtu(const InterfaceName& name, const TunnelLink& link, const WireGuardPeer& peer);
    void change_rules(const DefaultRoutes& from, const DefaultRoutes& to);
    void set_rules();
    void require_free(Port port) const;
    [[nodiscard]] Port free_port() const;
    void hold_ports(const Tunnel* also);
    void hold_what_is_there();

    Gateway& gateway_;
    TunnelBackend& backend_;
    Handshakes handshakes_;
    std::map<InterfaceName, Tunnel> tunnels_;
    std::map<InterfaceName, std::uint64_t> versions_;
    std::uint64_t version_ = 0;
    DefaultRoutes default_routes_;
    std::map<InterfaceName, std::string> failures_;
    std::string rules_failure_;
    std::string cannot_read_;
};

}  // namespace porthole
