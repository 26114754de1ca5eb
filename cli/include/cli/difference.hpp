// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <utility>
#include <vector>

#include "cli/reservation_file.hpp"

namespace porthole::cli {

/// What has to be done for the reservations to be those of a file.
struct Difference {
    std::vector<Wanted> added;  ///< claims that become the caller's are among them
    std::vector<std::pair<Row, Wanted>> changed;  ///< what is there, what is wanted
    std::vector<Row> removed;
    [[nodiscard]] bool empty() const { return added.empty() && changed.empty() && removed.empty(); }
    /// Whether something that is added or changed needs the port of something that is removed.
    [[nodiscard]] bool needs_removed_port() const;
};

/// From what is there to what is wanted. Only reservations with the origin "api" are changed or
/// removed, and none is removed with `keep_others`. Throws InvalidArgument for a row of the
/// configuration file that is wanted otherwise.
Difference difference(const std::vector<Row>& present, const std::vector<Wanted>& wanted,
                      bool keep_others);

/// With the keys "added", "changed" and "removed".
Json to_json(const Difference& difference);

/// A line for everything: "+" added, "~" changed, "-" removed.
std::string difference_text(const Difference& difference);

}  // namespace porthole::cli
