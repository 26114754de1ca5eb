// SPDX-License-Identifier: GPL-2.0-or-later
// A day of ten tunnels through one gateway. It takes a day, or minutes in virtual time.
#include <charconv>
#include <cstdio>
#include <exception>
#include <string_view>

#include <fmt/format.h>

#include "day.hpp"

namespace {

int usage(FILE* stream) {
    fmt::print(stream, "porthole-day [--hours N] [--seed N]\n");
    return stream == stdout ? 0 : 2;
}

}  // namespace

int main(int argc, char** argv) {
    unsigned hours = 24;
    unsigned seed = 1;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument == "--help") return usage(stdout);
        auto* const value = argument == "--hours" ? &hours : argument == "--seed" ? &seed : nullptr;
        if (value == nullptr || i + 1 == argc) return usage(stderr);
        const std::string_view text = argv[++i];
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
        if (error != std::errc() || end != text.data() + text.size()) return usage(stderr);
    }
    try {
        porthole::day::Day simulated(std::chrono::hours(hours), seed);
        simulated.run();
        return simulated.report() ? 0 : 1;
    } catch (const std::exception& error) {
        fmt::print(stderr, "porthole-day: {}\n", error.what());
        return 2;
    }
}
