// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string_view>

#include "lab/bus.hpp"
#include "lab/process.hpp"
#include "lab/temporary_directory.hpp"

namespace porthole::lab {

/// The real polkit on a bus, with Porthole's actions and rules of the test's own, and no others.
class Polkit {
  public:
    /// Whether it is installed.
    [[nodiscard]] static bool is_there();

    /// Starts it and waits until it answers. `rules`: JavaScript, see polkit(8). Throws
    /// std::runtime_error with what it printed if it does not start.
    Polkit(const Namespace& where, const Bus& bus, std::string_view rules);

    /// Puts others in their place. It notices that by itself, some time later.
    void set_rules(std::string_view rules) const;
    [[nodiscard]] Process& process() { return *daemon_; }

  private:
    TemporaryDirectory directory_;
    std::optional<Process> daemon_;
};

}  // namespace porthole::lab
