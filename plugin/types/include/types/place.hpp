// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "types/address.hpp"
#include "types/port.hpp"

namespace porthole {

/// An address and a port there.
struct Place {
    Address address;
    Port port;
    auto operator<=>(const Place&) const = default;
};

template <>
struct TextForm<Place> {
    static constexpr std::string_view allowed =
        "an address and a port like \"203.0.113.9:51820\" or \"[2001:db8::9]:51820\"";
    static std::optional<Place> parse(std::string_view text);
    static std::string format(const Place& place);
};

}  // namespace porthole
