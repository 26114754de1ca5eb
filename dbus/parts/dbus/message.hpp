// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <sdbus-c++/IConnection.h>
#include <sdbus-c++/Message.h>

#include "dbus/values.hpp"
#include "types/secret.hpp"

struct sd_bus;

// What sd-bus can and sdbus-c++ 1.2 does not show.
namespace porthole::dbus {

/// What a connection is to sd-bus. Throws sdbus::Error.
sd_bus* bus_of(sdbus::IConnection& connection);

/// Whether the sender of a call lets a person be asked to authenticate for it: the flag
/// ALLOW_INTERACTIVE_AUTHORIZATION of the D-Bus specification.
bool allows_interaction(const sdbus::Message& call);

/// Takes a secret out of the argument of a call that is just handled; the argument is wiped, and so
/// is the memory of the call when it goes. Throws sdbus::Error.
std::shared_ptr<const SecretText> take_secret(const sdbus::Message& call, std::string&& text);

/// A reply with a secret in it: its memory is wiped when it has been sent. Values of sdbus-c++'s
/// are left in memory, so the secret must not have been one.
class SecretReply {
  public:
    /// Throws sdbus::Error.
    explicit SecretReply(const sdbus::MethodCall& call);
    /// A string. Nothing may follow it: the message would move, and leave it where it was.
    void append(const SecretText& text);
    /// A dictionary, with the secret behind what everybody may know.
    void append(const Dictionary& open, const char* name, const SecretText& text);
    /// Throws sdbus::Error.
    void send();

  private:
    sdbus::MethodReply reply_;
};

}  // namespace porthole::dbus

namespace sdbus {

/// The rows of ReserveMany take a part of the time this way that any array of structs takes
/// sdbus-c++. To be seen before the generated adaptor, which uses it. Throws sdbus::Error.
Message& operator>>(Message& message, std::vector<porthole::dbus::RequestRow>& rows);

}  // namespace sdbus
