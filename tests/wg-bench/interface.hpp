// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lab/namespace.hpp"
#include "types/tunnel.hpp"
#include "wg/kernel.hpp"

namespace porthole::wg_bench {

/// What an interface is to be: for our messages, and as a file for wg(8).
struct Configuration {
    WireGuardDevice device;
    std::filesystem::path file;
};

/// Writes the file.
Configuration configuration(const TunnelSettings& settings, std::filesystem::path file);

/// A WireGuard interface that is down, in a namespace of its own: it sends nothing.
class Interface {
  public:
    /// Throws KernelFailure (EOPNOTSUPP) where the kernel has no WireGuard.
    Interface();

    [[nodiscard]] wg::Kernel& kernel() { return kernel_; }
    [[nodiscard]] const InterfaceName& name() const { return name_; }
    /// Takes its whole configuration from it.
    void clear() const;
    /// `wg COMMAND INTERFACE FILE`. Throws std::runtime_error if it fails.
    void run_wg(const std::string& command, const std::filesystem::path& file) const;
    /// The lines of `wg show INTERFACE dump`, sorted, with their allowed IPs sorted: the kernel has
    /// both in the order in which they came.
    [[nodiscard]] std::vector<std::string> dump() const;

  private:
    lab::Namespace host_{"host"};
    InterfaceName name_ = parse<InterfaceName>("interface", "wg0");
    wg::Kernel kernel_;
};

}  // namespace porthole::wg_bench
