// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/clients.hpp"

#include <utility>

#include <fmt/format.h>
#include <sdbus-c++/IConnection.h>
#include <sdbus-c++/IProxy.h>
#include <sdbus-c++/Message.h>

#include "dbus/errors.hpp"
#include "dbus/names.hpp"

namespace porthole::dbus {
namespace {

template <typename T>
std::optional<T> value(const Dictionary& dictionary, const char* key) {
    const auto found = dictionary.find(key);
    if (found == dictionary.end() || !found->second.containsValueOfType<T>()) return std::nullopt;
    return found->second.get<T>();
}

}  // namespace

std::optional<Credentials> parse_credentials(const Dictionary& answer) {
    const auto user = value<std::uint32_t>(answer, "UnixUserID");
    if (!user) return std::nullopt;
    return Credentials{*user, value<std::vector<std::uint32_t>>(answer, "UnixGroupIDs")};
}

Clients::Clients(sdbus::IConnection& connection, Gone gone)
    : gone_(std::move(gone)),
      bus_(sdbus::createProxy(connection, bus_name, bus_path)),
      // Of those who come there may be as many, and they are nobody's business.
      departures_(connection.addMatch(
          fmt::format(
              "type='signal',sender='{0}',interface='{0}',member='NameOwnerChanged',arg2=''",
              bus_name),
          [this](sdbus::Message& signal) { contained([&] { forget(signal); }); })) {
    bus_->finishRegistration();
}

Clients::~Clients() = default;

void Clients::forget(sdbus::Message& departure) {
    std::string name;
    departure >> name;
    clients_.erase(name);
    gone_(name);
}

void Clients::identify(const std::string& client, Known known) {
    auto& asked = clients_[client];
    if (asked.credentials) return known(asked.credentials, {});
    if (!asked.waiting.empty()) return asked.waiting.push_back(std::move(known));
    bus_->callMethodAsync("GetConnectionCredentials")
        .onInterface(bus_name)
        .withArguments(client)
        .uponReplyInvoke([this, client](const sdbus::Error* error, const Dictionary& reply) {
            guarded([&] { answer(client, error, reply); });
        });
    asked.waiting.push_back(std::move(known));
}

std::optional<Credentials> Clients::find(const std::string& client) const {
    const auto known = clients_.find(client);
    return known != clients_.end() ? known->second.credentials : std::nullopt;
}

void Clients::answer(const std::string& name, const sdbus::Error* error, const Dictionary& answer) {
    const auto asked = clients_.find(name);
    if (asked == clients_.end()) return;  // it has left meanwhile
    const auto credentials = error == nullptr ? parse_credentials(answer) : std::nullopt;
    const auto reason = credentials        ? std::string()
                        : error != nullptr ? error->getMessage()
                                           : "no user is in its answer";
    asked->second.credentials = credentials;
    for (const auto& known : std::exchange(asked->second.waiting, {})) known(credentials, reason);
}

}  // namespace porthole::dbus
