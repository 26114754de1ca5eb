// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "types/host_key.hpp"
#include "types/reservation.hpp"

namespace porthole {

/// An address that a DHCP server has given to a host.
struct Lease {
    Address address;
    std::optional<MacAddress> mac;  ///< nothing: not known (DHCPv6 knows hosts by their DUID)
    std::string name;  ///< as the host calls itself; empty: not known or not a host name
    bool operator==(const Lease&) const = default;
};

/// The leases of a lease file that are in force at `now`; one for each address, the last one that
/// the file has, sorted by address. The format is told by the content: dnsmasq, odhcpd, ISC dhcpd
/// or Kea (memfile). Lines that make no sense are passed over, and so is a last line or block
/// without an end: it is being written.
std::vector<Lease> parse_leases(std::string_view text, Time now);

}  // namespace porthole
