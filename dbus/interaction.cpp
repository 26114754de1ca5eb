// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/interaction.hpp"

#include <sdbus-c++/Message.h>
#include <systemd/sd-bus.h>

namespace porthole::dbus {
namespace {

// What sdbus-c++ 1.2 wraps: it lets derived classes alone see that.
struct Opened : sdbus::Message {
    static sd_bus_message* of(const sdbus::Message& message) {
        return static_cast<sd_bus_message*>(message.*(&Opened::msg_));
    }
};

}  // namespace

bool allows_interaction(const sdbus::Message& call) {
    return sd_bus_message_get_allow_interactive_authorization(Opened::of(call)) > 0;
}

}  // namespace porthole::dbus
