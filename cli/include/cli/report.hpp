// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>

#include "cli/health.hpp"

namespace porthole::cli {

/// What a report has to say besides what the service says.
struct Surroundings {
    std::string client;        ///< the version of portholectl
    std::string kernel;        ///< as uname(2) has it: "Linux 6.1.0-13-amd64 x86_64"
    std::int64_t now = 0;      ///< Unix seconds
    std::string out_of_reach;  ///< why the service could not be asked; empty: it could
};

/// What the kernel and this program say of themselves.
Surroundings surroundings();

/// All that somebody who helps from afar would ask for, without secrets. `overview`: nothing if the
/// service could not be asked.
std::string report_text(const Surroundings& surroundings, const std::optional<Overview>& overview);

/// The same with keys: "problems" with "what" and "remedy", "client", "kernel", "time", "status",
/// "active-checkpoint", "conflicts", "tunnels".
Json report(const Surroundings& surroundings, const std::optional<Overview>& overview);

}  // namespace porthole::cli
