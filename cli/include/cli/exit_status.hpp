// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>

namespace porthole::cli {

constexpr int exit_done = 0;
constexpr int exit_failed = 1;       ///< refused by the service, or failed
constexpr int exit_usage = 2;        ///< the command line is wrong
constexpr int exit_unreachable = 3;  ///< there is no service to ask

/// The exit status for a D-Bus error.
int exit_status(std::string_view error_name);

/// Whether it says that the service, being too old, does not know what it was asked for.
bool is_unknown(std::string_view error_name);

/// What to tell people about it: the service's own message, or what to do if there is no service.
std::string explanation(std::string_view error_name, const std::string& message);

}  // namespace porthole::cli
