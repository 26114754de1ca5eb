// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/unread.hpp"

#include <utility>

#include <sdbus-c++/IConnection.h>
#include <sdbus-c++/IProxy.h>

#include "core/log.hpp"
#include "dbus/errors.hpp"
#include "dbus/limits.hpp"
#include "dbus/names.hpp"
#include "dbus/values.hpp"

namespace porthole::dbus {
namespace {

constexpr auto statistics = "org.freedesktop.DBus.Debug.Stats";
constexpr auto no_reply = "org.freedesktop.DBus.Error.NoReply";
constexpr std::chrono::milliseconds a_moment{50};
constexpr std::chrono::seconds long_ago{1};

}  // namespace

Unread::Unread(sdbus::IConnection& connection)
    : bus_(sdbus::createProxy(connection, bus_name, bus_path)),
      own_name_(connection.getUniqueName()) {
    bus_->finishRegistration();
}

Unread::~Unread() = default;

void Unread::look(Time now) {
    if (!knows_ || now - all_.asked < a_moment) return;
    all_.asked = now;
    ask(own_name_, "IncomingBytes", [this](std::uint32_t bytes) { all_.bytes = bytes; });
}

bool Unread::is_too_much() const { return all_.bytes > limits::unread_bytes; }

Hearing Unread::hearing(const std::string& client, Time now) {
    if (!is_too_much()) return Hearing::hears;
    auto& amount = clients_[client];
    const bool is_news = now - amount.asked < long_ago;
    if (now - amount.asked >= a_moment) {
        amount.asked = now;
        ask(client, "OutgoingBytes", [this, client](std::uint32_t bytes) {
            const auto known = clients_.find(client);
            if (known != clients_.end()) known->second.bytes = bytes;
        });
    }
    if (amount.bytes <= limits::unread_bytes_of_a_client) return Hearing::hears;
    return is_news ? Hearing::deaf : Hearing::unknown;
}

void Unread::ask(const std::string& client, const char* key, Answered answered) {
    const auto heard = [this, client, key, answered = std::move(answered)](
                           const sdbus::Error* error, const Dictionary& answer) {
        guarded([&] {
            if (error != nullptr) {
                // A client may have left meanwhile.
                if (client != own_name_ || error->getName() == no_reply) return;
                knows_ = false;
                all_.bytes = 0;
                return log::info("bus-without-statistics",
                                 "the bus does not say what clients have not read: {}",
                                 error->getMessage());
            }
            const auto found = answer.find(key);
            if (found != answer.end()) answered(found->second.get<std::uint32_t>());
        });
    };
    bus_->callMethodAsync("GetConnectionStats")
        .onInterface(statistics)
        .withArguments(client)
        .uponReplyInvoke(heard);
}

}  // namespace porthole::dbus
