// SPDX-License-Identifier: GPL-2.0-or-later
#include "stored_tunnels.hpp"

#include <limits>

namespace porthole {
namespace {

// What a secret is for: no other secret can take its place in the database.
std::string private_key_of(const InterfaceName& tunnel) {
    return "private key of " + to_text(tunnel);
}

std::string preshared_key_of(const InterfaceName& tunnel, const PublicKey& peer) {
    return "preshared key of " + to_text(tunnel) + " and " + to_text(peer);
}

template <typename Number>
Number stored_number(std::string_view column, std::int64_t value) {
    if (value < 0 || value > std::int64_t{std::numeric_limits<Number>::max()}) {
        throw Unusable(std::string(column) + ' ' + std::to_string(value) + " in it");
    }
    return static_cast<Number>(value);
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
    return text;
}

std::vector<std::string> words_of(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    return words;
}

// In the order that they were given in, unlike stored_list().
std::vector<InterfaceAddress> addresses_of(const std::string& text) {
    std::vector<InterfaceAddress> addresses;
    for (const auto& word : words_of(text)) {
        addresses.push_back(stored<InterfaceAddress>("addresses", word));
    }
    return addresses;
}

}  // namespace

StoredTunnels::StoredTunnels(sqlite3* database, Vault& vault)
    : database_(database), vault_(vault) {}

std::vector<Tunnel> StoredTunnels::load(const std::string& tunnel_table,
                                        const std::string& peer_table) {
    std::vector<Tunnel> tunnels;
    Statement rows(database_, ("SELECT * FROM " + tunnel_table + " ORDER BY name").c_str());
    Statement peers(database_, ("SELECT * FROM " + peer_table + " WHERE tunnel = ?").c_str());
    while (rows.step()) {
        Tunnel tunnel{stored<InterfaceName>("name", rows.text(0)), {}};
        auto& settings = tunnel.settings;
        if (const auto sealed = rows.bytes(1); !sealed.empty()) {
            settings.private_key =
                PrivateKey::from(vault_.open(sealed, private_key_of(tunnel.name)).bytes());
        }
        settings.listen_port =
            Port::from(stored_number<std::uint16_t>("listen_port", rows.integer(2)));
        settings.fwmark = stored_number<std::uint32_t>("fwmark", rows.integer(3));
        settings.addresses = addresses_of(rows.text(4));
        const auto mtu = stored_number<std::uint32_t>("mtu", rows.integer(5));
        if (mtu != 0) settings.mtu = mtu;
        settings.dns = words_of(rows.text(6));
        settings.table = stored<RouteTable>("route_table", rows.text(7));
        settings.metric = stored_number<std::uint32_t>("metric", rows.integer(8));
        tunnel.origin = stored<Origin>("origin", rows.text(9));
        peers.bind(1, to_text(tunnel.name));
        while (peers.step()) {
            const auto key = stored<PublicKey>("public_key", peers.text(1));
            PeerSettings peer{.public_key = key, .name = stored<Comment>("name", peers.text(2))};
            if (const auto sealed = peers.bytes(3); !sealed.empty()) {
                peer.preshared_key = PresharedKey::from(
                    vault_.open(sealed, preshared_key_of(tunnel.name, key)).bytes());
            }
            peer.endpoint = stored_if_any<EndpointSetting>("endpoint", peers.text(4));
            peer.keepalive = Keepalive(stored_number<std::uint16_t>("keepalive", peers.integer(5)));
            peer.allowed_ips = stored_list<Network>("allowed_ips", peers.text(6));
            if (const auto learnt = stored_if_any<Place>("learnt_endpoint", peers.text(7))) {
                tunnel.learnt.emplace(key, *learnt);
            }
            settings.peers.push_back(std::move(peer));
        }
        std::ranges::sort(settings.peers, {}, &PeerSettings::public_key);
        tunnels.push_back(std::move(tunnel));
    }
    return tunnels;
}

// Keys stay sealed: for the same tunnels and peers.
void StoredTunnels::keep() {
    Statement(database_, "INSERT INTO kept_tunnel SELECT * FROM tunnel WHERE origin = 'api'").run();
    Statement(database_,
              "INSERT INTO kept_peer SELECT * FROM peer WHERE tunnel IN "
              "(SELECT name FROM kept_tunnel)")
        .run();
}

void StoredTunnels::give_up_kept() {
    Statement(database_, "DELETE FROM kept_tunnel").run();
    Statement(database_, "DELETE FROM kept_peer").run();
}

void StoredTunnels::write(const Tunnel& tunnel) {
    remove(tunnel.name);
    const auto& settings = tunnel.settings;
    Vault::Sealed key;
    if (settings.private_key) {
        key = vault_.seal(settings.private_key->bytes(), private_key_of(tunnel.name));
    }
    Statement(database_, "INSERT INTO tunnel VALUES (?,?,?,?,?,?,?,?,?,?)")
        .bind(1, to_text(tunnel.name))
        .bind_bytes(2, key)
        .bind(3, std::int64_t{settings.listen_port ? settings.listen_port->value() : 0})
        .bind(4, std::int64_t{settings.fwmark})
        .bind(5, settings.addresses)
        .bind(6, std::int64_t{settings.mtu.value_or(0)})
        .bind(7, joined(settings.dns))
        .bind(8, to_text(settings.table))
        .bind(9, std::int64_t{settings.metric})
        .bind(10, to_text(tunnel.origin))
        .run();
    for (const auto& peer : settings.peers) {
        write_peer(tunnel.name, peer, learnt_place(tunnel, peer.public_key));
    }
}

void StoredTunnels::remove(const InterfaceName& name) {
    Statement(database_, "DELETE FROM tunnel WHERE name = ?").bind(1, to_text(name)).run();
    Statement(database_, "DELETE FROM peer WHERE tunnel = ?").bind(1, to_text(name)).run();
}

void StoredTunnels::write_peer(const InterfaceName& tunnel, const PeerSettings& peer,
                               const std::optional<Place>& learnt) {
    Vault::Sealed key;
    if (peer.preshared_key) {
        key = vault_.seal(peer.preshared_key->bytes(), preshared_key_of(tunnel, peer.public_key));
    }
    Statement(database_, "INSERT OR REPLACE INTO peer VALUES (?,?,?,?,?,?,?,?)")
        .bind(1, to_text(tunnel))
        .bind(2, to_text(peer.public_key))
        .bind(3, to_text(peer.name))
        .bind_bytes(4, key)
        .bind(5, peer.endpoint)
        .bind(6, std::int64_t{peer.keepalive.count()})
        .bind(7, peer.allowed_ips)
        .bind(8, learnt)
        .run();
}

void StoredTunnels::write_learnt(const InterfaceName& tunnel, const PublicKey& peer,
                                 const std::optional<Place>& learnt) {
    Statement(database_, "UPDATE peer SET learnt_endpoint = ? WHERE tunnel = ? AND public_key = ?")
        .bind(1, learnt)
        .bind(2, to_text(tunnel))
        .bind(3, to_text(peer))
        .run();
}

void StoredTunnels::remove_peer(const InterfaceName& tunnel, const PublicKey& peer) {
    Statement(database_, "DELETE FROM peer WHERE tunnel = ? AND public_key = ?")
        .bind(1, to_text(tunnel))
        .bind(2, to_text(peer))
        .run();
}

}  // namespace porthole
