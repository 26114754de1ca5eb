// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/store.hpp"

#include <array>
#include <exception>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include "statement.hpp"
#include "stored_tunnels.hpp"

namespace porthole {
namespace {

namespace fs = std::filesystem;

// Which program a database belongs to: "PHol" (sqlite.org/pragma.html#pragma_application_id).
constexpr std::int64_t application_id = 0x50486F6C;

// What brings a database from schema version N to N + 1. Never change one that was released.
constexpr std::array migrations{
    "CREATE TABLE reservation ("
    "  id INTEGER PRIMARY KEY,"
    "  host TEXT NOT NULL,"
    "  protocol INTEGER NOT NULL,"  // IANA's number
    "  internal_port INTEGER NOT NULL,"
    "  external_port INTEGER NOT NULL,"
    "  filtering TEXT NOT NULL,"
    "  origin TEXT NOT NULL,"
    "  comment TEXT NOT NULL,"
    "  expires INTEGER,"  // Unix seconds, NULL: never
    "  last_seen INTEGER"
    ") STRICT;"
    "CREATE TABLE counter (generation INTEGER NOT NULL, next_id INTEGER NOT NULL) STRICT;"
    "INSERT INTO counter VALUES (0, 1);",
    "ALTER TABLE reservation ADD COLUMN mac TEXT;",      // NULL: not claimed
    "ALTER TABLE reservation ADD COLUMN address TEXT;",  // NULL: not known by its MAC, or away
    "ALTER TABLE reservation ADD COLUMN ipv6_addresses TEXT;",    // the same; with spaces between
    "ALTER TABLE reservation ADD COLUMN external_address TEXT;",  // NULL: any
    StoredTunnels::schema,
    "ALTER TABLE peer ADD COLUMN learnt_endpoint TEXT;",  // NULL: it is where it was said to be
    "ALTER TABLE tunnel ADD COLUMN origin TEXT NOT NULL DEFAULT 'api';",
    "CREATE TABLE checkpoint ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  expires INTEGER,"
    "  length INTEGER NOT NULL"
    ") STRICT;"
    // From here on a column is added to both.
    "CREATE TABLE kept_reservation AS SELECT * FROM reservation WHERE false;",
    StoredTunnels::kept_schema,
    "ALTER TABLE counter ADD COLUMN enabled INTEGER NOT NULL DEFAULT 1;",
    "ALTER TABLE reservation ADD COLUMN user INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE kept_reservation ADD COLUMN user INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE checkpoint ADD COLUMN enabled INTEGER NOT NULL DEFAULT 1;"
    "UPDATE checkpoint SET enabled = (SELECT enabled FROM counter);",
};

Port stored_port(std::int64_t value) {
    const auto port = value < 0 ? std::nullopt : Port::from(static_cast<std::uint64_t>(value));
    if (!port) throw Unusable(fmt::format("port {} in it", value));
    return *port;
}

Protocol stored_protocol(std::int64_t value) {
    for (const auto protocol : {Protocol::udp, Protocol::tcp}) {
        if (value == static_cast<std::int64_t>(protocol)) return protocol;
    }
    throw Unusable(fmt::format("protocol {} in it", value));
}

}  // namespace

class Store::Database {
  public:
    explicit Database(const fs::path& file) : vault_(file.parent_path()) {
        sqlite3* handle = nullptr;
        // NOMUTEX: only one thread comes here.
        const int flags =
            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX;
        const int result = sqlite3_open_v2(file.c_str(), &handle, flags, nullptr);
        handle_.reset(handle);
        if (result != SQLITE_OK) throw StorageFailure("SQLite", sqlite3_errmsg(handle));
        move_log_on_close(false);
        execute("PRAGMA locking_mode = EXCLUSIVE");
        recognise();
        if (sqlite3_db_readonly(handle, "main") == 1) {
            throw StorageFailure("SQLite", "the database is read-only");
        }
        execute("PRAGMA journal_mode = WAL");
        execute("PRAGMA synchronous = FULL");
        execute("PRAGMA journal_size_limit = 4456448");
        migrate();
        begin_.emplace(handle_.get(), "BEGIN IMMEDIATE");
        commit_.emplace(handle_.get(), "COMMIT");
        insert_.emplace(handle_.get(),
                        "INSERT INTO reservation VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
        remove_.emplace(handle_.get(), "DELETE FROM reservation WHERE id = ?");
        count_.emplace(handle_.get(),
                       "UPDATE counter SET generation = ?, next_id = max(next_id, ?)");
    }

    void execute(const char* sql) { Statement(handle_.get(), sql).run(); }

    StoredState load() {
        StoredState state;
        Statement counter(handle_.get(), "SELECT generation, next_id, enabled FROM counter");
        if (!counter.step()) throw Unusable("no counter in it");
        state.generation = static_cast<std::uint64_t>(counter.integer(0));
        const auto next_id = ReservationId{static_cast<std::uint64_t>(counter.integer(1))};
        state.enabled = counter.integer(2) != 0;

        auto rows = load_rows("reservation");
        try {
            state.reservations = Reservations(std::move(rows), next_id);
        } catch (const StorageFailure& contradiction) {
            throw Unusable(contradiction.what());
        }
        state.checkpoint = load_checkpoint();
        try {
            state.tunnels = tunnels().load();
        } catch (const Unusable&) {
            throw;
        } catch (const StorageFailure& failure) {
            state.tunnels_unreadable = failure.what();  // reservations do not depend on it
        }
        move_log_on_close(true);
        return state;
    }

    std::vector<Reservation> load_rows(const std::string& table) {
        std::vector<Reservation> rows;
        rows.reserve(
            static_cast<std::size_t>(number_of(("SELECT count(*) FROM " + table).c_str())));
        Statement select(handle_.get(), ("SELECT * FROM " + table + " ORDER BY id").c_str());
        while (select.step()) {
            rows.push_back({
                .id = ReservationId{static_cast<std::uint64_t>(select.integer(0))},
                .internal = {stored<HostKey>("host", select.text(1)),
                             stored_protocol(select.integer(2)), stored_port(select.integer(3))},
                .external_port = stored_port(select.integer(4)),
                .filtering = stored<Filtering>("filtering", select.text(5)),
                .origin = stored<Origin>("origin", select.text(6)),
                .state = ReservationState::settling,  // Reservations knows better
                .user = static_cast<std::uint32_t>(select.integer(14)),
                .mac = stored_if_any<MacAddress>("mac", select.text(10)),
                .address = stored_if_any<Address>("address", select.text(11)),
                .external_address =
                    ExternalAddress(stored_if_any<Address>("external_address", select.text(13))),
                .comment = stored<Comment>("comment", select.text(7)),
                .expires = select.time(8),
                .last_seen = select.time(9),
                .ipv6_addresses = stored_list<Address>("ipv6_addresses", select.text(12)),
            });
        }
        return rows;
    }

    std::optional<Checkpoint> load_checkpoint() {
        Statement select(handle_.get(), "SELECT id, expires, length, enabled FROM checkpoint");
        if (!select.step()) return std::nullopt;
        return Checkpoint{CheckpointId{static_cast<std::uint64_t>(select.integer(0))},
                          select.time(1), std::chrono::seconds(select.integer(2)),
                          select.integer(3) != 0};
    }

    [[nodiscard]] StoredTunnels tunnels() { return {handle_.get(), vault_}; }

    void begin() { begin_->run(); }
    void commit() { commit_->run(); }
    void roll_back() { execute("ROLLBACK"); }
    void insert(const Reservation& row) {
        insert_->bind(1, static_cast<std::int64_t>(number(row.id)))
            .bind(2, to_text(row.internal.host))
            .bind(3, static_cast<std::int64_t>(row.internal.protocol))
            .bind(4, std::int64_t{row.internal.port.value()})
            .bind(5, std::int64_t{row.external_port.value()})
            .bind(6, to_text(row.filtering))
            .bind(7, to_text(row.origin))
            .bind(8, to_text(row.comment))
            .bind(9, row.expires)
            .bind(10, row.last_seen)
            .bind(11, row.mac)
            .bind(12, row.address.get())
            .bind(13, row.ipv6_addresses)
            .bind(14, row.external_address.fixed())
            .bind(15, std::int64_t{row.user})
            .run();
    }
    void remove(ReservationId id) { remove_->bind(1, static_cast<std::int64_t>(number(id))).run(); }
    CheckpointId keep(Time expires, std::chrono::seconds length) {
        Statement(handle_.get(),
                  "INSERT INTO checkpoint (expires, length, enabled)"
                  " SELECT ?, ?, enabled FROM counter")
            .bind(1, expires)
            .bind(2, std::int64_t{length.count()})
            .run();
        const auto id = sqlite3_last_insert_rowid(handle_.get());
        execute("INSERT INTO kept_reservation SELECT * FROM reservation WHERE origin <> 'static'");
        tunnels().keep();
        return CheckpointId{static_cast<std::uint64_t>(id)};
    }
    void update(const Checkpoint& checkpoint) {
        Statement(handle_.get(), "UPDATE checkpoint SET expires = ?, length = ? WHERE id = ?")
            .bind(1, checkpoint.expires)
            .bind(2, std::int64_t{checkpoint.length.count()})
            .bind(3, static_cast<std::int64_t>(number(checkpoint.id)))
            .run();
    }
    void give_up_checkpoint() {
        execute("DELETE FROM checkpoint");
        execute("DELETE FROM kept_reservation");
        tunnels().give_up_kept();
    }
    void enable(bool enabled) {
        Statement(handle_.get(), "UPDATE counter SET enabled = ?")
            .bind(1, std::int64_t{enabled})
            .run();
    }
    void count(std::uint64_t generation, std::uint64_t next_id) {
        count_->bind(1, static_cast<std::int64_t>(generation))
            .bind(2, static_cast<std::int64_t>(next_id))
            .run();
    }

  private:
    // Whether closing moves the log into the database. Not into one that is not, or no longer,
    // ours.
    void move_log_on_close(bool wanted) {
        sqlite3_db_config(handle_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, wanted ? 0 : 1, nullptr);
    }

    std::int64_t number_of(const char* sql) {
        Statement statement(handle_.get(), sql);
        return statement.step() ? statement.integer(0) : 0;
    }

    // Whether the file is ours and whole. Reads only.
    void recognise() {
        const auto objects = number_of("SELECT count(*) FROM sqlite_schema");
        const auto owner = number_of("PRAGMA application_id");
        const auto version = number_of("PRAGMA user_version");
        if (objects == 0 && owner == 0 && version == 0) return;  // new
        if (owner != application_id) throw Unusable("it belongs to another program");
        if (version > static_cast<std::int64_t>(migrations.size())) {
            throw StorageFailure(
                "SQLite", fmt::format("schema version {} is of a newer Porthole; this one knows {}",
                                      version, migrations.size()));
        }
        Statement check(handle_.get(), "PRAGMA quick_check(1)");
        if (!check.step() || check.text(0) != "ok")
            throw Unusable("it is damaged: " + check.text(0));
    }

    void migrate() {
        const auto version = static_cast<std::size_t>(number_of("PRAGMA user_version"));
        if (version == migrations.size()) return;
        std::string script =
            fmt::format("BEGIN IMMEDIATE; PRAGMA application_id = {};", application_id);
        for (auto i = version; i < migrations.size(); ++i) script += migrations.at(i);
        script += fmt::format("PRAGMA user_version = {}; COMMIT;", migrations.size());
        if (sqlite3_exec(handle_.get(), script.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
            throw StorageFailure("SQLite: migrate", sqlite3_errmsg(handle_.get()));
        }
    }

    struct Close {
        void operator()(sqlite3* handle) const { sqlite3_close(handle); }
    };
    std::unique_ptr<sqlite3, Close> handle_;
    Vault vault_;
    std::optional<Statement> begin_;
    std::optional<Statement> commit_;
    std::optional<Statement> insert_;
    std::optional<Statement> remove_;
    std::optional<Statement> count_;
};

namespace {

std::string keep_aside(const fs::path& file, const std::string& reason) {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const auto stamp = fmt::format("{:%Y%m%dT%H%M%SZ}", fmt::gmtime(now));
    fs::path aside;
    for (int attempt = 0; attempt == 0 || fs::exists(aside); ++attempt) {
        aside = fmt::format("{}.unusable-{}{}", file.string(), stamp,
                            attempt == 0 ? "" : fmt::format("-{}", attempt));
    }
    fs::rename(file, aside);
    // The log that belongs to it, or SQLite would play it into the new database.
    const fs::path log = file.string() + "-wal";
    if (fs::exists(log) && !fs::is_empty(log)) fs::rename(log, aside.string() + "-wal");
    return fmt::format("{} cannot be used ({}); it was kept as {} and a new database was begun",
                       file.string(), reason, aside.string());
}

std::string advice(const fs::path& file, const std::string& problem) {
    const bool locked = problem.find("database is locked") != std::string::npos;
    return locked ? fmt::format("{}: another portholed is using it", file.string())
                  : fmt::format("{}: {}", file.string(), problem);
}

}  // namespace

OpenedStore Store::open(const fs::path& directory) {
    const auto file = directory / file_name;
    std::error_code failure;
    fs::create_directories(directory, failure);
    if (failure) {
        throw StorageFailure("create the state directory " + directory.string(), failure.message());
    }
    std::string kept_aside;
    try {
        try {
            auto database = std::make_unique<Database>(file);
            auto state = database->load();
            return {Store(std::move(database)), std::move(state), {}};
        } catch (const Unusable& unusable) {
            kept_aside = keep_aside(file, unusable.reason());
        }
        auto database = std::make_unique<Database>(file);
        auto state = database->load();
        return {Store(std::move(database)), std::move(state), std::move(kept_aside)};
    } catch (const std::exception& error) {
        throw StorageFailure("open the database", advice(file, error.what()));
    }
}

std::vector<Reservation> Store::kept_reservations() {
    return database_->load_rows("kept_reservation");
}

std::vector<Tunnel> Store::kept_tunnels() { return database_->tunnels().load_kept(); }

Store::Store(std::unique_ptr<Database> database) : database_(std::move(database)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Store::Transaction::Transaction(Store& store) : store_(store) { store_.database_->begin(); }

Store::Transaction::~Transaction() {
    if (!open_) return;
    try {
        store_.database_->roll_back();
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
        // SQLite has rolled back by itself after a failed write.
    }
}

void Store::Transaction::write(const ReservationDifference& difference, std::uint64_t generation) {
    std::uint64_t next_id = 0;
    for (const auto& row : difference.before) store_.database_->remove(row.id);
    for (const auto& row : difference.after) {
        store_.database_->insert(row);
        next_id = number(row.id) + 1;
    }
    store_.database_->count(generation, next_id);
}

void Store::Transaction::write(const Tunnel& tunnel) { store_.database_->tunnels().write(tunnel); }

void Store::Transaction::remove_tunnel(const InterfaceName& name) {
    store_.database_->tunnels().remove(name);
}

void Store::Transaction::write(const InterfaceName& tunnel, const PeerSettings& peer,
                               const std::optional<Place>& learnt) {
    store_.database_->tunnels().write_peer(tunnel, peer, learnt);
}

void Store::Transaction::write_learnt(const InterfaceName& tunnel, const PublicKey& peer,
                                      const std::optional<Place>& learnt) {
    store_.database_->tunnels().write_learnt(tunnel, peer, learnt);
}

void Store::Transaction::remove_peer(const InterfaceName& tunnel, const PublicKey& peer) {
    store_.database_->tunnels().remove_peer(tunnel, peer);
}

void Store::Transaction::write_enabled(bool enabled) { store_.database_->enable(enabled); }

CheckpointId Store::Transaction::keep(Time expires, std::chrono::seconds length) {
    return store_.database_->keep(expires, length);
}

void Store::Transaction::write(const Checkpoint& checkpoint) {
    store_.database_->update(checkpoint);
}

void Store::Transaction::give_up_checkpoint() { store_.database_->give_up_checkpoint(); }

void Store::Transaction::commit() {
    store_.database_->commit();
    open_ = false;
}

}  // namespace porthole
