// SPDX-License-Identifier: GPL-2.0-or-later
// Measures Porthole against peers and floors, in one run and on one machine: see
// docs/performance.md.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "measures.hpp"

namespace {

using namespace porthole::bench;

int usage(FILE* stream) {
    fmt::print(stream, "porthole-bench [--peers DIRECTORY] [MEASUREMENT …]\n");
    for (const auto& measure : measures()) {
        fmt::print(stream, "  {:10}{}\n", measure.name, measure.what);
    }
    return stream == stdout ? EXIT_SUCCESS : 2;
}

Lines run(const Measure& measure, const Options& options) {
    fmt::print(stderr, "{} …\n", measure.what);
    try {
        return measure.run(options);
    } catch (const std::exception& error) {
        return {{.what = std::string(measure.what),
                 .measured = fmt::format("not measured: {}", error.what()),
                 .compared = "",
                 .ratio = "",
                 .goal = "",
                 .verdict = "not met"}};
    }
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    std::vector<const Measure*> wanted;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        if (argument == "--help") return usage(stdout);
        if (argument == "--peers" && i + 1 < argc) {
            options.peers = argv[++i];
            continue;
        }
        const auto found = std::ranges::find(measures(), argument, &Measure::name);
        if (found == measures().end()) return usage(stderr);
        wanted.push_back(&*found);
    }
    if (wanted.empty()) {
        for (const auto& measure : measures()) wanted.push_back(&measure);
    }
    Lines lines;
    for (const auto* measure : wanted) {
        auto more = run(*measure, options);
        std::ranges::move(more, std::back_inserter(lines));
    }
    print(lines);
    const auto missed = std::ranges::count_if(lines, is_missed);
    fmt::print("\n{}\n", missed == 0 ? "No goal is missed."
                                     : fmt::format("Lines with a missed goal: {}.", missed));
    return missed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
