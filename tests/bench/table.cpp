// SPDX-License-Identifier: GPL-2.0-or-later
#include "table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

namespace porthole::bench {
namespace {

constexpr std::string_view met = "met";
constexpr std::string_view not_met = "not met";
constexpr std::string_view below_its_floor = "below its floor";
constexpr double near_its_floor = 1.25;

}  // namespace

void Samples::add(const Samples& others) {
    values_.insert(values_.end(), others.values_.begin(), others.values_.end());
}

double Samples::quantile(double fraction) const {
    if (values_.empty()) throw std::logic_error("nothing was measured");
    auto sorted = values_;
    std::ranges::sort(sorted);
    const double place = fraction * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const auto above = std::min(below + 1, sorted.size() - 1);
    return std::lerp(sorted[below], sorted[above], place - std::floor(place));
}

void Rounds::add(const Samples& round) {
    all_.add(round);
    p50s_.add(round.median());
    p99s_.add(round.quantile(0.99));
}

std::string Rounds::text() const {
    return fmt::format("{} / {} ({} to {}, of all calls {})", milliseconds(p50()),
                       milliseconds(p99()), milliseconds(p99s_.quantile(0)),
                       milliseconds(p99s_.quantile(1)), milliseconds(all_.quantile(0.99)));
}

Interval interval_of(const Samples& samples) {
    // How many samples are below the true median has a binomial distribution.
    constexpr double normal_quantile = 1.96;
    auto sorted = samples.values();
    std::ranges::sort(sorted);
    const auto count = static_cast<double>(sorted.size());
    const double below = std::floor((count - normal_quantile * std::sqrt(count)) / 2);
    const auto outside = static_cast<std::size_t>(std::max(below, 1.0)) - 1;
    return {samples.median(), sorted[outside], sorted[sorted.size() - 1 - outside]};
}

std::string milliseconds(double seconds) {
    const double value = seconds * 1e3;
    return fmt::format("{:.{}f} ms", value, value < 10 ? 3 : value < 100 ? 1 : 0);
}

std::string with_quartiles(const Samples& seconds) {
    return fmt::format("{} ({} to {})", milliseconds(seconds.median()),
                       milliseconds(seconds.quantile(0.25)), milliseconds(seconds.quantile(0.75)));
}

std::string p50_p99(const Samples& seconds) {
    return fmt::format("{} / {}", milliseconds(seconds.median()),
                       milliseconds(seconds.quantile(0.99)));
}

std::string times(double ratio) { return fmt::format("{:.{}f}", ratio, ratio < 10 ? 2 : 0); }

std::string verdict_at_most(double measured, double goal, std::optional<double> floor) {
    const bool at_floor = floor && *floor > goal && measured <= near_its_floor * *floor;
    if (at_floor) return std::string(below_its_floor);
    return std::string(measured <= goal ? met : not_met);
}

std::string verdict_at_least(double measured, double goal, std::optional<double> floor) {
    const bool at_floor = floor && *floor < goal && measured >= *floor / near_its_floor;
    if (at_floor) return std::string(below_its_floor);
    return std::string(measured >= goal ? met : not_met);
}

bool is_missed(const Line& line) { return line.verdict.find(not_met) != std::string::npos; }

void print(const Lines& lines) {
    using Cells = std::array<std::string, 6>;
    std::vector<Cells> rows{{"what", "measured", "compared with", "ratio", "goal", "verdict"}};
    for (const auto& line : lines) {
        rows.push_back(
            {line.what, line.measured, line.compared, line.ratio, line.goal, line.verdict});
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
        std::fputs("|", stdout);
        for (const auto& cell : rows[i]) fmt::print(" {} |", cell);
        std::fputs(i == 0 ? "\n| --- | --- | --- | --- | --- | --- |\n" : "\n", stdout);
    }
    std::fflush(stdout);
}

}  // namespace porthole::bench
