// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

namespace sdbus {
class Message;
}

namespace porthole::dbus {

/// Whether the sender of a call lets a person be asked to authenticate for it: the flag
/// ALLOW_INTERACTIVE_AUTHORIZATION of the D-Bus specification, which sdbus-c++ 1.2 does not show.
bool allows_interaction(const sdbus::Message& call);

}  // namespace porthole::dbus
