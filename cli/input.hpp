// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

namespace porthole::cli {

/// All of a file; "-": of the standard input. Throws std::runtime_error if it cannot be read.
std::string read_file(const std::string& name);

}  // namespace porthole::cli
