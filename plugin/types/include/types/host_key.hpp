// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <variant>

#include "types/address.hpp"

namespace porthole {

/// A unicast Ethernet address.
class MacAddress {
  public:
    /// Nothing for the zero address and for group addresses.
    static std::optional<MacAddress> from(const std::array<std::uint8_t, 6>& bytes);
    [[nodiscard]] const std::array<std::uint8_t, 6>& bytes() const { return bytes_; }
    auto operator<=>(const MacAddress&) const = default;

  private:
    explicit MacAddress(const std::array<std::uint8_t, 6>& bytes) : bytes_(bytes) {}
    std::array<std::uint8_t, 6> bytes_;
};

/// What a host is known by: an address, or a MAC address that is followed as its addresses change.
using HostKey = std::variant<Address, MacAddress>;

template <>
struct TextForm<MacAddress> {
    static constexpr std::string_view allowed = "a unicast MAC address like \"02:00:5e:10:00:01\"";
    static std::optional<MacAddress> parse(std::string_view text);
    static std::string format(const MacAddress& mac);
};

template <>
struct TextForm<HostKey> {
    static constexpr std::string_view allowed =
        "the unicast IPv4, IPv6 or MAC address of a host on a LAN";
    static std::optional<HostKey> parse(std::string_view text);
    static std::string format(const HostKey& key);
};

}  // namespace porthole
