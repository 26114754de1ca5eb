// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/bus_socket.hpp"

#include <array>
#include <cerrno>
#include <stdexcept>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace porthole::lab {
namespace {

constexpr std::size_t length_bytes = 4;

// Of the header.
enum class Field : std::uint8_t {
    path = 1,
    interface = 2,
    member = 3,
    destination = 6,
    signature = 8
};

void put_field(Marshalled& header, Field field, char type, std::string_view value) {
    if (value.empty()) return;
    header.align(8).number(static_cast<std::uint8_t>(field), 1).signature({&type, 1});
    type == 'g' ? header.signature(value) : header.text(value);
}

FileDescriptor connect_to(std::string_view address) {
    constexpr std::string_view prefix = "unix:path=";
    address.remove_prefix(prefix.size());
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    address.substr(0, address.find(','))
        .copy(static_cast<char*>(name.sun_path), sizeof(name.sun_path) - 1);
    FileDescriptor socket(
        checked(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the way of the socket interface
    checked(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)),
            "connect to the bus");
    return socket;
}

}  // namespace

Marshalled& Marshalled::align(std::size_t boundary) {
    while (bytes_.size() % boundary != 0) bytes_.push_back('\0');
    return *this;
}

Marshalled& Marshalled::number(std::uint64_t value, std::size_t bytes) {
    align(bytes);
    for (std::size_t i = 0; i < bytes; ++i) {
        bytes_.push_back(static_cast<char>(value >> (8 * i) & 0xFFU));
    }
    return *this;
}

Marshalled& Marshalled::text(std::string_view text) {
    number(text.size(), length_bytes);
    bytes_ += text;
    bytes_.push_back('\0');
    return *this;
}

Marshalled& Marshalled::signature(std::string_view signature) {
    number(signature.size(), 1);
    bytes_ += signature;
    bytes_.push_back('\0');
    return *this;
}

void Marshalled::set_length(std::size_t place, std::size_t length) {
    bytes_.replace(place, length_bytes, Marshalled().number(length, length_bytes).bytes_);
}

Marshalled& Marshalled::raw(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
}

std::string marshalled(const RawCall& call, std::uint32_t serial) {
    constexpr std::string_view little_endian_call = "l\x01";
    constexpr std::string_view little_endian_signal = "l\x04";
    constexpr unsigned no_reply_expected = 1;
    constexpr unsigned allow_interactive_authorization = 4;
    Marshalled message;
    message.raw(call.signal ? little_endian_signal : little_endian_call)
        .number((call.interactive ? allow_interactive_authorization : 0) |
                    (call.answered ? 0 : no_reply_expected),
                1)
        .number(1, 1)  // the version of the protocol
        .number(call.body.size(), length_bytes)
        .number(serial, length_bytes)
        .array(8, [&] {
            put_field(message, Field::path, 'o', call.path);
            put_field(message, Field::interface, 's', call.interface);
            put_field(message, Field::member, 's', call.member);
            put_field(message, Field::destination, 's', call.destination);
            put_field(message, Field::signature, 'g', call.signature);
        });
    return message.align(8).raw(call.body).bytes();
}

BusSocket::BusSocket(const Bus& bus) : socket_(connect_to(bus.address())) {
    const auto user = std::to_string(geteuid());
    std::string hexadecimal;
    for (const char digit : user) hexadecimal += fmt::format("{:02x}", digit);
    using namespace std::string_literals;
    send("\0AUTH EXTERNAL "s + hexadecimal + "\r\n");
    if (!wait() || !receive().starts_with("OK ")) {
        throw std::runtime_error("the bus does not let user " + user + " in");
    }
    send("BEGIN\r\n" + marshalled({.destination = "org.freedesktop.DBus",
                                   .path = "/org/freedesktop/DBus",
                                   .interface = "org.freedesktop.DBus",
                                   .member = "Hello"},
                                  1));
    std::string welcome;
    while (welcome.find("NameAcquired") == std::string::npos) {
        if (!wait()) throw std::runtime_error("the bus gives user " + user + " no name");
        const auto more = receive();
        if (more.empty()) throw std::runtime_error("the bus sends user " + user + " away");
        welcome += more;
    }
    const auto begin = welcome.find(":1.");
    name_ = welcome.substr(begin, welcome.find('\0', begin) - begin);
}

bool BusSocket::send(std::string_view bytes, Duration limit) const {
    const Deadline deadline(limit);
    while (!bytes.empty()) {
        const auto sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent > 0) {
            bytes.remove_prefix(static_cast<std::size_t>(sent));
            continue;
        }
        if (errno != EAGAIN) return false;
        std::array<pollfd, 1> writable{{{socket_.get(), POLLOUT, 0}}};
        if (!deadline.poll(writable)) return false;
    }
    return true;
}

std::string BusSocket::receive() const {
    std::string bytes;
    std::array<char, 1U << 16U> part{};
    while (true) {
        const auto size = ::recv(socket_.get(), part.data(), part.size(), 0);
        if (size <= 0) return bytes;
        bytes.append(part.data(), static_cast<std::size_t>(size));
    }
}

bool BusSocket::wait(Duration limit) const {
    std::array<pollfd, 1> readable{{{socket_.get(), POLLIN, 0}}};
    return Deadline(limit).poll(readable);
}

bool BusSocket::is_closed() const {
    std::array<char, 1U << 16U> part{};
    ssize_t size = 0;
    do {
        size = ::recv(socket_.get(), part.data(), part.size(), 0);
    } while (size > 0);
    return size == 0 || errno != EAGAIN;
}

}  // namespace porthole::lab
