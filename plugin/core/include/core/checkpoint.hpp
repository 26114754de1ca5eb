// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>

#include "types/reservation.hpp"

namespace porthole {

enum class CheckpointId : std::uint64_t {};

constexpr std::uint64_t number(CheckpointId id) { return static_cast<std::uint64_t>(id); }

/// A state of the gateway that it goes back to when the time has come, unless somebody says that
/// what was done since is to stay.
struct Checkpoint {
    CheckpointId id{};
    Time expires = never;            ///< by the wall clock; the epoch: it is being gone back to
    std::chrono::seconds length{0};  ///< how long it was to be when that was said last
    bool enabled = true;             ///< whether the rules were in force
    bool operator==(const Checkpoint&) const = default;
};

}  // namespace porthole
