// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include "lab/deadline.hpp"
#include "lab/namespace.hpp"
#include "types/address.hpp"

namespace porthole::lab {

/// Where a packet comes from or goes to; port in host byte order.
struct SocketAddress {
    Address address;
    std::uint16_t port;
    auto operator<=>(const SocketAddress&) const = default;
};

/// For literals. Throws InvalidArgument.
SocketAddress at(std::string_view address, std::uint16_t port);
/// The unspecified IPv4 address with this port; 0: a free one.
SocketAddress any(std::uint16_t port = 0);
/// "192.0.2.1:51820", "[2001:db8::1]:51820".
std::ostream& operator<<(std::ostream& stream, const SocketAddress& address);
std::string to_text(const SocketAddress& address);

inline constexpr Duration packet_limit{2000};

struct Datagram {
    SocketAddress source;
    std::string payload;
};

class UdpSocket {
  public:
    /// Bound to `local` in the namespace. Throws std::system_error.
    UdpSocket(const Namespace& where, const SocketAddress& local);
    explicit UdpSocket(const Namespace& where, std::uint16_t port = 0)
        : UdpSocket(where, any(port)) {}

    [[nodiscard]] SocketAddress local() const;
    [[nodiscard]] int descriptor() const { return descriptor_.get(); }
    /// One packet. A packet filter that refuses it (EPERM) is no error: it is not seen elsewhere.
    void send_to(const SocketAddress& destination, std::string_view payload) const;
    /// The next packet that comes before the limit; `Duration{0}` looks without waiting.
    [[nodiscard]] std::optional<Datagram> receive(Duration limit = packet_limit) const;
    /// The next packet with this payload; others are thrown away.
    [[nodiscard]] std::optional<Datagram> receive(std::string_view payload,
                                                  Duration limit = packet_limit) const;

  private:
    FileDescriptor descriptor_;
};

/// Sends one packet from `inside` to `outside`, which is reached at `destination`, and tells which
/// source it shows there. Nothing if it does not arrive.
std::optional<SocketAddress> source_shown(const UdpSocket& inside, const UdpSocket& outside,
                                          const SocketAddress& destination,
                                          Duration limit = packet_limit);
/// The same, and back: nothing either if the answer to the source shown does not reach `inside`.
std::optional<SocketAddress> exchange(const UdpSocket& inside, const UdpSocket& outside,
                                      const SocketAddress& destination,
                                      Duration limit = packet_limit);

/// An established connection.
class TcpSocket {
  public:
    /// Connects from `local` to `remote`; nothing if that fails before the limit.
    static std::optional<TcpSocket> connect(const Namespace& where, const SocketAddress& local,
                                            const SocketAddress& remote,
                                            Duration limit = packet_limit);

    [[nodiscard]] SocketAddress local() const;
    [[nodiscard]] SocketAddress remote() const;
    /// Throws std::system_error.
    void send(std::string_view payload) const;
    /// What has come, once something has; nothing at the limit, "" at the end of the stream.
    [[nodiscard]] std::optional<std::string> receive(Duration limit = packet_limit) const;

  private:
    friend class TcpListener;
    explicit TcpSocket(FileDescriptor descriptor) : descriptor_(std::move(descriptor)) {}
    FileDescriptor descriptor_;
};

class TcpListener {
  public:
    TcpListener(const Namespace& where, const SocketAddress& local);
    explicit TcpListener(const Namespace& where, std::uint16_t port = 0)
        : TcpListener(where, any(port)) {}
    [[nodiscard]] SocketAddress local() const;
    [[nodiscard]] std::optional<TcpSocket> accept(Duration limit = packet_limit) const;

  private:
    FileDescriptor descriptor_;
};

}  // namespace porthole::lab
