// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

struct sd_bus_message;

namespace porthole::dbus {

/// Calls that are refused later: who is told at once asks again at once, and the bus is busy with
/// nothing else. Of those that are about the same user there are a few; further ones are never
/// answered.
class LateRefusals {
  public:
    using Time = std::chrono::steady_clock::time_point;

    /// `whose`: what they are counted by. A call that wants no answer is let go of.
    void put(sd_bus_message* call, const std::string& whose, const std::string& message, Time when);
    /// Answers what is due.
    void send(Time now);
    /// When the next one is due.
    [[nodiscard]] std::optional<Time> next() const;

  private:
    struct Unref {
        void operator()(sd_bus_message* refusal) const;
    };
    using Refusal = std::unique_ptr<sd_bus_message, Unref>;
    struct Late {
        Refusal refusal;
        std::string whose;
    };
    std::multimap<Time, Late> late_;
    std::unordered_map<std::string, std::size_t> counts_;  ///< of late_, by whose they are
};

}  // namespace porthole::dbus
