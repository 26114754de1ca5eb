// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint.hpp"
#include "core/gateway.hpp"
#include "core/handshakes.hpp"
#include "core/tunnels.hpp"

namespace porthole {

/// How a checkpoint has ended.
enum class CheckpointEnd : std::uint8_t {
    committed,    ///< what was done since stays
    rolled_back,  ///< undone: somebody said so
    expired,      ///< undone: nobody said anything in time
};
/// Its name in the contract and in the log.
std::string to_text(CheckpointEnd how);

/// Undoes what was done to the reservations and tunnels since a checkpoint, and switching all off
/// or on, unless that is committed in time: who changes the gateway from afar, and cannot reach it
/// any more afterwards, need only wait. There is one checkpoint at a time, and it is on the disk:
/// the service may be killed, and goes back when it is there again. What the configuration file
/// says is no part of it.
///
/// Throws Refused (no_such_checkpoint, busy), StorageFailure, and what the use cases throw that
/// undo.
class Checkpoints {
  public:
    static constexpr std::chrono::seconds longest{24 * 60 * 60};

    /// `stored`: the one that is on the disk. `gateway` and `tunnels` have been started.
    /// After a restart it lasts until the time that it was to last until, but never longer than was
    /// asked for: the wall clock may have been set meanwhile.
    Checkpoints(Gateway& gateway, Tunnels& tunnels, std::optional<Checkpoint> stored,
                Gateway::Clock clock, MonotonicClock monotonic = std::chrono::steady_clock::now);

    /// `length` is at least a second, and at most `longest`. Throws Refused (busy) while there is
    /// one already.
    Checkpoint start(std::chrono::seconds length);
    /// Has it last this long from now on.
    void extend(CheckpointId id, std::chrono::seconds length);
    void commit(CheckpointId id);
    /// What throws here is tried again by expire().
    void roll_back(CheckpointId id);
    /// Undoes what was not committed in time.
    void expire();

    [[nodiscard]] const std::optional<Checkpoint>& active() const { return active_; }
    /// Until expire() is to be called; nothing: there is no checkpoint.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> time_left() const;

    struct Ended {
        CheckpointId id{};
        CheckpointEnd how = CheckpointEnd::committed;
    };
    /// Those that have ended since the last call.
    [[nodiscard]] std::vector<Ended> take_ended();
    /// Another one whenever active() is.
    [[nodiscard]] std::uint64_t version() const { return version_; }

  private:
    [[nodiscard]] const Checkpoint& find(CheckpointId id) const;
    void last(const Checkpoint& checkpoint);
    void go_back(CheckpointEnd how);
    void restore_tunnels();
    bool put(const Tunnel& tunnel);
    void end(CheckpointEnd how);

    Gateway& gateway_;
    Tunnels& tunnels_;
    Gateway::Clock clock_;
    MonotonicClock monotonic_;
    std::optional<Checkpoint> active_;
    std::chrono::steady_clock::time_point ends_;      // of active_
    CheckpointEnd how_ = CheckpointEnd::rolled_back;  // it is being gone back
    std::vector<Ended> ended_;
    std::uint64_t version_ = 0;
};

}  // namespace porthole
