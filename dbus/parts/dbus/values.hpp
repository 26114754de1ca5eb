// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include <sdbus-c++/Types.h>

namespace porthole::dbus {

/// a{sv}
using Dictionary = std::map<std::string, sdbus::Variant>;

/// (tssqqssssxxa{sv}), a reservation
using Row = sdbus::Struct<std::uint64_t, std::string, std::string, std::uint16_t, std::uint16_t,
                          std::string, std::string, std::string, std::string, std::int64_t,
                          std::int64_t, Dictionary>;

/// (ssqqss), a request of ReserveMany
using RequestRow =
    sdbus::Struct<std::string, std::string, std::uint16_t, std::uint16_t, std::string, std::string>;

/// (tq), an answer of ReserveMany
using ReservedRow = sdbus::Struct<std::uint64_t, std::uint16_t>;

/// (tsssqxsasa{sv}), a conflict
using ConflictRow =
    sdbus::Struct<std::uint64_t, std::string, std::string, std::string, std::uint16_t, std::int64_t,
                  std::string, std::vector<std::string>, Dictionary>;

/// (sssasxa{sv}), a host
using HostRow = sdbus::Struct<std::string, std::string, std::string, std::vector<std::string>,
                              std::int64_t, Dictionary>;

/// (ssssqasbsxtta{sv}), a peer of a tunnel
using PeerRow = sdbus::Struct<std::string, std::string, std::string, std::string, std::uint16_t,
                              std::vector<std::string>, bool, std::string, std::int64_t,
                              std::uint64_t, std::uint64_t, Dictionary>;

/// The fields of a struct, for structured bindings.
template <typename... Fields>
const std::tuple<Fields...>& fields(const sdbus::Struct<Fields...>& row) {
    return row;
}

}  // namespace porthole::dbus
