// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>

namespace porthole::cli {

/// A QR code (ISO/IEC 18004) for a terminal with UTF-8, dark on light whatever the terminal's
/// colours are. Throws std::runtime_error if the text is too long for one (2,953 bytes).
std::string qr_code(std::string_view text);

}  // namespace porthole::cli
