// SPDX-License-Identifier: GPL-2.0-or-later
#include "progress.hpp"

#include <chrono>
#include <utility>

namespace porthole::cli {
namespace {

// What is over sooner needs no explanation, and what flickers disturbs.
constexpr std::chrono::seconds patience{1};
// To the beginning of the line, and erase it (ECMA-48, 8.3.41).
constexpr auto erase = "\r\033[K";

}  // namespace

Progress::Progress(std::ostream* terminal, std::string awaited)
    : terminal_(terminal), awaited_(std::move(awaited)) {
    if (terminal_ == nullptr) return;
    thread_ = std::jthread([this](const std::stop_token& over) { wait(over); });
}

void Progress::wait(const std::stop_token& over) {
    std::unique_lock lock(mutex_);
    const auto never = [] { return false; };
    ended_.wait_for(lock, over, patience, never);
    if (over.stop_requested()) return;
    *terminal_ << "waiting for " << awaited_ << " …" << std::flush;
    ended_.wait(lock, over, never);
    *terminal_ << erase << std::flush;
}

}  // namespace porthole::cli
