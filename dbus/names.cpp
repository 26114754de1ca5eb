// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/names.hpp"

#include <fmt/format.h>

namespace porthole::dbus {

std::string escaped(std::string_view text) {
    std::string result;
    for (const char c : text) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool digit = c >= '0' && c <= '9';
        if (letter || (digit && !result.empty())) {
            result += c;
        } else {
            result += fmt::format("_{:02x}", static_cast<unsigned char>(c));
        }
    }
    return result;
}

}  // namespace porthole::dbus
