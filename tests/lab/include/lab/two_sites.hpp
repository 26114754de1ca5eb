// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string_view>

#include "lab/namespace.hpp"

namespace porthole::lab {

/// The addresses of TwoSites.
namespace address {
inline constexpr std::string_view a1 = "192.168.2.2";
inline constexpr std::string_view a2 = "192.168.2.3";
inline constexpr std::string_view b1 = "192.168.3.2";
inline constexpr std::string_view a_lan = "192.168.2.1";
inline constexpr std::string_view b_lan = "192.168.3.1";
inline constexpr std::string_view a_wan = "203.0.113.1";
inline constexpr std::string_view b_wan = "203.0.113.2";
inline constexpr std::string_view outside = "203.0.113.9";
inline constexpr std::string_view internet = "203.0.113.254";
inline constexpr std::string_view routed = "198.51.100.2";
}  // namespace address

/// The IPv6 addresses of TwoSites once add_ipv6() was called: all global, none translated.
namespace address6 {
inline constexpr std::string_view a1 = "2001:db8:2::2";
inline constexpr std::string_view a2 = "2001:db8:2::3";
inline constexpr std::string_view b1 = "2001:db8:3::2";
inline constexpr std::string_view a_lan = "2001:db8:2::1";
inline constexpr std::string_view b_lan = "2001:db8:3::1";
inline constexpr std::string_view a_wan = "2001:db8:1::1";
inline constexpr std::string_view b_wan = "2001:db8:1::2";
inline constexpr std::string_view outside = "2001:db8:1::9";
inline constexpr std::string_view internet = "2001:db8:1::254";
}  // namespace address6

/// Two sites and a public host on one WAN. Gateways forward, but have no rules of any kind yet.
///
///     a1 eth0 ──┐
///               ├─ lan  gateway_a  wan ──┐
///     a2 eth0 ──┘                        │
///                                        ├─ internet (a bridge, the default router)
///     b1 eth0 ──── lan  gateway_b  wan ──┤
///                                        │
///                       outside eth0 ────┘
///
/// Each `lan` is a bridge in its gateway, with a port named after each host.
struct TwoSites {
    TwoSites();

    /// A host with the public address address::routed on the LAN of gateway A, reached through A
    /// by a route, without NAT.
    [[nodiscard]] Namespace add_routed_host() const;
    /// Gives everybody the addresses of address6, with routes between all of them.
    void add_ipv6() const;

    Namespace internet{"internet"};
    Namespace outside{"outside"};
    Namespace gateway_a{"gateway A"};
    Namespace gateway_b{"gateway B"};
    Namespace a1{"a1"};
    Namespace a2{"a2"};
    Namespace b1{"b1"};

  private:
    void wait_for_all_links() const;
};

/// What a gateway's own packet filter does with packets for itself that come from the WAN.
enum class InputPolicy { accept, drop };

/// Makes a gateway the kind that everybody has: a table "stock" that masquerades what leaves `wan`
/// from private addresses and, with InputPolicy::drop, drops what comes in there unsolicited.
void masquerade(const Namespace& gateway, InputPolicy input);

}  // namespace porthole::lab
