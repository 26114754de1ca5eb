// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <optional>

struct sd_bus_message;

namespace porthole::dbus {

/// How much memory the arguments of a call take when they are unpacked, in bytes, about: to be
/// known before they are, as sdbus-c++ makes a kilobyte of every key of a dictionary. Looks through
/// them, keeps nothing, and leaves the message as it was. `most_text`: bytes of each text in them.
/// Throws InvalidArgument where they are malformed, Refused (`limit_exceeded`) where they are more
/// than dbus/limits.hpp allows.
std::size_t size_of(sd_bus_message* call, std::size_t most_text);

/// How much memory the whole message takes, in bytes, about, if that is at most
/// limits::bytes_of_a_large_call; nothing if it is more, or malformed. Looks at so much of it and
/// no further, and leaves it as it was.
std::optional<std::size_t> size_if_small(sd_bus_message* call);

}  // namespace porthole::dbus
