// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "netlink/connection.hpp"
#include "types/interfaces.hpp"
#include "types/tunnel.hpp"

namespace porthole::netlink {

/// A route through an interface to whoever is there.
struct LinkRoute {
    Network destination;
    std::uint32_t table = 254;  ///< RT_TABLE_MAIN
    auto operator<=>(const LinkRoute&) const = default;
};

/// The same with its metric.
struct OwnRoute {
    LinkRoute route;
    std::uint32_t metric = 0;
    auto operator<=>(const OwnRoute&) const = default;
};

/// Makes interfaces and changes them, in the network namespace of the thread that makes this
/// object. Everything throws KernelFailure.
class InterfaceEditor {
  public:
    InterfaceEditor();
    explicit InterfaceEditor(std::unique_ptr<Transport> transport);

    /// `kind`: as in IFLA_INFO_KIND, "wireguard". EEXIST if there is one of that name, EOPNOTSUPP
    /// if the kernel has none of this kind. It is down, and in the group `own_group` from its first
    /// moment on, so that udev can tell whose it is.
    void create(const InterfaceName& name, std::string_view kind);
    void remove(const InterfaceName& name);
    /// ENODEV if there is none.
    [[nodiscard]] Link find(const InterfaceName& name);
    /// A text that says whose it is, for programs and people (IFLA_IFALIAS).
    void set_alias(const InterfaceName& name, std::string_view alias);
    /// All of this kind that have this alias.
    [[nodiscard]] std::vector<InterfaceName> with_alias(std::string_view kind,
                                                        std::string_view alias);
    void set_mtu(const InterfaceName& name, std::uint32_t bytes);
    void set_up(const InterfaceName& name, bool up);

    /// Gives the interface these addresses and takes all others from it, but for link-local IPv6
    /// ones, which come and go by themselves.
    void set_addresses(const InterfaceName& name, const std::vector<InterfaceAddress>& wanted);
    /// Gives the interface, which must be up, these routes with this metric, and takes all others
    /// from it that were given this way: they are told by their protocol number, `route_protocol`.
    void set_routes(const InterfaceName& name, const std::vector<LinkRoute>& wanted,
                    std::uint32_t metric);
    static constexpr std::uint8_t route_protocol = 87;
    static constexpr std::uint32_t own_group = 87;  ///< as in systemd/70-porthole.rules
    /// Takes some such routes away and adds others, all of this metric; where the kernel refuses
    /// one, those that were done before it are taken back. It does not matter if one of `gone` is
    /// gone already.
    void change_routes(const InterfaceName& name, const std::vector<LinkRoute>& gone,
                       const std::vector<LinkRoute>& come, std::uint32_t metric);

  private:
    std::vector<InterfaceAddress> addresses_of(int index);
    void change_routes(const InterfaceName& name, int index, const std::vector<OwnRoute>& gone,
                       const std::vector<OwnRoute>& come);
    Connection connection_;
};

}  // namespace porthole::netlink
