// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lab/bus.hpp"

namespace porthole::lab {

/// Our table in a gateway, as nft lists it; without what packets put into it.
std::string table_of(const Namespace& gateway);

/// The real service on a gateway, with a bus, a configuration and a state of its own. Its rules
/// stay in the gateway's kernel when it stops, as they do outside of the lab.
class Porthole {
  public:
    /// A bus and a configuration file; start() starts the service. `configuration`: TOML.
    explicit Porthole(const Namespace& gateway, std::string_view configuration = "",
                      BusPolicy policy = BusPolicy::installed);

    /// Starts the service and waits until it answers on the bus. Throws std::runtime_error with
    /// what it logged if it ends or takes longer than start_limit.
    void start(const Setting& setting = {});
    /// Asks it to stop and waits for the end; its exit status. Throws std::runtime_error if it
    /// does not end.
    int stop();
    /// Ends it without giving it a chance to clean up.
    void kill();
    void restart() { stop(), start(); }

    /// Runs the service's program with `arguments` to its end, which must come by itself: for
    /// --check-config and for starts that must fail. It gets this bus, but no other argument.
    [[nodiscard]] Finished run(std::vector<std::string> arguments, Setting setting = {}) const;
    /// Runs portholectl in the gateway.
    [[nodiscard]] Finished ctl(std::vector<std::string> arguments, Setting setting = {}) const;

    [[nodiscard]] const Bus& bus() const { return bus_; }
    [[nodiscard]] std::filesystem::path configuration_file() const;
    [[nodiscard]] std::filesystem::path state_directory() const;
    /// All that the service has printed since this object was made.
    [[nodiscard]] std::string log() const;
    /// The running service; null if it was not started or was stopped.
    [[nodiscard]] Process* process() { return daemon_ ? &*daemon_ : nullptr; }
    /// What this line of the running service's /proc/PID/status says, in bytes: "VmRSS", "RssFile",
    /// …
    [[nodiscard]] std::size_t memory(const std::string& line) const;

    /// Sanitizers keep what was freed: how much memory the service has then says little.
    static constexpr bool keeps_what_it_frees = PORTHOLE_SANITIZED;

    static constexpr Duration start_limit{30'000};  // of a kernel that is emulated, too

  private:
    const Namespace& gateway_;
    Bus bus_;
    TemporaryDirectory directory_;
    std::optional<Process> daemon_;
};

}  // namespace porthole::lab
