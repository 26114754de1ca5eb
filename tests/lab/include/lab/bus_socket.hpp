// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "lab/bus.hpp"
#include "lab/deadline.hpp"
#include "lab/file_descriptor.hpp"

namespace porthole::lab {

/// Values as D-Bus marshals them, little-endian, whether they make sense or not.
/// Source: https://dbus.freedesktop.org/doc/dbus-specification.html#message-protocol-marshaling
class Marshalled {
  public:
    Marshalled& align(std::size_t boundary);
    Marshalled& number(std::uint64_t value, std::size_t bytes);
    Marshalled& text(std::string_view text);
    Marshalled& signature(std::string_view signature);
    /// An array of what `elements` appends.
    template <typename Elements>
    Marshalled& array(std::size_t alignment, const Elements& elements) {
        const auto place = number(0, 4).bytes_.size() - 4;
        const auto begin = align(alignment).bytes_.size();
        elements();
        set_length(place, bytes_.size() - begin);
        return *this;
    }
    Marshalled& raw(std::string_view bytes);
    [[nodiscard]] const std::string& bytes() const { return bytes_; }

  private:
    void set_length(std::size_t place, std::size_t length);
    std::string bytes_;
};

/// A call of a method, or a signal.
struct RawCall {
    std::string destination = "org.porthole.Gateway1";
    std::string path = "/org/porthole/Gateway1";
    std::string interface;
    std::string member;
    std::string signature = {};
    std::string body = {};
    bool interactive = false;  ///< ALLOW_INTERACTIVE_AUTHORIZATION
    bool answered = true;      ///< false: NO_REPLY_EXPECTED
    bool signal = false;
};
std::string marshalled(const RawCall& call, std::uint32_t serial = 2);

/// A client of a bus without any library: it says what no library would, and need not listen.
class BusSocket {
  public:
    /// As the user that this process is now. Throws std::runtime_error if the bus does not take us.
    explicit BusSocket(const Bus& bus);

    /// False if the bus has closed the connection, or has not taken all of it within the limit.
    // NOLINTNEXTLINE(modernize-use-nodiscard): some do not care.
    bool send(std::string_view bytes, Duration limit = Duration(10'000)) const;
    /// What has come, without waiting for it; empty: nothing.
    // NOLINTNEXTLINE(modernize-use-nodiscard)
    std::string receive() const;
    /// Waits until something has come; false at the limit.
    [[nodiscard]] bool wait(Duration limit = Duration(10'000)) const;
    /// Whether the bus has closed the connection; what has come is lost.
    [[nodiscard]] bool is_closed() const;
    [[nodiscard]] int descriptor() const { return socket_.get(); }
    /// Its unique name.
    [[nodiscard]] const std::string& name() const { return name_; }

  private:
    FileDescriptor socket_;
    std::string name_;
};

}  // namespace porthole::lab
