// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>

namespace porthole::dbus {

constexpr auto service_name = "org.porthole.Gateway1";
constexpr auto object_path = "/org/porthole/Gateway1";

constexpr auto bus_name = "org.freedesktop.DBus";
constexpr auto bus_path = "/org/freedesktop/DBus";

/// As an element of an object path: every byte that is no letter or digit, and a digit at the
/// beginning, as "_" and two hexadecimal digits, like sd_bus_path_encode(3). `text` is not empty.
std::string escaped(std::string_view text);

}  // namespace porthole::dbus
