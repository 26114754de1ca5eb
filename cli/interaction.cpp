// SPDX-License-Identifier: GPL-2.0-or-later
#include "interaction.hpp"

#include <chrono>

#include <systemd/sd-bus.h>

namespace porthole::cli {
namespace {

// What sdbus-c++ 1.2 wraps: it lets derived classes alone see that.
struct Opened : sdbus::Message {
    static sd_bus_message* of(const sdbus::Message& message) {
        return static_cast<sd_bus_message*>(message.*(&Opened::msg_));
    }
};

// The service gives a person five minutes; whoever waits less does not hear how it ended.
constexpr std::chrono::minutes patience{6};

}  // namespace

void allow_interaction(sdbus::IConnection& connection, sdbus::IProxy& proxy) {
    const auto call = proxy.createMethodCall("org.freedesktop.DBus.Peer", "Ping");
    auto* bus = sd_bus_message_get_bus(Opened::of(call));
    const auto result = sd_bus_set_allow_interactive_authorization(bus, 1);
    if (result < 0) throw sdbus::createError(-result, "cannot let a person be asked");
    connection.setMethodCallTimeout(patience);
}

}  // namespace porthole::cli
