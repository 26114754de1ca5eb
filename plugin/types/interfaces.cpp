// SPDX-License-Identifier: GPL-2.0-or-later
#include "types/interfaces.hpp"

#include <algorithm>

namespace porthole {

std::optional<InterfaceName> TextForm<InterfaceName>::parse(std::string_view text) {
    if (text.empty() || text.size() > 15 || text == "." || text == "..") return std::nullopt;
    // The kernel's isspace() speaks Latin-1: a no-break space is one.
    const auto forbidden = [](char c) {
        return c == '/' || c == ':' || c == ' ' || c == '\xA0' || (c >= '\0' && c < ' ') ||
               c == '\x7F';
    };
    if (std::ranges::any_of(text, forbidden)) return std::nullopt;
    return InterfaceName(text);
}

std::string TextForm<InterfaceName>::format(const InterfaceName& name) { return name.text(); }

}  // namespace porthole
