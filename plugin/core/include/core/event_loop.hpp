// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <optional>
#include <vector>

namespace porthole {

/// What an event source waits for.
struct Interest {
    int descriptor = -1;  ///< -1: nothing but the timeout
    short events = 0;     ///< as for poll(2)
    std::optional<std::chrono::milliseconds> timeout = std::nullopt;  ///< nothing: no limit
    /// More is likely to follow so soon that going to sleep would take longer than to look for it.
    std::chrono::microseconds linger{0};
};

/// Something that wakes the daemon.
class EventSource {
  public:
    EventSource() = default;
    EventSource(const EventSource&) = delete;
    EventSource& operator=(const EventSource&) = delete;
    EventSource(EventSource&&) = delete;
    EventSource& operator=(EventSource&&) = delete;
    virtual ~EventSource() = default;

    /// Called before every poll: finishes what can be done at once, then says what to wait for.
    virtual Interest prepare() = 0;
    /// Called when the descriptor is ready or the timeout has passed.
    virtual void dispatch() = 0;
};

/// poll(2) over a handful of sources, in one thread.
class EventLoop {
  public:
    /// `source` must outlive the loop.
    void add(EventSource& source) { sources_.push_back(&source); }
    /// Returns after stop() was called from a source.
    void run();
    void stop() { running_ = false; }

  private:
    std::vector<EventSource*> sources_;
    bool running_ = false;
};

}  // namespace porthole
