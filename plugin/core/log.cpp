// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/log.hpp"

#include <cstdio>
#include <cstdlib>

namespace porthole::log {

void write(Level level, std::string_view event, std::string_view text) noexcept {
    // systemd sets JOURNAL_STREAM where standard error is connected to the journal.
    static const bool journal =
        std::getenv("JOURNAL_STREAM") != nullptr;  // NOLINT(concurrency-mt-unsafe)
    const auto prefix = journal ? fmt::format("<{}>", static_cast<char>(level)) : std::string();
    const auto line = fmt::format("{}{}: {}\n", prefix, event, text);
    // A log that takes no more lines must not stop the work.
    [[maybe_unused]] const auto written = std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace porthole::log
