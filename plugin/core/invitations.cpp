// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/invitations.hpp"

#include <algorithm>
#include <array>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sodium.h>

#include "types/sorted.hpp"

namespace porthole {
namespace {

constexpr Keepalive usual_keepalive{5};

Network host_network(const Address& address) {
    return *Network::around(address, static_cast<unsigned>(address.bytes().size() * 8));
}

std::vector<Network> host_networks(const std::vector<InterfaceAddress>& addresses) {
    std::vector<Network> networks;
    networks.reserve(addresses.size());
    for (const auto& [address, length] : addresses) networks.push_back(host_network(address));
    sort_unique(networks);
    return networks;
}

std::vector<Network> networks_of(const std::vector<InterfaceAddress>& addresses) {
    std::vector<Network> networks;
    networks.reserve(addresses.size());
    for (const auto& [address, length] : addresses) {
        networks.push_back(*Network::around(address, length));
    }
    sort_unique(networks);
    return networks;
}

std::vector<Network> together(std::vector<Network> networks, const std::vector<Network>& more) {
    networks.insert(networks.end(), more.begin(), more.end());
    sort_unique(networks);
    return networks;
}

Address next(const Address& address) {
    std::vector<std::uint8_t> bytes(address.bytes().begin(), address.bytes().end());
    for (auto byte = bytes.rbegin(); byte != bytes.rend() && ++*byte == 0; ++byte) {
    }
    return *Address::from_bytes(bytes);
}

bool is_global(const Address& address) {
    return address.is_unicast() && !address.is_link_local() && !address.is_carrier_grade() &&
           !host_network(address).is_private();
}

const PeerSettings& peer_in(const Tunnel& tunnel, const PublicKey& key) {
    const auto& peers = tunnel.settings.peers;
    const auto found = std::ranges::lower_bound(peers, key, {}, &PeerSettings::public_key);
    if (found != peers.end() && found->public_key == key) return *found;
    throw Refused(Refusal::no_such_peer,
                  "tunnel " + to_text(tunnel.name) + " has no peer " + to_text(key));
}

// Those of a peer's allowed IPs that are addresses in the tunnel's own networks.
std::vector<InterfaceAddress> addresses_of(const PeerSettings& peer, const Tunnel& tunnel) {
    std::vector<InterfaceAddress> addresses;
    for (const auto& network : peer.allowed_ips) {
        if (network != host_network(network.address())) continue;
        for (const auto& [own, length] : tunnel.settings.addresses) {
            if (!Network::around(own, length)->contains(network.address())) continue;
            addresses.push_back({network.address(), length});
            break;
        }
    }
    return addresses;
}

[[noreturn]] void require_endpoint() {
    throw InvalidArgument(
        "endpoint is missing: no WAN has a public address; expected where the other side finds "
        "this gateway, as " +
        std::string(TextForm<EndpointSetting>::allowed));
}

}  // namespace

// Where others find the tunnel.
std::optional<EndpointSetting> Invitations::own_endpoint(
    const std::optional<EndpointSetting>& wanted, const TunnelSettings& settings) const {
    if (wanted) return wanted;
    std::optional<Address> best;
    for (const auto& interface : gateway_.perimeter().interfaces) {
        if (interface.side != Side::wan) continue;
        for (const auto& address : interface.addresses) {
            const bool better = !best || address.family() < best->family();
            if (is_global(address) && better) best = address;
        }
    }
    if (!best || !settings.listen_port) return std::nullopt;
    return Place{*best, *settings.listen_port};
}

std::vector<Network> Invitations::lan_networks() const {
    return together(gateway_.perimeter().scope.nat_sources,
                    gateway_.perimeter().scope.ipv6_nat_sources);
}

// Of the tunnel's own networks: what is the gateway's, offered, or a part that a peer has.
std::vector<Network> Invitations::taken_in(const Tunnel& tunnel, const Network& network) const {
    std::vector<Network> taken;
    for (const auto& peer : tunnel.settings.peers) {
        std::ranges::copy_if(peer.allowed_ips, std::back_inserter(taken), [&](const auto& each) {
            const bool is_host = each == host_network(each.address());
            return network.contains(each) && (is_host || each != network);
        });
    }
    for (const auto& [address, length] : tunnel.settings.addresses) {
        if (network.contains(address)) taken.push_back(host_network(address));
    }
    for (const auto& [address, until] : offered_) {
        if (until >= clock_() && network.contains(address)) taken.push_back(host_network(address));
    }
    sort_unique(taken);
    return taken;
}

void Invitations::require_free(const InterfaceAddress& place, const Tunnel& tunnel) const {
    const auto network = *Network::around(place.address, place.prefix_length);
    for (const auto& taken : taken_in(tunnel, network)) {
        if (!taken.contains(place.address)) continue;
        throw InvalidArgument("addresses", to_text(place),
                              "one that nobody has in tunnel " + to_text(tunnel.name) + ", where " +
                                  to_text(taken) + " is somebody's");
    }
}

std::vector<InterfaceAddress> Invitations::place_for(const Guest& guest,
                                                     const Tunnel& tunnel) const {
    if (guest.addresses && !guest.addresses->empty()) {
        for (const auto& place : *guest.addresses) require_free(place, tunnel);
        return *guest.addresses;
    }
    if (tunnel.settings.addresses.empty()) {
        throw InvalidArgument("addresses is missing: tunnel " + to_text(tunnel.name) +
                              " has no network of its own to take one from; expected " +
                              std::string(TextForm<InterfaceAddress>::allowed));
    }
    std::vector<InterfaceAddress> places;
    for (const auto& [own, length] : tunnel.settings.addresses) {
        const auto network = *Network::around(own, length);
        const bool has_broadcast = own.family() == Family::ipv4 && length < 31;
        // The first one is the network's own, or of any router in it (RFC 4291 section 2.6.1).
        const bool first_is_nobodys = has_broadcast || own.family() == Family::ipv6;
        auto candidate = first_is_nobodys ? next(network.address()) : network.address();
        // In the order of their addresses: whatever has the candidate moves it behind itself.
        for (const auto& taken : taken_in(tunnel, network)) {
            if (taken.contains(candidate)) candidate = next(taken.last());
        }
        const bool free =
            network.contains(candidate) && !(has_broadcast && candidate == network.last());
        if (!free) {
            throw Refused(Refusal::limit_exceeded, "no address is free in " + to_text(network) +
                                                       ", a network of tunnel " +
                                                       to_text(tunnel.name));
        }
        places.push_back({candidate, length});
    }
    return places;
}

TunnelSettings Invitations::exported(const InterfaceName& name, const PublicKey& key,
                                     const OtherSide& side) const {
    const auto& tunnel = tunnels_.find(name);
    const auto& peer = peer_in(tunnel, key);
    auto endpoint = own_endpoint(side.endpoint, tunnel.settings);
    if (!endpoint && !peer.endpoint) require_endpoint();
    TunnelSettings theirs{.addresses = addresses_of(peer, tunnel), .dns = side.dns};
    const auto* place = peer.endpoint ? std::get_if<Place>(&*peer.endpoint) : nullptr;
    const auto* named = peer.endpoint ? std::get_if<NamedPlace>(&*peer.endpoint) : nullptr;
    if (place != nullptr) theirs.listen_port = place->port;
    if (named != nullptr) theirs.listen_port = named->port;
    theirs.peers.push_back(
        {.public_key = tunnel.settings.private_key->public_key(),
         .preshared_key = peer.preshared_key,
         .endpoint = std::move(endpoint),
         .keepalive = usual_keepalive,
         .allowed_ips = side.allowed_ips
                            ? *side.allowed_ips
                            : together(networks_of(tunnel.settings.addresses), lan_networks())});
    return theirs;
}

TunnelSettings Invitations::invite(const InterfaceName& name, const Guest& guest,
                                   const OtherSide& side) {
    const auto& tunnel = tunnels_.find_changeable(name);
    const auto endpoint = own_endpoint(side.endpoint, tunnel.settings);
    if (!endpoint) require_endpoint();
    const auto addresses = place_for(guest, tunnel);
    const auto key = PrivateKey::generate();
    const auto public_key = key.public_key();
    tunnels_.set_peer(name, {.public_key = public_key,
                             .name = guest.name,
                             .preshared_key = PresharedKey::generate(),
                             // It is behind some NAT, and comes by itself.
                             .keepalive = Keepalive(0),
                             .allowed_ips = host_networks(addresses)});
    auto theirs = exported(name, public_key, side);
    theirs.private_key = key;
    theirs.addresses = addresses;
    return theirs;
}

SecretText Invitations::invite_gateway(const InterfaceName& name, const Guest& guest,
                                       const OwnSite& site, std::chrono::seconds lifetime) {
    const auto& tunnel = tunnels_.find_changeable(name);
    const auto& settings = tunnel.settings;
    const auto now = clock_();
    std::erase_if(offered_, [now](const auto& each) { return each.second < now; });
    Ticket ticket{
        .until = now + lifetime, .addresses = place_for(guest, tunnel), .name = guest.name};
    randombytes_buf(ticket.nonce.data(), ticket.nonce.size());
    const Invitation invitation{
        .site = {.key = settings.private_key->public_key(),
                 .endpoint = own_endpoint(site.endpoint, settings),
                 .networks = together(site.networks ? *site.networks : lan_networks(),
                                      host_networks(settings.addresses))},
        .preshared_key = preshared_key_of(*settings.private_key, ticket),
        .ticket = ticket};
    for (const auto& [address, length] : ticket.addresses) offered_.emplace(address, ticket.until);
    return encode(invitation);
}

Joined Invitations::join(std::string_view line, const std::optional<InterfaceName>& name,
                         const OwnSite& site) {
    return is_answer(line) ? take(parse_answer(line)) : take(parse_invitation(line), name, site);
}

void Invitations::require_in_time(const Ticket& ticket) const {
    if (clock_() <= ticket.until) return;
    throw InvalidArgument(fmt::format(
        "invalid line: the invitation could be taken until {:%Y-%m-%d %H:%M} UTC; expected one "
        "that is not older: have a new one made",
        fmt::gmtime(ticket.until)));
}

// Hosts would take those of the other side for their neighbours, and routes would contradict each
// other.
void Invitations::require_apart(const std::vector<Network>& networks,
                                const std::vector<Network>& own) {
    for (const auto& each : own) {
        for (const auto& theirs : networks) {
            if (!each.contains(theirs) && !theirs.contains(each)) continue;
            throw InvalidArgument("invalid line: network " + to_text(theirs) +
                                  " of the other side overlaps " + to_text(each) +
                                  " of this one; expected networks that are apart");
        }
    }
}

InterfaceName Invitations::create(const std::optional<InterfaceName>& name,
                                  const TunnelSettings& settings) {
    if (name) return tunnels_.create(*name, settings).name;
    constexpr int last = 999;
    for (int i = 0;; ++i) {
        const auto candidate = parse<InterfaceName>("name", "wg" + std::to_string(i));
        try {
            return tunnels_.create(candidate, settings).name;
        } catch (const Refused& refused) {
            if (refused.reason() != Refusal::tunnel_exists || i == last) throw;
        }
    }
}

Joined Invitations::take(const Invitation& invitation, const std::optional<InterfaceName>& name,
                         const OwnSite& site) {
    const auto& [theirs, preshared_key, ticket] = invitation;
    require_in_time(ticket);
    auto own = lan_networks();
    for (const auto& [other, tunnel] : tunnels_.all()) {
        if (tunnel.settings.private_key->public_key() == theirs.key) {
            throw InvalidArgument("invalid line: it is an invitation of tunnel " + to_text(other) +
                                  " of this gateway; expected one of another gateway");
        }
        const auto& peers = tunnel.settings.peers;
        const auto known =
            std::ranges::lower_bound(peers, theirs.key, {}, &PeerSettings::public_key);
        if (known != peers.end() && known->public_key == theirs.key) {
            throw Refused(
                Refusal::tunnel_exists,
                "tunnel " + to_text(other) + " has the gateway that invites as a peer already");
        }
        own = together(std::move(own), networks_of(tunnel.settings.addresses));
    }
    require_apart(theirs.networks, own);
    require_apart(networks_of(ticket.addresses), own);
    if (!theirs.endpoint && !own_endpoint(site.endpoint, {.listen_port = Port::constant<1>()})) {
        require_endpoint();
    }
    TunnelSettings settings{.addresses = ticket.addresses};
    settings.peers.push_back({.public_key = theirs.key,
                              .preshared_key = preshared_key,
                              .endpoint = theirs.endpoint,
                              .keepalive = usual_keepalive,
                              .allowed_ips = theirs.networks});
    const auto tunnel = create(name, settings);
    const auto& made = tunnels_.find(tunnel).settings;
    Answer answer{.site = {.key = made.private_key->public_key(),
                           .endpoint = own_endpoint(site.endpoint, made),
                           .networks = site.networks ? *site.networks : lan_networks()},
                  .to = theirs.key,
                  .ticket = ticket};
    answer.tag = tag_of(answer, preshared_key);
    return {tunnel, theirs.key, encode(answer)};
}

Joined Invitations::take(const Answer& answer) {
    const auto& all = tunnels_.all();
    const auto found = std::ranges::find_if(all, [&answer](const auto& each) {
        return each.second.settings.private_key->public_key() == answer.to;
    });
    if (found == all.end()) {
        throw Refused(Refusal::no_such_tunnel,
                      "the line answers an invitation of a tunnel with the public key " +
                          to_text(answer.to) + ", and there is none");
    }
    const auto& [name, tunnel] = *found;
    const auto preshared_key = preshared_key_of(*tunnel.settings.private_key, answer.ticket);
    const auto tag = tag_of(answer, preshared_key);
    if (sodium_memcmp(tag.data(), answer.tag.data(), tag.size()) != 0) {
        throw InvalidArgument("invalid line: expected the answer to an invitation of tunnel " +
                              to_text(name));
    }
    require_in_time(answer.ticket);
    const auto& peers = tunnel.settings.peers;
    const auto known =
        std::ranges::lower_bound(peers, answer.site.key, {}, &PeerSettings::public_key);
    if (known != peers.end() && known->public_key == answer.site.key) {
        // Whoever has the line can name any key: it makes a peer, and changes none.
        if (known->preshared_key == preshared_key) return {name, answer.site.key, std::nullopt};
        throw InvalidArgument("invalid line: tunnel " + to_text(name) + " has the peer " +
                              to_text(answer.site.key) +
                              " already, by another way; expected the answer of a new one");
    }
    auto own = together(lan_networks(), host_networks(tunnel.settings.addresses));
    for (const auto& peer : peers) own = together(std::move(own), peer.allowed_ips);
    std::erase_if(own, [](const auto& each) { return each.prefix_length() == 0; });
    require_apart(answer.site.networks, own);
    PeerChanges peer{
        .public_key = answer.site.key,
        .name = answer.ticket.name,
        .preshared_key = preshared_key,
        .allowed_ips = together(answer.site.networks, host_networks(answer.ticket.addresses))};
    if (answer.site.endpoint) peer.endpoint = answer.site.endpoint;
    tunnels_.set_peer(name, peer);
    for (const auto& [address, length] : answer.ticket.addresses) offered_.erase(address);
    return {name, answer.site.key, std::nullopt};
}

}  // namespace porthole
