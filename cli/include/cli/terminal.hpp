// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "cli/table.hpp"

namespace porthole::cli {

/// How text looks best that goes to this open file. Of a terminal: the width that it has or, if it
/// does not say, the one that COLUMNS names; colours unless NO_COLOR is set or TERM is "dumb".
/// Nothing of anything else.
Look look_of(int descriptor);

/// Whether messages that are taken back later belong there: it is a terminal that can erase.
bool can_erase(int descriptor);

}  // namespace porthole::cli
