// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "netlink/connection.hpp"

namespace porthole::netlink {

/// The number that generic netlink has given to a family ("wireguard"); nothing if this kernel has
/// none of that name. Loads the kernel module where that is possible. Throws KernelFailure.
std::optional<std::uint16_t> find_generic_family(Connection& connection, std::string_view name);

/// Writes the header of generic netlink that every message of a family begins with.
void put_generic_header(nlmsghdr* message, std::uint8_t command, std::uint8_t version);
/// How much comes before the attributes of such a message.
constexpr std::size_t generic_header_bytes = 4;

}  // namespace porthole::netlink
