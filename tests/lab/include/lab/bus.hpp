// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lab/process.hpp"
#include "lab/temporary_directory.hpp"

namespace porthole::lab {

/// What a bus allows beyond the defaults of a system bus.
enum class BusPolicy : std::uint8_t {
    installed,   ///< what Porthole is installed with
    everything,  ///< to everybody
};

/// A system bus of one's own. Its socket is a file, so that it can be used from every namespace.
class Bus {
  public:
    /// Returns as soon as the bus can be used. Throws std::runtime_error with what dbus-daemon
    /// printed if it does not start.
    explicit Bus(const Namespace& where, BusPolicy policy = BusPolicy::installed);

    [[nodiscard]] const std::string& address() const { return address_; }
    /// "DBUS_SYSTEM_BUS_ADDRESS=…", for Setting::environment.
    [[nodiscard]] std::string environment() const;

    /// Waits until somebody owns `name`. False if `candidate` ended or `limit` passed before.
    [[nodiscard]] bool wait_for_owner(const std::string& name, const Process& candidate,
                                      Duration limit) const;

  private:
    TemporaryDirectory directory_;
    std::optional<Process> daemon_;
    std::string address_;
};

}  // namespace porthole::lab
