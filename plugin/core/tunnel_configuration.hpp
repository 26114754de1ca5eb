// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "configuration_reader.hpp"

namespace porthole {

/// Reads the [[tunnel]]s of a configuration whose reservations were read.
void read_tunnels(ConfigurationReader& reader, const toml::table& root, Configuration& result);

}  // namespace porthole
