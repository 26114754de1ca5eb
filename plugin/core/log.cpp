// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/log.hpp"

#include <cstdio>
#include <cstdlib>

namespace porthole::log {

void write(Level level, std::string_view event, std::string_view text) {
    // systemd sets JOURNAL_STREAM where standard error is connected to the journal.
    static const bool journal =
        std::getenv("JOURNAL_STREAM") != nullptr;  // NOLINT(concurrency-mt-unsafe)
    const auto prefix = journal ? fmt::format("<{}>", static_cast<char>(level)) : std::string();
    fmt::print(stderr, "{}{}: {}\n", prefix, event, text);
}

}  // namespace porthole::log
