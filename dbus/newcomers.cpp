// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/newcomers.hpp"

#include <utility>

#include <systemd/sd-bus.h>

#include "dbus/call_size.hpp"
#include "dbus/limits.hpp"

namespace porthole::dbus {
namespace {

// What a message takes besides its arguments.
constexpr std::size_t bytes_of_a_message = 1024;

}  // namespace

void Newcomers::Unref::operator()(sd_bus_message* call) const { sd_bus_message_unref(call); }

bool Newcomers::keep(sd_bus_message* call, const std::string& client) {
    auto& own = calls_.at(client);
    if (own.calls.size() >= limits::calls_of_a_newcomer) return false;
    const auto size = size_if_small(call);
    if (!size) {
        if (large_) return false;
        large_ = client;
        own.calls.emplace_back(sd_bus_message_ref(call));
        return true;
    }
    const auto bytes = *size + bytes_of_a_message;
    const bool is_short_first = own.calls.empty() && bytes <= limits::bytes_of_a_first_call;
    if (!is_short_first && bytes_ + bytes > limits::bytes_of_newcomers) return false;
    own.calls.emplace_back(sd_bus_message_ref(call));
    own.bytes += bytes;
    bytes_ += bytes;
    return true;
}

std::vector<Newcomers::Call> Newcomers::take(const std::string& client) {
    auto kept = calls_.extract(client);
    if (kept.empty()) return {};
    bytes_ -= kept.mapped().bytes;
    if (large_ == client) large_.reset();
    return std::move(kept.mapped().calls);
}

}  // namespace porthole::dbus
