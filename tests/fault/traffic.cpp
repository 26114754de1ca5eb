// SPDX-License-Identifier: GPL-2.0-or-later
#include "traffic.hpp"

#include <charconv>
#include <chrono>
#include <utility>

#include <fmt/format.h>

namespace porthole::fault {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view stranger_text = "stranger";
constexpr std::string_view answer_text = "answer";

/// A packet names its sender, and when it was sent.
std::string payload(std::size_t sender, std::uint64_t epoch) {
    return fmt::format("{} {}", sender, epoch);
}

struct Sender {
    std::size_t number = 0;
    std::uint64_t epoch = 0;
};

std::optional<Sender> sender_of(const std::string& payload) {
    Sender sender;
    const auto* end = payload.data() + payload.size();
    const auto first = std::from_chars(payload.data(), end, sender.number);
    if (first.ec != std::errc() || first.ptr == end) return std::nullopt;
    const auto second = std::from_chars(first.ptr + 1, end, sender.epoch);
    if (second.ec != std::errc() || second.ptr != end) return std::nullopt;
    return sender;
}

}  // namespace

Traffic::Traffic(std::vector<lab::UdpSocket> inside, std::vector<Inside> names,
                 std::vector<lab::UdpSocket> remotes,
                 std::vector<lab::SocketAddress> remote_addresses, lab::UdpSocket stranger,
                 std::uint64_t seed)
    : inside_(std::move(inside)),
      names_(std::move(names)),
      remotes_(std::move(remotes)),
      remote_addresses_(std::move(remote_addresses)),
      stranger_(std::move(stranger)),
      random_(seed),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

Traffic::~Traffic() = default;

void Traffic::set_stranger_targets(std::vector<lab::SocketAddress> targets) {
    const std::lock_guard lock(mutex_);
    targets_ = std::move(targets);
}

void Traffic::begin() {
    const std::lock_guard lock(mutex_);
    observed_.clear();
    ++epoch_;
}

Observed Traffic::end() {
    const std::lock_guard lock(mutex_);
    ++epoch_;
    return std::exchange(observed_, {});
}

void Traffic::run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        send();
        receive();
        std::this_thread::sleep_for(500us);
    }
}

void Traffic::send() {
    const auto any_of = [this](std::size_t count) { return random_() % count; };
    const auto from = any_of(inside_.size());
    const auto to = any_of(remote_addresses_.size());
    inside_[from].send_to(remote_addresses_[to], payload(from, epoch_));
    ++sent_;
    const std::lock_guard lock(mutex_);
    if (!targets_.empty()) stranger_.send_to(targets_[any_of(targets_.size())], stranger_text);
}

void Traffic::receive() {
    for (const auto& remote : remotes_) {
        while (const auto packet = remote.receive(lab::Duration{0})) {
            const auto sender = sender_of(packet->payload);
            if (!sender) continue;
            // Half of all flows are answered, sooner or later.
            if (random_() % 4 == 0) remote.send_to(packet->source, answer_text);
            const std::lock_guard lock(mutex_);
            if (sender->epoch != epoch_ || sender->epoch % 2 == 0) continue;
            ++observed_[names_.at(sender->number)][packet->source];
        }
    }
    for (const auto& socket : inside_) {
        while (const auto packet = socket.receive(lab::Duration{0})) {
            if (packet->payload == stranger_text) ++strangers_;
        }
    }
}

}  // namespace porthole::fault
