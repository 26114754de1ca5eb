// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include <linux/netlink.h>

#include "netlink/transport.hpp"

namespace porthole::netlink {

/// The length of a message or attribute with the padding behind it.
constexpr std::size_t padded(std::size_t length) { return (length + 3) & ~std::size_t{3}; }

/// Hands each message of a datagram, which starts on a 4-byte boundary, to `each`. False: the
/// datagram ends within a message; the whole ones before it were handed over.
bool for_each_message(std::span<const std::byte> datagram,
                      const std::function<void(const nlmsghdr*)>& each);

/// Hands each message of every datagram that is there to `each`, without waiting for one. False:
/// the kernel had to drop some. Throws std::system_error.
bool receive_all(Transport& transport, std::span<std::byte> buffer,
                 const std::function<void(const nlmsghdr*)>& each);

/// The attributes of a message, or those nested in one of them. A view: the message must outlive
/// it. However broken the message is, nothing outside of it is read.
class Attributes {
  public:
    /// The attributes behind the `header_bytes` that the message's type has in front of them (for
    /// RTM_NEWLINK, an ifinfomsg). Nothing if the message is cut short or an attribute is.
    static std::optional<Attributes> of(const nlmsghdr* message, std::size_t header_bytes);
    /// Attributes that start on a 4-byte boundary. Nothing if one of them is cut short.
    static std::optional<Attributes> parse(std::span<const std::byte> bytes);

    /// The payload of the first attribute of this type; nothing if there is none.
    [[nodiscard]] std::optional<std::span<const std::byte>> payload(std::uint16_t type) const;
    /// Numbers in host byte order; nothing if there is none of this size.
    [[nodiscard]] std::optional<std::uint8_t> u8(std::uint16_t type) const;
    [[nodiscard]] std::optional<std::uint16_t> u16(std::uint16_t type) const;
    [[nodiscard]] std::optional<std::uint32_t> u32(std::uint16_t type) const;
    [[nodiscard]] std::optional<std::uint64_t> u64(std::uint16_t type) const;
    /// The text up to its terminator, if it has one; empty if there is none.
    [[nodiscard]] std::string_view text(std::uint16_t type) const;
    /// The attributes within; nothing if there is no such attribute or one in it is cut short.
    [[nodiscard]] std::optional<Attributes> nested(std::uint16_t type) const;
    /// Hands what is nested in each attribute, whatever its type, to `each`: a list. False as soon
    /// as one in it is cut short, or `each` says so.
    bool for_each_nested(const std::function<bool(const Attributes&)>& each) const;

  private:
    explicit Attributes(std::span<const std::byte> bytes) : bytes_(bytes) {}
    std::span<const std::byte> bytes_;
};

}  // namespace porthole::netlink
