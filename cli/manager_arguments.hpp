// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>

#include "description.hpp"

namespace porthole::cli {

/// What is asked of the service as a whole, described to CLI11.
class ManagerArguments {
  public:
    explicit ManagerArguments(CLI::App& app);
    ManagerArguments(const ManagerArguments&) = delete;
    ManagerArguments& operator=(const ManagerArguments&) = delete;
    ManagerArguments(ManagerArguments&&) = delete;
    ManagerArguments& operator=(ManagerArguments&&) = delete;
    ~ManagerArguments() = default;

    /// What was given of it, once the arguments are parsed.
    [[nodiscard]] std::optional<Command> given() const;

  private:
    static void add_id(Description& command, std::uint64_t& id);
    static void add_seconds(Description& command, std::uint32_t& seconds);

    Description reload_;
    Description off_;
    Description on_;
    Description checkpoint_;
    StartCheckpoint started_;
    Description start_{checkpoint_.command(), "start", "Make one; its id is printed"};
    ExtendCheckpoint extended_;
    Description extend_{checkpoint_.command(), "extend", "Put off when it runs out"};
    EndCheckpoint committed_{.id = 0, .keep = true};
    Description commit_{checkpoint_.command(), "commit", "Keep what was changed since"};
    EndCheckpoint rolled_back_{.id = 0, .keep = false};
    Description rollback_{checkpoint_.command(), "rollback", "Undo what was changed since"};
    Description show_{checkpoint_.command(), "show", "Show the one that there is"};
};

}  // namespace porthole::cli
