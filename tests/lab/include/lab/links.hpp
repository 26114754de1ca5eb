// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>

#include "lab/deadline.hpp"
#include "lab/namespace.hpp"

// Links, addresses and routes, by rtnetlink. Networks and addresses are written as in "192.0.2.1"
// and "192.0.2.0/24". Every function throws KernelFailure if the kernel refuses.
namespace porthole::lab {

/// One end of a cable.
struct Plug {
    const Namespace& where;
    std::string name;         ///< of the interface
    std::string bridge = {};  ///< the bridge that it is a port of, if any
};

/// A bridge that is up.
void add_bridge(const Namespace& where, const std::string& name);
/// A veth pair, each end made where it belongs, both up.
void add_cable(const Plug& one, const Plug& other);
/// Any other link that has no parameters, not up yet: "dummy", "wireguard", …
void add_link(const Namespace& where, const std::string& name, const std::string& kind);
void delete_link(const Namespace& where, const std::string& name);
/// Raises the link or takes it down.
void set_link(const Namespace& where, const std::string& name, bool up);

/// `address` with its prefix: "192.0.2.1/24".
void add_address(const Namespace& where, const std::string& link, std::string_view address);
void delete_address(const Namespace& where, const std::string& link, std::string_view address);

inline constexpr std::string_view everywhere = "0.0.0.0/0";
inline constexpr std::string_view everywhere_ipv6 = "::/0";

/// A route of the main table to the network `destination` through the router `via`.
void add_route(const Namespace& where, std::string_view destination, std::string_view via);
void delete_route(const Namespace& where, std::string_view destination, std::string_view via);

/// Waits until every Ethernet link that was raised can carry packets of both families: the kernel
/// raises carriers and bridge ports and admits IPv6 addresses in the background. Throws
/// std::runtime_error at the deadline.
void wait_for_links(const Namespace& where, const Deadline& deadline);

}  // namespace porthole::lab
