// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ostream>

#include "cli/arguments.hpp"

namespace porthole::cli {

/// Does what was asked, writes what there is to see to `out` and `err`, and returns the exit status
/// (cli/exit_status.hpp).
int run(const Invocation& invocation, std::ostream& out, std::ostream& err);

}  // namespace porthole::cli
