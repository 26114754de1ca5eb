// SPDX-License-Identifier: GPL-2.0-or-later
#include "manager_arguments.hpp"

namespace porthole::cli {

ManagerArguments::ManagerArguments(CLI::App& app)
    : reload_(app, "reload", "Have the configuration file read again"),
      off_(app, "off", "Remove the rules, and keep them out until \"on\""),
      on_(app, "on", "Put the rules back"),
      checkpoint_(app, "checkpoint", "Undo changes unless they are committed in time") {
    checkpoint_.require_one();
    add_seconds(start_, started_.seconds);
    add_id(extend_, extended_.id);
    add_seconds(extend_, extended_.seconds);
    add_id(commit_, committed_.id);
    add_id(rollback_, rolled_back_.id);
}

void ManagerArguments::add_id(Description& command, std::uint64_t& id) {
    command.argument("ID", "Of the checkpoint", [&id](const std::string& text) {
        id = parse_number<std::uint64_t>("ID", text);
    });
}

void ManagerArguments::add_seconds(Description& command, std::uint32_t& seconds) {
    command.argument("SECONDS", "From now until it runs out", [&seconds](const std::string& text) {
        seconds = parse_number<std::uint32_t>("SECONDS", text);
    });
}

std::optional<Command> ManagerArguments::given() const {
    if (reload_.given()) return Reload{};
    if (off_.given()) return SetEnabled{false};
    if (on_.given()) return SetEnabled{true};
    if (start_.given()) return started_;
    if (extend_.given()) return extended_;
    if (commit_.given()) return committed_;
    if (rollback_.given()) return rolled_back_;
    if (show_.given()) return ShowCheckpoint{};
    return std::nullopt;
}

}  // namespace porthole::cli
