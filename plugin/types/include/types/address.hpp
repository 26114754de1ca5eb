// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>

#include "types/text.hpp"

namespace porthole {

enum class Family : std::uint8_t { ipv4 = 4, ipv6 = 6 };

/// An IPv4 or IPv6 address without a zone.
class Address {
  public:
    /// `value` in host byte order.
    static Address v4(std::uint32_t value);
    /// `bytes` as on the wire: 4 or 16 of them, nothing otherwise.
    static std::optional<Address> from_bytes(std::span<const std::uint8_t> bytes);

    [[nodiscard]] Family family() const { return family_; }
    /// The bytes as on the wire: 4 for IPv4, 16 for IPv6.
    [[nodiscard]] std::span<const std::uint8_t> bytes() const {
        return std::span(bytes_).first(family_ == Family::ipv4 ? 4 : 16);
    }
    /// The IPv4 address in host byte order; 0 for IPv6.
    [[nodiscard]] std::uint32_t v4_value() const;
    /// Neither unspecified, loopback, multicast, broadcast nor IPv4-mapped: a host can have it.
    [[nodiscard]] bool is_unicast() const;
    /// Within 100.64/10 (RFC 6598): behind the NAT of a carrier.
    [[nodiscard]] bool is_carrier_grade() const;
    /// Within 169.254/16 (RFC 3927) or fe80::/10 (RFC 4291): of one link only.
    [[nodiscard]] bool is_link_local() const;

    auto operator<=>(const Address&) const = default;

  private:
    Address(Family family, std::span<const std::uint8_t> bytes);
    Family family_;
    std::array<std::uint8_t, 16> bytes_{};
};

/// An address prefix. The bits behind the prefix are zero.
class Network {
  public:
    /// Nothing if `prefix_length` is longer than the address or bits behind it are set.
    static std::optional<Network> from(const Address& address, unsigned prefix_length);
    /// The network of an interface address: the bits behind the prefix are cleared.
    static std::optional<Network> around(const Address& address, unsigned prefix_length);

    [[nodiscard]] const Address& address() const { return address_; }
    [[nodiscard]] unsigned prefix_length() const { return prefix_length_; }
    /// The last address of the prefix; for an IPv4 subnet, its directed broadcast.
    [[nodiscard]] Address last() const;
    [[nodiscard]] bool contains(const Address& address) const;
    [[nodiscard]] bool contains(const Network& other) const;
    /// Within 10/8, 172.16/12, 192.168/16 (RFC 1918) or fc00::/7 (RFC 4193).
    [[nodiscard]] bool is_private() const;

    auto operator<=>(const Network&) const = default;

  private:
    Network(const Address& address, unsigned prefix_length)
        : address_(address), prefix_length_(prefix_length) {}
    Address address_;
    unsigned prefix_length_;
};

template <>
struct TextForm<Address> {
    static constexpr std::string_view allowed = "an IPv4 or IPv6 address";
    static std::optional<Address> parse(std::string_view text);
    static std::string format(const Address& address);
};

template <>
struct TextForm<Network> {
    static constexpr std::string_view allowed =
        "a network like \"192.168.2.0/24\" with no bits set behind its prefix";
    static std::optional<Network> parse(std::string_view text);
    static std::string format(const Network& network);
};

}  // namespace porthole
