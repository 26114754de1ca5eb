// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/tunnel.hpp"
#include "core/vault.hpp"
#include "statement.hpp"

namespace porthole {

/// The tunnels' tables of the database. Throws StorageFailure.
class StoredTunnels {
  public:
    /// `vault` must outlive it.
    StoredTunnels(sqlite3* database, Vault& vault);

    [[nodiscard]] std::vector<Tunnel> load() { return load("tunnel", "peer"); }
    /// What keep() has kept.
    [[nodiscard]] std::vector<Tunnel> load_kept() { return load("kept_tunnel", "kept_peer"); }
    /// Keeps a copy of those that are not the configuration's, or gives it up.
    void keep();
    void give_up_kept();
    void write(const Tunnel& tunnel);
    void remove(const InterfaceName& name);
    void write_peer(const InterfaceName& tunnel, const PeerSettings& peer,
                    const std::optional<Place>& learnt);
    void write_learnt(const InterfaceName& tunnel, const PublicKey& peer,
                      const std::optional<Place>& learnt);
    void remove_peer(const InterfaceName& tunnel, const PublicKey& peer);

    /// What makes the tables.
    static constexpr auto schema =
        "CREATE TABLE tunnel ("
        "  name TEXT PRIMARY KEY,"
        "  private_key BLOB,"  // sealed
        "  listen_port INTEGER NOT NULL,"
        "  fwmark INTEGER NOT NULL,"
        "  addresses TEXT,"
        "  mtu INTEGER NOT NULL,"  // 0: from the path
        "  dns TEXT,"
        "  route_table TEXT NOT NULL,"
        "  metric INTEGER NOT NULL"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE peer ("
        "  tunnel TEXT NOT NULL,"
        "  public_key TEXT NOT NULL,"
        "  name TEXT NOT NULL,"
        "  preshared_key BLOB,"  // sealed
        "  endpoint TEXT,"
        "  keepalive INTEGER NOT NULL,"
        "  allowed_ips TEXT,"
        "  PRIMARY KEY (tunnel, public_key)"
        ") STRICT, WITHOUT ROWID;";
    /// What makes the same for copies; from then on a column is added to both.
    static constexpr auto kept_schema =
        "CREATE TABLE kept_tunnel AS SELECT * FROM tunnel WHERE false;"
        "CREATE TABLE kept_peer AS SELECT * FROM peer WHERE false;";

  private:
    [[nodiscard]] std::vector<Tunnel> load(const std::string& tunnel_table,
                                           const std::string& peer_table);

    sqlite3* database_;
    Vault& vault_;
};

}  // namespace porthole
