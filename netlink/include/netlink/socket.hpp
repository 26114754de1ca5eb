// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include <libmnl/libmnl.h>

#include "netlink/transport.hpp"

namespace porthole::netlink {

/// A netlink socket of the calling thread's network namespace: non-blocking, close-on-exec, with
/// extended acknowledgements, and buffers that take 65,536 set elements in one batch.
class Socket : public Transport {
  public:
    /// `bus`: NETLINK_ROUTE, NETLINK_NETFILTER, …; `groups`: multicast groups to join, by number.
    /// Throws std::system_error.
    explicit Socket(int bus, std::span<const unsigned> groups = {});

    void send(std::span<const std::byte> datagram) override;
    std::size_t receive(std::span<std::byte> buffer) override;
    [[nodiscard]] int descriptor() const override;
    /// The address that the kernel knows this socket by; it is in the notifications of what is
    /// done through it.
    [[nodiscard]] std::uint32_t port_id() const { return mnl_socket_get_portid(socket_.get()); }
    /// Joins a multicast group, by number, or leaves it; what has arrived stays.
    /// Throws std::system_error.
    void join(unsigned group);
    void leave(unsigned group);
    /// Leaves out notifications of what was done through the socket with this port: they neither
    /// wake anybody nor fill the buffer. Throws std::system_error.
    void ignore_changes_of(std::uint32_t port_id);

  private:
    struct Close {
        void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
    };
    std::unique_ptr<mnl_socket, Close> socket_;
};

}  // namespace porthole::netlink
