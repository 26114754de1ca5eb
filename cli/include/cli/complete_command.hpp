// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ostream>

#include "cli/completion.hpp"

namespace porthole::cli {

/// Prints what fits what was begun, a line each: the word and, after a tab, what it is. A line that
/// begins with the tab stands for the names of files. What the service would have to be asked for
/// is left out where it does not answer.
void print(const Completion& completion, std::ostream& out);

}  // namespace porthole::cli
