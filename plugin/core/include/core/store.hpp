// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <memory>

#include "core/checkpoint.hpp"
#include "core/reservations.hpp"
#include "core/tunnel.hpp"

namespace porthole {

/// What a store holds.
struct StoredState {
    Reservations reservations;
    std::uint64_t generation = 0;
    std::vector<Tunnel> tunnels;
    std::string
        tunnels_unreadable;  ///< why there are none, though some are stored; empty: they are
    std::optional<Checkpoint> checkpoint;
    bool enabled = true;
};

struct OpenedStore;

/// The reservations and tunnels on disk: one SQLite database that only one process can have open.
class Store {
  public:
    static constexpr std::string_view file_name = "porthole.db";

    /// Opens the database in `directory`, or makes it, and reads it. A file that is damaged or
    /// belongs to another program is renamed, never changed, and a new one is begun.
    /// Throws StorageFailure where the directory cannot be written, another daemon has the database
    /// open, or a newer version of Porthole wrote it.
    static OpenedStore open(const std::filesystem::path& directory);

    Store(Store&&) noexcept;
    Store& operator=(Store&&) noexcept;
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;
    ~Store();

    /// Changes that become durable together at commit(), or never: destroying an uncommitted
    /// transaction takes it back. One at a time.
    class Transaction {
      public:
        Transaction(const Transaction&) = delete;
        Transaction& operator=(const Transaction&) = delete;
        Transaction(Transaction&&) = delete;
        Transaction& operator=(Transaction&&) = delete;
        ~Transaction();

        /// Throws StorageFailure, as commit() does.
        void write(const ReservationDifference& difference, std::uint64_t generation);
        void write(const Tunnel& tunnel);
        void remove_tunnel(const InterfaceName& name);
        /// `learnt`: where it was last, if it was elsewhere than it was said to be.
        void write(const InterfaceName& tunnel, const PeerSettings& peer,
                   const std::optional<Place>& learnt);
        /// The same of a peer that is stored.
        void write_learnt(const InterfaceName& tunnel, const PublicKey& peer,
                          const std::optional<Place>& learnt);
        void remove_peer(const InterfaceName& tunnel, const PublicKey& peer);
        void write_enabled(bool enabled);
        /// Keeps a copy of the reservations and tunnels that are not the configuration's, as they
        /// are now. There must be no other one.
        CheckpointId keep(Time expires, std::chrono::seconds length);
        /// Sets when the checkpoint that there is ends.
        void write(const Checkpoint& checkpoint);
        /// Gives the copy up.
        void give_up_checkpoint();
        /// When it returns, the changes survive a power cut.
        void commit();

      private:
        friend class Store;
        explicit Transaction(Store& store);
        Store& store_;
        bool open_ = true;
    };
    [[nodiscard]] Transaction begin() { return Transaction(*this); }

    /// What the checkpoint has kept. Throws StorageFailure.
    [[nodiscard]] std::vector<Reservation> kept_reservations();
    [[nodiscard]] std::vector<Tunnel> kept_tunnels();

  private:
    class Database;
    explicit Store(std::unique_ptr<Database> database);
    std::unique_ptr<Database> database_;
};

/// A store, and what was in it.
struct OpenedStore {
    Store store;
    StoredState state;
    std::string kept_aside;  ///< what became of an unusable file, in words; empty: there was none
};

}  // namespace porthole
