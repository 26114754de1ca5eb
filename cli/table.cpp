// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/table.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>
#include <utility>

namespace porthole::cli {
namespace {

constexpr std::size_t gap = 2;
constexpr std::size_t least_width = 3;
constexpr std::string_view ellipsis = "…";

// Select Graphic Rendition (ECMA-48, 8.3.117).
constexpr std::string_view red = "\033[31m";
constexpr std::string_view green = "\033[32m";
constexpr std::string_view yellow = "\033[33m";
constexpr std::string_view plain = "\033[0m";

constexpr std::array<std::pair<std::string_view, std::string_view>, 8> colours{{
    {"active", green},
    {"connected", green},
    {"resolved", green},
    {"settling", yellow},
    {"waiting", yellow},
    {"handshaking", yellow},
    {"stale", yellow},
    {"open", red},
}};

bool begins_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U; }

// Code points: every byte but those that continue one.
std::size_t width(std::string_view cell) {
    return static_cast<std::size_t>(std::ranges::count_if(cell, begins_character));
}

// The last character left is the ellipsis.
std::string shortened(const std::string& cell, std::size_t most) {
    if (width(cell) <= most) return cell;
    auto end = cell.begin();
    for (std::size_t characters = 0; end != cell.end(); ++end) {
        if (begins_character(*end) && ++characters == most) break;
    }
    return std::string(cell.begin(), end).append(ellipsis);
}

std::vector<std::size_t> widths_of(const std::vector<Cells>& lines) {
    std::vector<std::size_t> widths;
    for (const auto& line : lines) {
        widths.resize(std::max(widths.size(), line.size()));
        for (std::size_t i = 0; i < line.size(); ++i) {
            widths[i] = std::max(widths[i], width(line[i]));
        }
    }
    return widths;
}

void fit(std::vector<std::size_t>& widths, const std::vector<std::size_t>& columns,
         std::size_t most) {
    auto all = std::accumulate(widths.begin(), widths.end(), gap * (widths.size() - 1));
    for (; all > most; --all) {
        const auto widest = std::ranges::max_element(columns, {}, [&](std::size_t column) {
            return column < widths.size() ? widths[column] : 0;
        });
        if (widest == columns.end() || *widest >= widths.size()) return;
        if (widths[*widest] <= least_width) return;
        --widths[*widest];
    }
}

}  // namespace

std::string coloured(const std::string& state) {
    const auto* colour =
        std::ranges::find(colours, state, &std::pair<std::string_view, std::string_view>::first);
    if (colour == colours.end()) return state;
    return std::string(colour->second).append(state).append(plain);
}

std::string table(const std::vector<Cells>& lines, const Columns& columns, const Look& look) {
    auto widths = widths_of(lines);
    if (look.width && !widths.empty()) fit(widths, columns.shortened, *look.width);
    std::string text;
    for (const auto& line : lines) {
        std::string printed;
        std::size_t spaces = 0;
        for (std::size_t i = 0; i < line.size(); ++i) {
            const auto cell = shortened(line[i], widths[i]);
            if (!cell.empty()) {
                printed.append(spaces, ' ');
                printed += look.colours && columns.state == i ? coloured(cell) : cell;
                spaces = 0;
            }
            spaces += widths[i] - width(cell) + gap;
        }
        text += printed + '\n';
    }
    return text;
}

}  // namespace porthole::cli
