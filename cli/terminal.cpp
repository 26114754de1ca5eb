// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/terminal.hpp"

#include <charconv>
#include <cstdlib>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

namespace porthole::cli {
namespace {

std::string_view variable(const char* name) {
    const auto* value = std::getenv(name);
    return value != nullptr ? value : "";
}

std::optional<std::size_t> width_of(int terminal) {
    winsize size{};
    if (ioctl(terminal, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) return size.ws_col;
    const auto columns = variable("COLUMNS");
    std::size_t width = 0;
    const auto [rest, error] =
        std::from_chars(columns.data(), columns.data() + columns.size(), width);
    if (error == std::errc() && width != 0) return width;
    return std::nullopt;
}

}  // namespace

Look look_of(int descriptor) {
    if (isatty(descriptor) != 1) return {};
    return {.width = width_of(descriptor),
            .colours = variable("NO_COLOR").empty() && can_erase(descriptor)};
}

bool can_erase(int descriptor) {
    const auto terminal = variable("TERM");
    return isatty(descriptor) == 1 && !terminal.empty() && terminal != "dumb";
}

}  // namespace porthole::cli
