// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <string_view>

#include "core/invitation.hpp"
#include "core/tunnels.hpp"

namespace porthole {

/// What the other side of a tunnel is told besides what is known here.
struct OtherSide {
    /// Where it finds this gateway; default: the public address of a WAN and the listen port.
    std::optional<EndpointSetting> endpoint = std::nullopt;
    /// What it sends through the tunnel; default: the tunnel's networks and those of the LANs.
    std::optional<std::vector<Network>> allowed_ips = std::nullopt;
    std::vector<std::string> dns = {};
};

/// Somebody who gets a place in a tunnel.
struct Guest {
    Comment name = {};
    /// In the tunnel; default: the first that nobody has in each of its networks.
    std::optional<std::vector<InterfaceAddress>> addresses = std::nullopt;
};

/// What a gateway says of itself in an invitation or in an answer.
struct OwnSite {
    std::optional<EndpointSetting> endpoint = std::nullopt;       ///< default: as OtherSide's
    std::optional<std::vector<Network>> networks = std::nullopt;  ///< default: of the LANs
};

/// How a line was taken.
struct Joined {
    InterfaceName tunnel;
    PublicKey peer;
    std::optional<std::string> answer;  ///< for the gateway that has invited; nothing: all is done
};

/// The use cases in which the other side of a tunnel gets its configuration, too. Throws what
/// Tunnels does.
class Invitations {
  public:
    Invitations(Tunnels& tunnels, const Gateway& gateway, Gateway::Clock clock)
        : tunnels_(tunnels), gateway_(gateway), clock_(std::move(clock)) {}

    /// The configuration of this peer's side, without its private key, which only it has.
    [[nodiscard]] TunnelSettings exported(const InterfaceName& tunnel, const PublicKey& peer,
                                          const OtherSide& side) const;
    /// Adds a peer with new keys; the configuration of its side, private key and all: nobody keeps
    /// it here.
    TunnelSettings invite(const InterfaceName& tunnel, const Guest& guest, const OtherSide& side);
    /// Invites another gateway. Nothing is changed yet, and nothing but the address kept.
    SecretText invite_gateway(const InterfaceName& tunnel, const Guest& guest, const OwnSite& site,
                              std::chrono::seconds lifetime);
    static constexpr std::chrono::seconds usual_lifetime{24 * 3600};
    static constexpr std::chrono::seconds longest_lifetime{30 * 24 * 3600};
    /// Takes another gateway's invitation: makes a tunnel to it, of this name or the first of wg0,
    /// wg1, … that is free. Or takes the answer to an invitation of ours: adds the peer.
    Joined join(std::string_view line, const std::optional<InterfaceName>& name,
                const OwnSite& site);

  private:
    [[nodiscard]] std::optional<EndpointSetting> own_endpoint(
        const std::optional<EndpointSetting>& wanted, const TunnelSettings& settings) const;
    [[nodiscard]] std::vector<Network> lan_networks() const;
    [[nodiscard]] std::vector<InterfaceAddress> place_for(const Guest& guest,
                                                          const Tunnel& tunnel) const;
    [[nodiscard]] std::vector<Network> taken_in(const Tunnel& tunnel, const Network& network) const;
    void require_free(const InterfaceAddress& place, const Tunnel& tunnel) const;
    static void require_apart(const std::vector<Network>& networks,
                              const std::vector<Network>& own);
    void require_in_time(const Ticket& ticket) const;
    Joined take(const Invitation& invitation, const std::optional<InterfaceName>& name,
                const OwnSite& site);
    Joined take(const Answer& answer);
    InterfaceName create(const std::optional<InterfaceName>& name, const TunnelSettings& settings);

    Tunnels& tunnels_;
    const Gateway& gateway_;
    Gateway::Clock clock_;
    std::multimap<Address, Time> offered_;  ///< to gateways that have not answered, and until when
};

}  // namespace porthole
