// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

namespace porthole::netlink {

/// What carries netlink messages: the kernel's socket, or a recording in a test.
class Transport {
  public:
    Transport() = default;
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;
    Transport(Transport&&) = delete;
    Transport& operator=(Transport&&) = delete;
    virtual ~Transport() = default;

    /// Hands one datagram of netlink messages to the kernel, which works on it before this returns.
    /// Throws std::system_error.
    virtual void send(std::span<const std::byte> datagram) = 0;
    /// Takes the next datagram without waiting for one; 0: there is none. Throws std::system_error:
    /// ENOBUFS if the kernel had to drop answers, EMSGSIZE if `buffer` is too small for this one.
    virtual std::size_t receive(std::span<std::byte> buffer) = 0;
    /// A buffer of this size takes whatever the kernel answers or announces to us: it makes no part
    /// of a dump longer than 32 KiB unless a single object is.
    static constexpr std::size_t max_datagram_bytes = 64UL * 1024;
    /// For poll(2).
    [[nodiscard]] virtual int descriptor() const = 0;
};

/// Room for any datagram. Only what is used of it takes memory.
class ReceiveBuffer {
  public:
    operator std::span<std::byte>() { return *bytes_; }  // NOLINT(google-explicit-constructor)
    void wipe() { explicit_bzero(bytes_->data(), bytes_->size()); }

  private:
    using Bytes = std::array<std::byte, Transport::max_datagram_bytes>;
    std::unique_ptr<Bytes> bytes_ = std::make_unique_for_overwrite<Bytes>();
};

}  // namespace porthole::netlink
