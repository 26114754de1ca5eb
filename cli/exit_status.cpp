// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/exit_status.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace porthole::cli {
namespace {

enum class Reach { reached, no_bus, no_service, no_answer };

constexpr std::array<std::pair<std::string_view, Reach>, 8> unreachable{{
    {"org.freedesktop.DBus.Error.NoServer", Reach::no_bus},
    {"org.freedesktop.DBus.Error.ServiceUnknown", Reach::no_service},
    {"org.freedesktop.DBus.Error.NameHasNoOwner", Reach::no_service},
    {"org.freedesktop.DBus.Error.Disconnected", Reach::no_answer},
    {"org.freedesktop.DBus.Error.NoReply", Reach::no_answer},
    {"org.freedesktop.DBus.Error.Timeout", Reach::no_answer},
    {"System.Error.ECONNRESET", Reach::no_answer},
    {"System.Error.ENOTCONN", Reach::no_answer},
}};

constexpr std::array<std::string_view, 3> not_there{
    "org.freedesktop.DBus.Error.UnknownMethod",
    "org.freedesktop.DBus.Error.UnknownInterface",
    "org.freedesktop.DBus.Error.UnknownProperty",
};

Reach reach(std::string_view error_name) {
    for (const auto& [name, reach] : unreachable) {
        if (name == error_name) return reach;
    }
    return Reach::reached;
}

}  // namespace

int exit_status(std::string_view error_name) {
    return reach(error_name) == Reach::reached ? exit_failed : exit_unreachable;
}

bool is_unknown(std::string_view error_name) {
    return std::ranges::find(not_there, error_name) != not_there.end();
}

std::string explanation(std::string_view error_name, const std::string& message) {
    if (is_unknown(error_name)) {
        return fmt::format("this service is too old for it: {}", message);
    }
    switch (reach(error_name)) {
        case Reach::no_service:
            return "the Porthole service is not running; start it, for example with \"systemctl "
                   "start porthole\"";
        case Reach::no_answer:
            return fmt::format(
                "the Porthole service does not answer: {}; see \"systemctl status "
                "porthole\"",
                message);
        case Reach::no_bus:
        case Reach::reached:
            break;
    }
    return message;
}

}  // namespace porthole::cli
