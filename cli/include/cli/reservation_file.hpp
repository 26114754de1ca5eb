// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/output.hpp"

namespace porthole::cli {

/// A reservation that a file asks for.
struct Wanted {
    std::string host;      ///< as the service writes it
    std::string protocol;  ///< "udp" or "tcp"
    std::uint16_t port = 0;
    std::optional<std::uint16_t> external_port;  ///< nothing: any; for a new one, the port itself
    std::optional<std::string> filtering;        ///< nothing: any; for a new one, the default
    std::optional<std::string> comment;          ///< nothing: any
    bool operator==(const Wanted&) const = default;
};

/// Reads CSV (RFC 4180) whose first line names the columns: host, protocol and port, and those of
/// external-port, filtering and comment that it has, in any order; empty ones but comments are not
/// given. Throws InvalidArgument, which names `file`, the line, the column and the value; also for
/// a host's port that is there twice.
std::vector<Wanted> parse_csv(std::string_view text, const std::string& file);

/// Reads TOML with [[reservation]] as in the configuration file. Throws as parse_csv().
std::vector<Wanted> parse_toml(std::string_view text, const std::string& file);

/// What parse_csv() reads as these reservations.
std::string to_csv(const std::vector<Row>& rows);

}  // namespace porthole::cli
