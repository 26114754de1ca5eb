// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/completion.hpp"

namespace porthole::cli {

/// `words`: all that was typed without the name of the program; the last one, which may be empty,
/// is the one that is wanted. Of a placeholder like "fail|next" or "ID|PROTO:PORT" every part in
/// small letters is a word, and every other one a kind.
Completion complete(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace porthole::cli
