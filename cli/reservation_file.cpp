// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/reservation_file.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <tuple>

#include <csv.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include "types/reservation.hpp"

namespace porthole::cli {
namespace {

constexpr std::array<std::string_view, 6> columns{"host",          "protocol",  "port",
                                                  "external-port", "filtering", "comment"};

[[noreturn]] void fail(const std::string& place, const std::string& message) {
    throw InvalidArgument(fmt::format("{}: {}", place, message));
}

template <typename T>
std::string checked(std::string_view field, const std::string& text) {
    return to_text(parse<T>(field, text));
}

/// Puts the reservations of a file together, each of its values once.
class Reader {
  public:
    void begin(std::string place) {
        place_ = std::move(place);
        row_ = {};
    }
    void set(std::string_view column, const std::string& text) {
        try {
            if (column == "host") {
                row_.host = checked<HostKey>(column, text);
            } else if (column == "protocol") {
                row_.protocol = checked<Protocol>(column, text);
            } else if (column == "port") {
                row_.port = parse<Port>(column, text).value();
            } else if (column == "comment") {
                row_.comment = checked<Comment>(column, text);
            } else if (text.empty()) {
                return;
            } else if (column == "filtering") {
                row_.filtering = checked<Filtering>(column, text);
            } else {
                row_.external_port = parse<Port>(column, text).value();
            }
        } catch (const InvalidArgument& error) {
            fail(place_, error.what());
        }
    }
    void end() {
        if (row_.host.empty() || row_.protocol.empty() || row_.port == 0) {
            fail(place_, "host, protocol and port are required");
        }
        if (!seen_.emplace(row_.host, row_.protocol, row_.port).second) {
            fail(place_,
                 fmt::format("{} {} {} is there twice", row_.host, row_.protocol, row_.port));
        }
        rows_.push_back(std::move(row_));
    }
    std::vector<Wanted> take() { return std::move(rows_); }

  private:
    std::string place_;
    Wanted row_;
    std::vector<Wanted> rows_;
    std::set<std::tuple<std::string, std::string, std::uint16_t>> seen_;
};

/// The records of a text as libcsv finds them.
class Records {
  public:
    explicit Records(std::string file) : file_(std::move(file)) {
        if (csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI) != 0) throw std::bad_alloc();
    }
    ~Records() { csv_free(&parser_); }
    Records(const Records&) = delete;
    Records& operator=(const Records&) = delete;
    Records(Records&&) = delete;
    Records& operator=(Records&&) = delete;

    std::vector<Wanted> read(std::string_view text) {
        while (!text.empty()) {
            const auto length = std::min(text.find('\n'), text.size() - 1) + 1;
            ++line_;
            if (csv_parse(&parser_, text.data(), length, on_field, on_record, this) != length) {
                fail(place(), csv_strerror(csv_error(&parser_)));
            }
            text.remove_prefix(length);
        }
        if (csv_fini(&parser_, on_field, on_record, this) != 0) {
            fail(place(), "a quoted value does not end");
        }
        if (header_.empty()) fail(file_, "there is no line that names the columns");
        for (const auto& [line, record] : records_) add(line, record);
        return reader_.take();
    }

  private:
    using Record = std::vector<std::string>;

    [[nodiscard]] std::string place() const { return fmt::format("{}:{}", file_, line_); }

    // libcsv is C: nothing may be thrown through it.
    static void on_field(void* bytes, std::size_t size, void* self) {
        static_cast<Records*>(self)->record_.emplace_back(static_cast<const char*>(bytes), size);
    }
    static void on_record(int /*terminator*/, void* self) {
        auto& records = *static_cast<Records*>(self);
        auto record = std::exchange(records.record_, {});
        if (records.header_.empty()) {
            records.header_ = std::move(record);
        } else {
            records.records_.emplace_back(records.line_, std::move(record));
        }
    }

    void add(unsigned line, const Record& record) {
        const auto where = fmt::format("{}:{}", file_, line);
        if (record.size() != header_.size()) {
            fail(where, fmt::format("it has {} values, and the first line names {} columns",
                                    record.size(), header_.size()));
        }
        reader_.begin(where);
        for (std::size_t i = 0; i < record.size(); ++i) {
            if (std::ranges::find(columns, header_[i]) == columns.end() ||
                std::ranges::count(header_, header_[i]) > 1) {
                fail(file_ + ":1", fmt::format("column \"{}\" must be one of {}, each once",
                                               header_[i], fmt::join(columns, ", ")));
            }
            reader_.set(header_[i], record[i]);
        }
        reader_.end();
    }

    std::string file_;
    csv_parser parser_{};
    unsigned line_ = 0;
    Record record_;
    Record header_;
    std::vector<std::pair<unsigned, Record>> records_;
    Reader reader_;
};

std::string quoted(const std::string& value) {
    if (value.find_first_of(",\"\r\n") == std::string::npos && !value.starts_with(' ') &&
        !value.ends_with(' ')) {
        return value;
    }
    std::string text(2 * value.size() + 2, '\0');
    text.resize(csv_write(text.data(), text.size(), value.data(), value.size()));
    return text;
}

std::string place_of(const toml::node& node, const std::string& file) {
    return fmt::format("{}:{}", file, node.source().begin.line);
}

}  // namespace

std::vector<Wanted> parse_csv(std::string_view text, const std::string& file) {
    return Records(file).read(text);
}

std::vector<Wanted> parse_toml(std::string_view text, const std::string& file) {
    toml::table document;
    try {
        document = toml::parse(text);
    } catch (const toml::parse_error& error) {
        fail(fmt::format("{}:{}", file, error.source().begin.line),
             std::string(error.description()));
    }
    Reader reader;
    for (const auto& [name, node] : document) {
        const auto* reservations = node.as_array();
        if (name != "reservation" || reservations == nullptr) {
            fail(place_of(node, file), fmt::format("\"{}\": only [[reservation]] is allowed",
                                                   std::string_view(name.str())));
        }
        for (const auto& each : *reservations) {
            const auto* reservation = each.as_table();
            if (reservation == nullptr) fail(place_of(each, file), "a table is needed");
            reader.begin(place_of(each, file));
            for (const auto& [key, value] : *reservation) {
                const auto number = value.value_exact<std::int64_t>();
                const auto string = value.value_exact<std::string>();
                const bool port = key.str().ends_with("port");
                if (std::ranges::find(columns, key.str()) == columns.end() ||
                    !(port ? number.has_value() : string.has_value())) {
                    fail(place_of(value, file),
                         fmt::format("\"{}\" must be one of {}: ports are numbers, the rest text",
                                     std::string_view(key.str()), fmt::join(columns, ", ")));
                }
                reader.set(key.str(), port ? std::to_string(*number) : *string);
            }
            reader.end();
        }
    }
    return reader.take();
}

std::string to_csv(const std::vector<Row>& rows) {
    auto text = fmt::format("{}\n", fmt::join(columns, ","));
    for (const auto& row : rows) {
        text += fmt::format("{},{},{},{},{},{}\n", row.host, row.protocol, row.internal_port,
                            row.external_port, row.filtering, quoted(row.comment));
    }
    return text;
}

}  // namespace porthole::cli
