// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string_view>

#include <fmt/format.h>

namespace porthole::log {

/// The priorities of syslog(3) that the daemon uses.
enum class Level : char { error = '3', warning = '4', info = '6' };

/// One line on standard error: "EVENT: text", preceded by "<priority>" where the journal reads it.
/// `event` is a stable key that scripts can look for.
void write(Level level, std::string_view event, std::string_view text) noexcept;

template <typename... Args>
void error(std::string_view event, fmt::format_string<Args...> format, Args&&... args) {
    write(Level::error, event, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(std::string_view event, fmt::format_string<Args...> format, Args&&... args) {
    write(Level::warning, event, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(std::string_view event, fmt::format_string<Args...> format, Args&&... args) {
    write(Level::info, event, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace porthole::log
