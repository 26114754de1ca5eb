// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ostream>

#include "cli/arguments.hpp"
#include "cli/table.hpp"

namespace porthole::cli {

/// Where a command writes to.
struct Console {
    std::ostream& out;  ///< what there is to see
    Look look;          ///< of `out`
    std::ostream& err;
    bool can_erase = false;  ///< `err` is a terminal where lines can be taken back
};

/// Does what was asked, and returns the exit status (cli/exit_status.hpp).
int run(const Invocation& invocation, const Console& console);

}  // namespace porthole::cli
