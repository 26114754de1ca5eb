// SPDX-License-Identifier: GPL-2.0-or-later
#include "sources.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/log.hpp"

namespace porthole {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds retry_after{1000};
// The wall clock may be set while we wait for a time of day.
constexpr milliseconds longest_wait{60'000};

sigset_t our_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
    return signals;
}

}  // namespace

void block_signals() {
    const auto signals = our_signals();
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

SignalSource::SignalSource(EventLoop& loop, std::function<void()> reload)
    : loop_(loop), reload_(std::move(reload)) {
    const auto signals = our_signals();
    descriptor_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
}

SignalSource::~SignalSource() { close(descriptor_); }

Interest SignalSource::prepare() { return {descriptor_, POLLIN, std::nullopt}; }

void SignalSource::dispatch() {
    signalfd_siginfo info{};
    while (read(descriptor_, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            reload_();
        } else {
            loop_.stop();
        }
    }
}

Interest InterfaceSource::prepare() {
    return {monitor_.descriptor(), POLLIN, failed_ ? std::optional(retry_after) : std::nullopt};
}

void InterfaceSource::dispatch() {
    if (!monitor_.changed() && !failed_) return;
    try {
        gateway_.interfaces_changed(reader_.read());
        failed_ = false;
    } catch (const Error& error) {
        failed_ = true;
        log::error("interfaces-failed", "the rules do not follow the interfaces yet: {}",
                   error.what());
    }
}

Interest SettlerSource::prepare() {
    const bool failed = !gateway_.settling().failure().empty();
    return {settler_.descriptor(), POLLIN, failed ? std::optional(retry_after) : std::nullopt};
}

void SettlerSource::dispatch() {
    const auto reported = gateway_.settling().reported();
    gateway_.settled();
    const auto& failure = gateway_.settling().failure();
    if (failure.empty()) return;
    if (gateway_.settling().reported() != reported) {
        log::error("settling-failed", "flows may still use wrong ports: {}", failure);
    } else if (gateway_.settling().ordered() == reported) {
        gateway_.settle_everything();
    }
}

Interest TableSource::prepare() {
    return {monitor_.descriptor(), POLLIN, failed_ ? std::optional(retry_after) : std::nullopt};
}

void TableSource::dispatch() {
    if (!monitor_.changed_by_others() && !failed_) return;
    try {
        gateway_.rebuild();
        failed_ = false;
        log::warning("table-rebuilt", "somebody changed table inet porthole; it was rebuilt");
    } catch (const Error& error) {
        failed_ = true;
        log::error("rebuild-failed", "somebody changed table inet porthole: {}", error.what());
    }
}

Interest ExpirySource::prepare() {
    const auto next = gateway_.next_expiry();
    if (!next) return {};
    const milliseconds left =
        std::clamp<milliseconds>(*next - clock_(), milliseconds(0), longest_wait);
    return {-1, 0, failed_ ? std::max(left, retry_after) : left};
}

void ExpirySource::dispatch() {
    try {
        gateway_.expire();
        failed_ = false;
    } catch (const Error& error) {
        failed_ = true;
        log::error("expiry-failed", "reservations that have run out are still there: {}",
                   error.what());
    }
}

}  // namespace porthole
