// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/message.hpp"

#include <algorithm>

#include <sdbus-c++/Error.h>
#include <sdbus-c++/IProxy.h>
#include <sodium.h>
#include <systemd/sd-bus.h>

#include "dbus/names.hpp"

namespace porthole::dbus {
namespace {

// What sdbus-c++ 1.2 wraps: it lets derived classes alone see that.
struct Opened : sdbus::Message {
    static sd_bus_message* of(const sdbus::Message& message) {
        return static_cast<sd_bus_message*>(message.*(&Opened::msg_));
    }
};

void keep_secret(const sdbus::Message& message) {
    const auto result = sd_bus_message_sensitive(Opened::of(message));
    if (result < 0) throw sdbus::createError(-result, "cannot keep a message secret");
}

}  // namespace

sd_bus* bus_of(sdbus::IConnection& connection) {
    const auto bus = sdbus::createProxy(connection, bus_name, bus_path);
    return sd_bus_message_get_bus(Opened::of(bus->createMethodCall(bus_name, "GetId")));
}

bool allows_interaction(const sdbus::Message& call) {
    return sd_bus_message_get_allow_interactive_authorization(Opened::of(call)) > 0;
}

std::shared_ptr<const SecretText> take_secret(const sdbus::Message& call, std::string&& text) {
    keep_secret(call);
    auto secret = std::make_shared<const SecretText>(text);
    sodium_memzero(text.data(), text.size());
    text.clear();
    return secret;
}

SecretReply::SecretReply(const sdbus::MethodCall& call) : reply_(call.createReply()) {
    keep_secret(reply_);
}

void SecretReply::append(const SecretText& text) {
    char* room = nullptr;
    const auto result =
        sd_bus_message_append_string_space(Opened::of(reply_), text.view().size(), &room);
    if (result < 0) throw sdbus::createError(-result, "cannot append a secret");
    std::ranges::copy(text.view(), room);
}

void SecretReply::append(const Dictionary& open, const char* name, const SecretText& text) {
    reply_.openContainer("{sv}");
    for (const auto& [key, value] : open) {
        reply_.openDictEntry("sv");
        reply_ << key << value;
        reply_.closeDictEntry();
    }
    reply_.openDictEntry("sv");
    reply_ << name;
    reply_.openVariant("s");
    append(text);
    reply_.closeVariant();
    reply_.closeDictEntry();
    reply_.closeContainer();
}

void SecretReply::send() { reply_.send(); }

}  // namespace porthole::dbus

namespace sdbus {

Message& operator>>(Message& message, std::vector<porthole::dbus::RequestRow>& rows) {
    auto* call = porthole::dbus::Opened::of(message);
    const auto checked = [](int result) {
        if (result < 0) throw createError(-result, "cannot read the rows");
        return result;
    };
    checked(sd_bus_message_enter_container(call, SD_BUS_TYPE_ARRAY, "(ssqqss)"));
    const char* host = nullptr;
    const char* protocol = nullptr;
    std::uint16_t internal_port = 0;
    std::uint16_t external_port = 0;
    const char* filtering = nullptr;
    const char* comment = nullptr;
    while (checked(sd_bus_message_read(call, "(ssqqss)", &host, &protocol, &internal_port,
                                       &external_port, &filtering, &comment)) > 0) {
        rows.emplace_back(host, protocol, internal_port, external_port, filtering, comment);
    }
    checked(sd_bus_message_exit_container(call));
    return message;
}

}  // namespace sdbus
