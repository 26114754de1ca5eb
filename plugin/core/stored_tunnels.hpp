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

    [[nodiscard]] std::vector<Tunnel> load();
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

  private:
    sqlite3* database_;
    Vault& vault_;
};

}  // namespace porthole
