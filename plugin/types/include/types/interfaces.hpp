// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

#include "types/address.hpp"

namespace porthole {

/// The name of a network interface, as the kernel accepts it (dev_valid_name in net/core/dev.c).
class InterfaceName {
  public:
    [[nodiscard]] const std::string& text() const { return text_; }
    auto operator<=>(const InterfaceName&) const = default;

  private:
    friend struct TextForm<InterfaceName>;
    explicit InterfaceName(std::string_view text) : text_(text) {}
    std::string text_;
};

template <>
struct TextForm<InterfaceName> {
    static constexpr std::string_view allowed =
        "an interface name of 1 to 15 characters without spaces, '/' or ':'";
    static std::optional<InterfaceName> parse(std::string_view text);
    static std::string format(const InterfaceName& name);
};

/// What a link is at the bottom, as far as the choice of WAN and LAN depends on it.
enum class LinkLayer : std::uint8_t { ethernet, point_to_point, loopback, other };

/// A network interface as rtnetlink reports it.
struct Link {
    int index = 0;
    InterfaceName name;
    LinkLayer layer = LinkLayer::other;
    std::string kind;  ///< IFLA_INFO_KIND ("wireguard", "bridge", …); empty for hardware
    bool up = false;   ///< administratively up and with carrier
    bool operator==(const Link&) const = default;
};

/// An address of an interface.
struct LinkAddress {
    int link_index = 0;
    Address address;
    unsigned prefix_length = 0;
    bool operator==(const LinkAddress&) const = default;
};

/// A default route of the main table; one for each of its next hops.
struct DefaultRoute {
    int link_index = 0;
    Family family = Family::ipv4;
    std::uint32_t metric = 0;
    bool operator==(const DefaultRoute&) const = default;
};

/// What rtnetlink said about the gateway's interfaces at one moment.
struct InterfaceSnapshot {
    std::vector<Link> links;
    std::vector<LinkAddress> addresses;
    std::vector<DefaultRoute> default_routes;
    bool operator==(const InterfaceSnapshot&) const = default;
};

}  // namespace porthole
