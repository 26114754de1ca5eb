// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "table.hpp"

namespace porthole::bench {

struct Options {
    /// Where the programs that Porthole is compared with were unpacked; empty: leave them out.
    std::filesystem::path peers;
};

Lines measure_reserve(const Options& options);
Lines measure_peers(const Options& options);
Lines measure_many(const Options& options);
Lines measure_start(const Options& options);
Lines measure_memory(const Options& options);
Lines measure_abuse(const Options& options);
Lines measure_packets(const Options& options);
Lines measure_settle(const Options& options);
Lines measure_watch(const Options& options);
Lines measure_restore(const Options& options);

/// One measurement that can be asked for by name.
struct Measure {
    std::string_view name;
    std::string_view what;
    Lines (*run)(const Options& options);
};

/// All of them, in the order of the report.
const std::vector<Measure>& measures();

}  // namespace porthole::bench
