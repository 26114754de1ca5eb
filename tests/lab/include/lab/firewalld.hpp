// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lab/bus.hpp"

namespace porthole::lab {

/// The real firewalld on a gateway, with a bus of its own and the configuration that it comes with.
/// Its rules stay in the gateway's kernel when this object goes.
class Firewalld {
  public:
    /// Starts it from the directory that its Debian packages were unpacked in, and waits until its
    /// rules are there. Throws std::runtime_error with what it logged if it does not start.
    Firewalld(const Namespace& gateway, std::filesystem::path unpacked);

    /// Runs firewall-cmd. Throws std::runtime_error with what it printed if it fails.
    void cmd(const std::vector<std::string>& arguments) const;

    [[nodiscard]] const Bus& bus() const { return bus_; }

    static constexpr Duration start_limit{20'000};

  private:
    [[nodiscard]] std::vector<std::string> python(const char* program) const;
    [[nodiscard]] std::vector<std::string> environment() const;

    const Namespace& gateway_;
    std::filesystem::path unpacked_;
    Bus bus_;
    TemporaryDirectory directory_;
    std::optional<Process> daemon_;
};

}  // namespace porthole::lab
