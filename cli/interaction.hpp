// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sdbus-c++/sdbus-c++.h>

namespace porthole::cli {

/// Lets polkit have a person authenticate for the calls that are made on this connection from now
/// on, and gives them the time for it. `proxy`: any one of this connection's. Throws sdbus::Error.
void allow_interaction(sdbus::IConnection& connection, sdbus::IProxy& proxy);

}  // namespace porthole::cli
