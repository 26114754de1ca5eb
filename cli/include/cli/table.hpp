// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace porthole::cli {

/// What is known of where text is going to be read. Nothing, of a pipe or a file.
struct Look {
    std::optional<std::size_t> width = {};  ///< in characters
    bool colours = false;
};

using Cells = std::vector<std::string>;

/// What the columns of a table hold, by their numbers from 0.
struct Columns {
    std::vector<std::size_t> shortened = {};  ///< text that may be shortened to fit the width
    std::optional<std::size_t> state = {};    ///< words for states, which have colours
};

/// Lines of cells with columns as wide as their widest cell, two spaces between them, none at the
/// end. Where the look has a width, the widest of the columns that may be shortened end with "…",
/// down to three characters.
std::string table(const std::vector<Cells>& lines, const Columns& columns = {},
                  const Look& look = {});

/// A word for a state of a reservation, a peer or a conflict, in the colour that it has.
std::string coloured(const std::string& state);

}  // namespace porthole::cli
