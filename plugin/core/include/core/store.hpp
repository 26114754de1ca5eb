// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "core/reservations.hpp"

namespace porthole {

/// What a store holds.
struct StoredState {
    std::vector<Reservation> reservations;
    ReservationId next_id{1};
    std::uint64_t generation = 0;
};

/// The reservations on disk: one SQLite database that only one process can have open.
class Store {
  public:
    static constexpr std::string_view file_name = "porthole.db";

    /// Opens the database in `directory`, or makes it. A file that is damaged or belongs to another
    /// program is renamed, never changed, and a new one is begun: kept_aside() then says so.
    /// Throws StorageFailure where the directory cannot be written, another daemon has the database
    /// open, or a newer version of Porthole wrote it.
    static Store open(const std::filesystem::path& directory);

    Store(Store&&) noexcept;
    Store& operator=(Store&&) noexcept;
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;
    ~Store();

    /// What became of an unusable file, in words; empty if there was none.
    [[nodiscard]] const std::string& kept_aside() const { return kept_aside_; }

    [[nodiscard]] StoredState load();

    /// Changes that become durable together at commit(), or never: destroying an uncommitted
    /// transaction takes it back. One at a time.
    class Transaction {
      public:
        Transaction(Transaction&&) noexcept;
        Transaction& operator=(Transaction&&) = delete;
        Transaction(const Transaction&) = delete;
        Transaction& operator=(const Transaction&) = delete;
        ~Transaction();

        /// Throws StorageFailure, as commit() does.
        void write(const ReservationDifference& difference, std::uint64_t generation,
                   ReservationId next_id);
        /// When it returns, the changes survive a power cut.
        void commit();

      private:
        friend class Store;
        explicit Transaction(Store& store);
        Store* store_;
    };
    [[nodiscard]] Transaction begin();

  private:
    struct Database;
    explicit Store(std::unique_ptr<Database> database, std::string kept_aside);
    std::unique_ptr<Database> database_;
    std::string kept_aside_;
};

}  // namespace porthole
