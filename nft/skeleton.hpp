// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "netlink/batch.hpp"

namespace porthole::nft {

/// Appends the commands that put an empty table `inet porthole` with all its sets, chains and rules
/// in the place of the one that is there, if any.
void replace_skeleton(netlink::Batch& batch);

}  // namespace porthole::nft
