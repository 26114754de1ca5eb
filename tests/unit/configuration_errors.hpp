// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/configuration.hpp"

namespace porthole::support {

/// What is wrong with `text`, a line each: "LINE:COLUMN: KEY: MESSAGE".
inline std::vector<std::string> errors_of(const std::string& text) {
    std::vector<std::string> lines;
    try {
        parse_configuration(text, "porthole.toml");
    } catch (const ConfigurationInvalid& invalid) {
        std::istringstream message(invalid.what());
        for (std::string line; std::getline(message, line);) {
            lines.push_back(line.substr(std::string_view("porthole.toml:").size()));
        }
        EXPECT_EQ(lines.size(), invalid.errors().size());
    }
    return lines;
}

MATCHER(Begins, "each begins as listed") {
    const auto& [line, beginning] = arg;
    return std::string_view(line).starts_with(beginning);
}

}  // namespace porthole::support
