// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cli/qr_code.hpp"

namespace porthole::cli {
namespace {

/// Which modules are dark, line by line, as a terminal shows them.
std::vector<std::vector<bool>> modules_of(const std::string& drawn) {
    constexpr std::string_view begin = "\033[30;107m";
    constexpr std::string_view end = "\033[0m";
    std::vector<std::vector<bool>> rows;
    std::istringstream lines(drawn);
    for (std::string line; std::getline(lines, line);) {
        EXPECT_TRUE(line.starts_with(begin) && line.ends_with(end));
        std::string_view cells(line);
        cells.remove_prefix(begin.size());
        cells.remove_suffix(end.size());
        auto& upper = rows.emplace_back();
        std::vector<bool> lower;
        while (!cells.empty()) {
            const auto cell = cells.substr(0, cells[0] == ' ' ? 1 : 3);
            upper.push_back(cell == "\u2588" || cell == "\u2580");
            lower.push_back(cell == "\u2588" || cell == "\u2584");
            cells.remove_prefix(cell.size());
        }
        rows.push_back(lower);
    }
    return rows;
}

/// The pattern by which scanners find three of the corners (ISO/IEC 18004 section 6.3.3).
bool has_finder_pattern(const std::vector<std::vector<bool>>& modules, std::size_t row,
                        std::size_t column) {
    constexpr std::array<std::string_view, 9> pattern{"         ", " ####### ", " #     # ",
                                                      " # ### # ", " # ### # ", " # ### # ",
                                                      " #     # ", " ####### ", "         "};
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        for (std::size_t j = 0; j < pattern.size(); ++j) {
            if (modules.at(row + i).at(column + j) != (pattern.at(i).at(j) == '#')) return false;
        }
    }
    return true;
}

TEST(QrCode, HasItsPatternsInThreeCornersAndAQuietZone) {
    const auto modules = modules_of(qr_code("[Interface]\nAddress = 10.9.0.2/24\n"));
    const auto width = modules.at(0).size();
    constexpr std::size_t quiet = 4;
    ASSERT_GE(width, 21 + 2 * quiet);
    EXPECT_EQ((width - 2 * quiet - 17) % 4, 0U);  // a version has four modules more than the last
    constexpr std::size_t before = quiet - 1;
    const auto behind = width - quiet - 8;
    EXPECT_TRUE(has_finder_pattern(modules, before, before));
    EXPECT_TRUE(has_finder_pattern(modules, before, behind));
    EXPECT_TRUE(has_finder_pattern(modules, behind, before));
    EXPECT_FALSE(has_finder_pattern(modules, behind, behind));
    for (std::size_t i = 0; i < width; ++i) {
        for (std::size_t j = 0; j < quiet; ++j) {
            EXPECT_FALSE(modules[i][j] || modules[j][i] || modules[i][width - 1 - j] ||
                         modules[width - 1 - j][i]);
        }
    }
}

TEST(QrCode, TakesWhatFitsAndRefusesMore) {
    EXPECT_NO_THROW(qr_code(std::string(2'953, 'x')));
    EXPECT_THROW(qr_code(std::string(2'954, 'x')), std::runtime_error);
}

}  // namespace
}  // namespace porthole::cli
