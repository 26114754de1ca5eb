// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/newcomers.hpp"

#include <utility>

#include <systemd/sd-bus.h>

#include "dbus/limits.hpp"

namespace porthole::dbus {
namespace {

// What a message takes without its arguments.
constexpr std::size_t bytes_of_a_message = 1024;

}  // namespace

void Newcomers::Unref::operator()(sd_bus_message* call) const { sd_bus_message_unref(call); }

bool Newcomers::keep(sd_bus_message* call, const std::string& client, std::size_t bytes) {
    bytes += bytes_of_a_message;
    if (bytes_ + bytes > limits::bytes_of_newcomers) return false;
    auto& own = calls_[client];
    if (own.calls.size() >= limits::calls_of_a_newcomer) return false;
    own.calls.emplace_back(sd_bus_message_ref(call));
    own.bytes += bytes;
    bytes_ += bytes;
    return true;
}

std::vector<Newcomers::Call> Newcomers::take(const std::string& client) {
    auto kept = calls_.extract(client);
    if (kept.empty()) return {};
    bytes_ -= kept.mapped().bytes;
    return std::move(kept.mapped().calls);
}

}  // namespace porthole::dbus
