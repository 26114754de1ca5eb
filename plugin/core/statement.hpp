// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include <sqlite3.h>

#include "types/error.hpp"
#include "types/reservation.hpp"
#include "types/sorted.hpp"

namespace porthole {

/// The file is not a database of Porthole's, or not one any more.
class Unusable : public StorageFailure {
  public:
    explicit Unusable(const std::string& reason)
        : StorageFailure("SQLite", reason), reason_(reason) {}
    [[nodiscard]] const std::string& reason() const { return reason_; }

  private:
    std::string reason_;
};

/// A command of SQLite's. Throws StorageFailure, or Unusable for a file that is damaged.
class Statement {
  public:
    Statement(sqlite3* database, const char* sql) : database_(database) {
        sqlite3_stmt* statement = nullptr;
        check(
            sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr));
        statement_.reset(statement);
    }

    Statement& bind(int place, std::int64_t value) {
        check(sqlite3_bind_int64(statement_.get(), place, value));
        return *this;
    }
    Statement& bind(int place, const std::string& value) {
        check(sqlite3_bind_text(statement_.get(), place, value.data(),
                                static_cast<int>(value.size()), SQLITE_TRANSIENT));
        return *this;
    }
    Statement& bind(int place, Time value) {
        if (value != never) return bind(place, std::int64_t{value.time_since_epoch().count()});
        check(sqlite3_bind_null(statement_.get(), place));
        return *this;
    }
    template <typename T>
    Statement& bind(int place, const std::optional<T>& value) {
        if (value) return bind(place, to_text(*value));
        check(sqlite3_bind_null(statement_.get(), place));
        return *this;
    }
    /// With spaces between; NULL if there is none.
    template <typename T>
    Statement& bind(int place, const std::vector<T>& values) {
        std::string text;
        for (const auto& value : values) {
            if (!text.empty()) text += ' ';
            text += to_text(value);
        }
        if (!text.empty()) return bind(place, text);
        check(sqlite3_bind_null(statement_.get(), place));
        return *this;
    }
    /// NULL if there are none.
    Statement& bind_bytes(int place, std::span<const std::uint8_t> bytes) {
        check(bytes.empty() ? sqlite3_bind_null(statement_.get(), place)
                            : sqlite3_bind_blob(statement_.get(), place, bytes.data(),
                                                static_cast<int>(bytes.size()), SQLITE_TRANSIENT));
        return *this;
    }
    /// True while there is a row.
    bool step() {
        const int result = sqlite3_step(statement_.get());
        if (result == SQLITE_ROW) return true;
        sqlite3_reset(statement_.get());
        if (result != SQLITE_DONE) check(result);
        return false;
    }
    void run() {
        while (step()) {
        }
    }

    [[nodiscard]] std::int64_t integer(int column) const {
        return sqlite3_column_int64(statement_.get(), column);
    }
    [[nodiscard]] std::string text(int column) const {
        const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
        const auto size = sqlite3_column_bytes(statement_.get(), column);
        return bytes == nullptr ? std::string()
                                : std::string(bytes, static_cast<std::size_t>(size));
    }
    [[nodiscard]] std::vector<std::uint8_t> bytes(int column) const {
        const auto text_of_them = text(column);
        return {text_of_them.begin(), text_of_them.end()};
    }
    /// NULL reads as 0.
    [[nodiscard]] Time time(int column) const {
        return Time(std::chrono::seconds(integer(column)));
    }

  private:
    void check(int result) const {
        if (result == SQLITE_OK) return;
        const int primary = sqlite3_errcode(database_) & 0xFF;
        const std::string text = sqlite3_errmsg(database_);
        if (primary == SQLITE_NOTADB || primary == SQLITE_CORRUPT) throw Unusable(text);
        throw StorageFailure("SQLite", text);
    }

    struct Finalize {
        void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
    };
    sqlite3* database_;
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// The value that the database has as text. Throws Unusable.
template <typename T>
T stored(std::string_view column, const std::string& text) {
    try {
        return parse<T>(column, text);
    } catch (const InvalidArgument& error) {
        throw Unusable(error.what());
    }
}

template <typename T>
std::optional<T> stored_if_any(std::string_view column, const std::string& text) {
    if (text.empty()) return std::nullopt;
    return stored<T>(column, text);
}

/// The values that the database has as text with spaces between, sorted.
template <typename T>
std::vector<T> stored_list(std::string_view column, const std::string& text) {
    std::vector<T> values;
    if (text.empty()) return values;  // of nearly all rows, and a stream takes its time
    std::istringstream words(text);
    for (std::string word; words >> word;) values.push_back(stored<T>(column, word));
    sort_unique(values);
    return values;
}

}  // namespace porthole
