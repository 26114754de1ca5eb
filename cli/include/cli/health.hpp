// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "cli/output.hpp"

namespace porthole::cli {

/// All that one can know of the service, as it answers at one time.
struct Overview {
    Json status;           ///< as `portholectl status --json` prints it
    Json checkpoint = {};  ///< the active one; empty: there is none
    std::vector<ConflictRow> conflicts;
    std::vector<TunnelRow> tunnels;
};

/// Something that keeps the gateway from keeping its promises, and what to do about it.
struct Problem {
    std::string what;
    std::string remedy;
};

/// The worst first; none: all is well. A peer that is not connected is no problem: it may be away.
std::vector<Problem> problems(const Overview& overview);

/// At most ten lines: whether all is well, what to do if it is not, and what there is.
std::string summary(const Overview& overview);

/// A line for what there is: reservations, conflicts, interfaces, tunnels.
std::string counts(const Overview& overview);

/// "3 problems"; without the "s" for one.
std::string count_of(std::size_t count, const std::string& thing);

}  // namespace porthole::cli
