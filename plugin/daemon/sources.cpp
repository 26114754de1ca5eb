// SPDX-License-Identifier: GPL-2.0-or-later
#include "sources.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <system_error>

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/log.hpp"
#include "memory.hpp"

namespace porthole {
namespace {

using std::chrono::milliseconds;

// The wall clock may be set while we wait for a time of day.
constexpr milliseconds longest_wait{60'000};

constexpr milliseconds look_at_sockets{2'000};

sigset_t our_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
    return signals;
}

}  // namespace

std::optional<milliseconds> Retry::timeout() const {
    if (!at_) return std::nullopt;
    const auto left = std::chrono::ceil<milliseconds>(*at_ - Clock::now());
    return std::max(left, milliseconds(0));
}

void block_signals() {
    const auto signals = our_signals();
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    // A file that may not grow is an answer to whoever wanted to be stored, not the end.
    (void)std::signal(SIGXFSZ, SIG_IGN);
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

Interest InterfaceSource::prepare() { return {monitor_.descriptor(), POLLIN, retry_.timeout()}; }

void InterfaceSource::dispatch() {
    if (!monitor_.changed() && !retry_.due()) return;
    try {
        gateway_.interfaces_changed(reader_.read());
        retry_.done();
    } catch (const Error& error) {
        retry_.failed();
        log::error("interfaces-failed", "the rules do not follow the interfaces yet: {}",
                   error.what());
    }
}

Interest ListenerSource::prepare() {
    const auto left = std::chrono::ceil<milliseconds>(next_ - Clock::now());
    return {-1, 0, std::max(left, milliseconds(0))};
}

void ListenerSource::dispatch() {
    if (Clock::now() < next_) return;
    next_ = Clock::now() + look_at_sockets;
    try {
        const auto& scope = gateway_.perimeter().scope;
        auto outside = scope.wan_addresses;
        outside.insert(outside.end(), scope.ipv6_wan_addresses.begin(),
                       scope.ipv6_wan_addresses.end());
        gateway_.own_ports_changed(own_ports_.update(reader_.read(), outside));
        failed_ = false;
    } catch (const Error& error) {
        if (!failed_) {
            log::error("listeners-failed", "the gateway's own ports are not protected: {}",
                       error.what());
        }
        failed_ = true;
    }
}

Interest WatchSource::prepare() { return {watch_.descriptor(), POLLIN, std::nullopt}; }

void WatchSource::dispatch() {
    try {
        gateway_.saw(watch_.take());
    } catch (const Error& error) {
        log::error("sender-failed", "a port does not follow its host: {}", error.what());
    }
}

Interest ClaimSource::prepare() {
    const bool wanted = gateway_.has_candidates();
    monitor_.listen(wanted);
    if (!wanted) {
        next_.reset();
        return {};
    }
    // Who comes next is likely to come soon.
    constexpr milliseconds gather{50};
    if (!next_) next_ = std::max<Clock::time_point>(Clock::now() + gather, not_before_);
    const auto left = std::chrono::ceil<milliseconds>(*next_ - Clock::now());
    return {monitor_.descriptor(), POLLIN, std::max(left, milliseconds(0))};
}

void ClaimSource::dispatch() {
    const auto now = Clock::now();
    if (monitor_.changed() && next_) next_ = std::max(not_before_, std::min(*next_, now));
    if (!next_ || *next_ > now) return;
    // The next answer comes with a notification; who does not answer is given up some time.
    constexpr std::chrono::seconds look_again{1};
    constexpr milliseconds rest{1'000};
    constexpr milliseconds rest_of_reading{50};  // however many neighbours come and go
    next_ = now + look_again;
    try {
        const auto generation = gateway_.generation();
        for (const auto& host : gateway_.claim(neighbours_.read())) neighbours_.probe(host);
        not_before_ = now + (gateway_.generation() != generation ? rest : rest_of_reading);
        failed_ = false;
    } catch (const Error& error) {
        if (!failed_) log::error("claim-failed", "no port is claimed: {}", error.what());
        failed_ = true;
    }
}

Interest HostSource::prepare() {
    const bool wanted = gateway_.reservations().follows_hosts();
    monitor_.listen(wanted);
    if (wanted && !std::exchange(listening_, wanted)) next_ = Clock::now();
    listening_ = wanted;
    const auto left = std::chrono::ceil<milliseconds>(next_ - Clock::now());
    return {wanted ? monitor_.descriptor() : -1, POLLIN, std::max(left, milliseconds(0))};
}

void HostSource::dispatch() {
    const auto begin = Clock::now();
    if (listening_ && monitor_.changed()) next_ = std::min(next_, std::max(begin, not_before_));
    if (next_ > begin) return;
    constexpr std::chrono::seconds interval{10};
    constexpr milliseconds least_rest{20};
    constexpr int rest_factor = 50;           // however many neighbours come and go
    constexpr std::chrono::seconds moved{1};  // every move is written to flash memory
    next_ = begin + interval;
    const auto generation = gateway_.generation();
    try {
        const auto leases = leases_.read(gateway_.lease_files(), clock_());
        for (const auto& host : gateway_.hosts_changed(neighbours_.read(), leases)) {
            neighbours_.probe(host);
        }
        failed_ = false;
    } catch (const Error& error) {
        if (!failed_) {
            log::error("hosts-failed", "ports do not follow their hosts: {}", error.what());
        }
        failed_ = true;
    }
    const auto end = Clock::now();
    not_before_ = end + std::max<Clock::duration>(least_rest, rest_factor * (end - begin));
    if (gateway_.generation() != generation) not_before_ = std::max(not_before_, end + moved);
}

Interest LookSource::prepare() {
    const auto left =
        std::chrono::ceil<milliseconds>(last_ + gateway_.look_interval() - Clock::now());
    return {-1, 0, std::max(left, milliseconds(0))};
}

void LookSource::dispatch() {
    if (last_ + gateway_.look_interval() > Clock::now()) return;
    last_ = Clock::now();
    gateway_.look();
}

Interest ForwardingSource::prepare() {
    const auto left = std::chrono::ceil<milliseconds>(next_ - Clock::now());
    return {-1, 0, std::max(left, milliseconds(0))};
}

void ForwardingSource::dispatch() {
    constexpr std::chrono::seconds interval{5};
    if (Clock::now() < next_) return;
    next_ = Clock::now() + interval;
    const auto is_on = [](const char* file) {
        int on = 1;  // where it cannot be read, nothing is said
        std::ifstream(file) >> on;
        return on != 0;
    };
    gateway_.forwarding_is(is_on("/proc/sys/net/ipv4/ip_forward"),
                           is_on("/proc/sys/net/ipv6/conf/all/forwarding"));
}

PortRange ephemeral_ports() {
    std::ifstream file("/proc/sys/net/ipv4/ip_local_port_range");
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    file >> first >> last;
    const auto from = Port::from(first);
    const auto to = Port::from(last);
    const auto range = from && to ? PortRange::from(*from, *to) : std::nullopt;
    constexpr auto usual = *PortRange::from(Port::constant<32768>(), Port::constant<60999>());
    return range.value_or(usual);
}

Interest SettlerSource::prepare() { return {settler_.descriptor(), POLLIN, retry_.timeout()}; }

Interest MemorySource::prepare() {
    constexpr std::chrono::seconds rest{2};
    const auto walks = settling_.reported();
    if (walks != seen_) at_ = Clock::now() + rest;
    seen_ = walks;
    if (!at_) return {};
    const auto left = std::chrono::ceil<milliseconds>(*at_ - Clock::now());
    return {-1, 0, std::max(left, milliseconds(0))};
}

void MemorySource::dispatch() {
    if (!at_ || *at_ > Clock::now()) return;
    at_.reset();
    give_back_memory();
    if (!std::exchange(started_, true)) give_back_program();
}

void SettlerSource::dispatch() {
    const auto reported = gateway_.settling().reported();
    try {
        gateway_.settled();
    } catch (const Error& error) {
        log::error("look-failed", "claims do not follow what was seen yet: {}", error.what());
    }
    const auto& failure = gateway_.settling().failure();
    if (failure.empty()) {
        retry_.done();
    } else if (retry_.due()) {
        retry_.done();
        gateway_.settle_everything();
    } else if (gateway_.settling().reported() != reported) {
        retry_.failed();
        log::error("settling-failed", "flows may still use wrong ports: {}", failure);
    }
}

Interest TableSource::prepare() {
    if (gateway_.diverged() && !retry_.timeout()) retry_.failed();
    const auto wait = table_.unsure() ? milliseconds(0) : retry_.timeout();
    return {table_.descriptor(), POLLIN, wait};
}

void TableSource::dispatch() {
    if (!table_.changed_by_others() && !retry_.due()) return;
    try {
        gateway_.rebuild();
        retry_.done();
        log::warning("table-rebuilt", "somebody changed table inet porthole; it was rebuilt");
    } catch (const Error& error) {
        retry_.failed();
        log::error("rebuild-failed", "somebody changed table inet porthole: {}", error.what());
    }
}

Interest CheckpointSource::prepare() {
    const auto left = checkpoints_.time_left();
    if (!left) return {};
    return {-1, 0,
            std::max(std::chrono::ceil<milliseconds>(*left),
                     retry_.timeout().value_or(milliseconds(0)))};
}

void CheckpointSource::dispatch() {
    if (retry_.timeout() && !retry_.due()) return;
    try {
        checkpoints_.expire();
        retry_.done();
        failure_.clear();
    } catch (const Error& error) {
        retry_.failed();
        if (std::exchange(failure_, error.what()) == error.what()) return;
        log::error("rollback-failed", "what was done since the checkpoint is not undone yet: {}",
                   error.what());
    }
}

Interest ExpirySource::prepare() {
    const auto next = gateway_.next_expiry();
    if (!next) return {};
    const auto left = std::clamp<milliseconds>(*next - clock_(), milliseconds(0), longest_wait);
    return {-1, 0, std::max(left, retry_.timeout().value_or(milliseconds(0)))};
}

void ExpirySource::dispatch() {
    try {
        gateway_.expire();
        retry_.done();
    } catch (const Error& error) {
        retry_.failed();
        log::error("expiry-failed", "reservations that have run out are still there: {}",
                   error.what());
    }
}

}  // namespace porthole
