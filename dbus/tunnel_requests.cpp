// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/tunnel_requests.hpp"

#include "dbus/reader.hpp"
#include "types/sorted.hpp"

namespace porthole::dbus {
namespace {

std::optional<PrivateKey> read_private_key(Reader& reader) {
    const auto text = reader.value<std::string>("private-key");
    if (!text) return std::nullopt;
    auto key = PrivateKey::read("private-key", *text);
    if (key == PrivateKey::none()) {
        throw InvalidArgument("invalid private-key: expected one that is not all zeros");
    }
    return key;
}

// What Create and Configure have in common. 0 bytes: from the path.
TunnelChanges read_settings(Reader& reader) {
    TunnelChanges wanted{.private_key = read_private_key(reader),
                         .listen_port = reader.port("listen-port"),
                         .addresses = reader.parsed_list<InterfaceAddress>("addresses")};
    if (const auto mtu = reader.value<std::uint32_t>("mtu")) {
        wanted.mtu.emplace();
        if (*mtu != 0) *wanted.mtu = mtu;
        if (*mtu != 0 && (*mtu < least_mtu || *mtu > most_mtu)) {
            throw InvalidArgument("mtu", std::to_string(*mtu),
                                  fmt::format("bytes from {} to {}, or 0 for what the ways to the "
                                              "peers leave",
                                              least_mtu, most_mtu));
        }
    }
    wanted.fwmark = reader.value<std::uint32_t>("fwmark");
    wanted.table = reader.parsed<RouteTable>("table");
    wanted.metric = reader.value<std::uint32_t>("metric");
    return wanted;
}

std::optional<std::vector<Network>> networks(Reader& reader, const char* key) {
    auto values = reader.parsed_list<Network>(key);
    if (values) sort_unique(*values);
    return values;
}

OtherSide read_other_side(Reader& reader) {
    OtherSide side{.endpoint = reader.parsed<EndpointSetting>("endpoint"),
                   .allowed_ips = networks(reader, "allowed-ips")};
    for (const auto& entry :
         reader.parsed_list<DnsEntry>("dns").value_or(std::vector<DnsEntry>())) {
        side.dns.push_back(entry.text());
    }
    return side;
}

PeerChanges read_peer(const Dictionary& peer) {
    Reader reader(peer);
    const auto key = reader.parsed<PublicKey>("public-key");
    if (!key) throw InvalidArgument("public-key is missing");
    PeerChanges changes{.public_key = *key};
    changes.name = reader.parsed<Comment>("name");
    if (const auto text = reader.value<std::string>("preshared-key")) {
        changes.preshared_key.emplace();
        if (!text->empty()) *changes.preshared_key = PresharedKey::read("preshared-key", *text);
        if (*changes.preshared_key == PresharedKey::none()) changes.preshared_key->reset();
    }
    if (const auto text = reader.value<std::string>("endpoint")) {
        changes.endpoint.emplace();
        if (!text->empty()) *changes.endpoint = parse<EndpointSetting>("endpoint", *text);
    }
    if (const auto seconds = reader.value<std::uint16_t>("keepalive")) {
        changes.keepalive = Keepalive(*seconds);
    }
    changes.allowed_ips = networks(reader, "allowed-ips");
    reader.finish();
    return changes;
}

std::vector<PeerChanges> read_peers(const std::vector<Dictionary>& peers) {
    std::vector<PeerChanges> all;
    all.reserve(peers.size());
    for (const auto& peer : peers) {
        try {
            all.push_back(read_peer(peer));
        } catch (const InvalidArgument& error) {
            throw InvalidArgument(fmt::format("peers[{}]: {}", all.size(), error.what()));
        }
    }
    return all;
}

}  // namespace

InterfaceName parse_tunnel_name(const std::string& name, const Dictionary& options) {
    Reader(options).finish();
    return parse<InterfaceName>("name", name);
}

CreateTunnelCall parse_create(const std::string& name, const Dictionary& settings,
                              const Dictionary& options) {
    CreateTunnelCall call{parse_tunnel_name(name, options), {}};
    Reader reader(settings);
    const auto given = read_settings(reader);
    const auto peers = reader.value<std::vector<Dictionary>>("peers");
    reader.finish();
    auto& wanted = call.settings;
    wanted.private_key = given.private_key;
    wanted.listen_port = given.listen_port;
    wanted.addresses = given.addresses.value_or(std::vector<InterfaceAddress>());
    wanted.mtu = given.mtu.value_or(std::nullopt);
    wanted.fwmark = given.fwmark.value_or(0);
    wanted.table = given.table.value_or(RouteTable());
    wanted.metric = given.metric.value_or(0);
    for (const auto& peer : read_peers(peers.value_or(std::vector<Dictionary>()))) {
        wanted.peers.push_back(peer_with(peer));
    }
    return call;
}

TunnelChanges parse_configure(const Dictionary& settings, const Dictionary& options) {
    Reader(options).finish();
    Reader reader(settings);
    auto changes = read_settings(reader);
    reader.finish();
    return changes;
}

PublicKey parse_peer_key(const std::string& public_key, const Dictionary& options) {
    Reader(options).finish();
    return parse<PublicKey>("public-key", public_key);
}

PeerChanges parse_peer(const Dictionary& peer, const Dictionary& options) {
    Reader(options).finish();
    return read_peer(peer);
}

std::vector<PeerChanges> parse_peers(const std::vector<Dictionary>& peers,
                                     const Dictionary& options) {
    Reader(options).finish();
    return read_peers(peers);
}

ExportCall parse_export(const std::string& public_key, const Dictionary& options) {
    Reader reader(options);
    ExportCall call{parse<PublicKey>("public-key", public_key), read_other_side(reader)};
    reader.finish();
    return call;
}

InviteCall parse_invite(const std::string& tunnel, const Dictionary& options) {
    Reader reader(options);
    InviteCall call{.tunnel = parse<InterfaceName>("tunnel", tunnel),
                    .gateway = reader.value<bool>("gateway").value_or(false),
                    .guest = {.name = reader.parsed<Comment>("name").value_or(Comment()),
                              .addresses = reader.parsed_list<InterfaceAddress>("addresses")},
                    .side = {},
                    .site = {},
                    .lifetime = Invitations::usual_lifetime};
    if (!call.gateway) {
        call.side = read_other_side(reader);
        reader.finish();
        return call;
    }
    call.site = {reader.parsed<EndpointSetting>("endpoint"), networks(reader, "networks")};
    if (const auto lifetime = reader.lifetime()) call.lifetime = *lifetime;
    if (call.lifetime.count() == 0 || call.lifetime > Invitations::longest_lifetime) {
        throw InvalidArgument(
            "lifetime", std::to_string(call.lifetime.count()),
            fmt::format("seconds from 1 to {}", Invitations::longest_lifetime.count()));
    }
    reader.finish();
    return call;
}

JoinCall parse_join(const Dictionary& options) {
    Reader reader(options);
    JoinCall call{reader.parsed<InterfaceName>("name"),
                  {reader.parsed<EndpointSetting>("endpoint"), networks(reader, "networks")}};
    reader.finish();
    return call;
}

}  // namespace porthole::dbus
