// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

namespace porthole::dbus {

constexpr auto service_name = "org.porthole.Gateway1";
constexpr auto object_path = "/org/porthole/Gateway1";

constexpr auto bus_name = "org.freedesktop.DBus";
constexpr auto bus_path = "/org/freedesktop/DBus";

}  // namespace porthole::dbus
