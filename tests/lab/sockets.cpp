// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/sockets.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <ostream>
#include <system_error>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace porthole::lab {
namespace {

// A socket address as the system calls take it.
struct Raw {
    sockaddr_storage storage{};
    socklen_t length = sizeof(sockaddr_storage);
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    [[nodiscard]] const sockaddr* get() const {
        return reinterpret_cast<const sockaddr*>(&storage);
    }
};

Raw to_raw(const SocketAddress& address) {
    Raw raw;
    const auto bytes = address.address.bytes();
    if (address.address.family() == Family::ipv4) {
        auto& ipv4 = reinterpret_cast<sockaddr_in&>(raw.storage);
        ipv4.sin_family = AF_INET;
        ipv4.sin_port = htons(address.port);
        std::ranges::copy(bytes, reinterpret_cast<std::uint8_t*>(&ipv4.sin_addr));
        raw.length = sizeof ipv4;
    } else {
        auto& ipv6 = reinterpret_cast<sockaddr_in6&>(raw.storage);
        ipv6.sin6_family = AF_INET6;
        ipv6.sin6_port = htons(address.port);
        std::ranges::copy(bytes, static_cast<std::uint8_t*>(ipv6.sin6_addr.s6_addr));
        raw.length = sizeof ipv6;
    }
    return raw;
}

SocketAddress from_raw(const Raw& raw) {
    if (raw.storage.ss_family == AF_INET) {
        const auto& ipv4 = reinterpret_cast<const sockaddr_in&>(raw.storage);
        return {Address::v4(ntohl(ipv4.sin_addr.s_addr)), ntohs(ipv4.sin_port)};
    }
    const auto& ipv6 = reinterpret_cast<const sockaddr_in6&>(raw.storage);
    return {Address::from_bytes(ipv6.sin6_addr.s6_addr).value(), ntohs(ipv6.sin6_port)};
}

SocketAddress local_address(const FileDescriptor& socket) {
    Raw raw;
    checked(::getsockname(socket.get(), raw.get(), &raw.length), "getsockname");
    return from_raw(raw);
}

FileDescriptor open_bound(const Namespace& where, const SocketAddress& local, int type) {
    return where.run([&] {
        const int family = local.address.family() == Family::ipv4 ? AF_INET : AF_INET6;
        FileDescriptor socket(
            checked(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
        const int yes = 1;
        if (type == SOCK_STREAM) {
            checked(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes),
                    "SO_REUSEADDR");
        }
        const auto raw = to_raw(local);
        checked(::bind(socket.get(), raw.get(), raw.length),
                fmt::format("bind {} in {}", to_text(local), where.name()));
        return socket;
    });
}

// Different for every packet of this process, so that a late one is not taken for another.
std::string unique_payload() {
    static std::atomic<unsigned> count = 0;
    return fmt::format("packet {}", ++count);
}

}  // namespace

SocketAddress at(std::string_view address, std::uint16_t port) {
    return {parse<Address>("address", address), port};
}

SocketAddress any(std::uint16_t port) { return {Address::v4(INADDR_ANY), port}; }

std::string to_text(const SocketAddress& address) {
    const auto form = address.address.family() == Family::ipv4 ? "{}:{}" : "[{}]:{}";
    return fmt::format(fmt::runtime(form), porthole::to_text(address.address), address.port);
}

std::ostream& operator<<(std::ostream& stream, const SocketAddress& address) {
    return stream << to_text(address);
}

UdpSocket::UdpSocket(const Namespace& where, const SocketAddress& local)
    : descriptor_(open_bound(where, local, SOCK_DGRAM)) {}

SocketAddress UdpSocket::local() const { return local_address(descriptor_); }

void UdpSocket::send_to(const SocketAddress& destination, std::string_view payload) const {
    const auto raw = to_raw(destination);
    const auto sent =
        ::sendto(descriptor_.get(), payload.data(), payload.size(), 0, raw.get(), raw.length);
    if (sent < 0 && errno != EPERM) {
        throw std::system_error(errno, std::generic_category(), "send to " + to_text(destination));
    }
}

std::optional<Datagram> UdpSocket::receive(Duration limit) const {
    const Deadline deadline(limit);
    while (deadline.poll(descriptor_.get(), POLLIN)) {
        std::array<char, 65536> buffer{};
        Raw source;
        const auto count = ::recvfrom(descriptor_.get(), buffer.data(), buffer.size(), 0,
                                      source.get(), &source.length);
        if (count >= 0) {
            return Datagram{from_raw(source), {buffer.data(), static_cast<std::size_t>(count)}};
        }
    }
    return std::nullopt;
}

std::optional<Datagram> UdpSocket::receive(std::string_view payload, Duration limit) const {
    const Deadline deadline(limit);
    while (deadline.poll(descriptor_.get(), POLLIN)) {
        auto datagram = receive(Duration{0});
        if (datagram && datagram->payload == payload) return datagram;
    }
    return std::nullopt;
}

std::optional<SocketAddress> source_shown(const UdpSocket& inside, const UdpSocket& outside,
                                          const SocketAddress& destination, Duration limit) {
    const auto payload = unique_payload();
    inside.send_to(destination, payload);
    const auto datagram = outside.receive(payload, limit);
    if (!datagram) return std::nullopt;
    return datagram->source;
}

std::optional<SocketAddress> exchange(const UdpSocket& inside, const UdpSocket& outside,
                                      const SocketAddress& destination, Duration limit) {
    const auto shown = source_shown(inside, outside, destination, limit);
    if (!shown) return std::nullopt;
    const auto answer = unique_payload();
    outside.send_to(*shown, answer);
    if (!inside.receive(answer, limit)) return std::nullopt;
    return shown;
}

std::optional<TcpSocket> TcpSocket::connect(const Namespace& where, const SocketAddress& local,
                                            const SocketAddress& remote, Duration limit) {
    auto socket = open_bound(where, local, SOCK_STREAM);
    const auto raw = to_raw(remote);
    if (::connect(socket.get(), raw.get(), raw.length) < 0 && errno != EINPROGRESS) {
        return std::nullopt;
    }
    int error = 0;
    socklen_t length = sizeof error;
    if (!Deadline(limit).poll(socket.get(), POLLOUT) ||
        ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error != 0) {
        return std::nullopt;
    }
    return TcpSocket(std::move(socket));
}

SocketAddress TcpSocket::local() const { return local_address(descriptor_); }

SocketAddress TcpSocket::remote() const {
    Raw raw;
    checked(::getpeername(descriptor_.get(), raw.get(), &raw.length), "getpeername");
    return from_raw(raw);
}

void TcpSocket::send(std::string_view payload) const {
    checked(
        static_cast<int>(::send(descriptor_.get(), payload.data(), payload.size(), MSG_NOSIGNAL)),
        "send");
}

std::optional<std::string> TcpSocket::receive(Duration limit) const {
    if (!Deadline(limit).poll(descriptor_.get(), POLLIN)) return std::nullopt;
    std::array<char, 65536> buffer{};
    const auto count = checked(
        static_cast<int>(::recv(descriptor_.get(), buffer.data(), buffer.size(), 0)), "receive");
    return std::string(buffer.data(), static_cast<std::size_t>(count));
}

TcpListener::TcpListener(const Namespace& where, const SocketAddress& local)
    : descriptor_(open_bound(where, local, SOCK_STREAM)) {
    checked(::listen(descriptor_.get(), 64), "listen");
}

SocketAddress TcpListener::local() const { return local_address(descriptor_); }

std::optional<TcpSocket> TcpListener::accept(Duration limit) const {
    if (!Deadline(limit).poll(descriptor_.get(), POLLIN)) return std::nullopt;
    return TcpSocket(FileDescriptor(checked(
        ::accept4(descriptor_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK), "accept")));
}

}  // namespace porthole::lab
