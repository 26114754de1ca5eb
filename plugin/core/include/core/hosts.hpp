// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/leases.hpp"
#include "types/neighbour.hpp"
#include "types/reservation.hpp"

namespace porthole {

/// Which host has which address.
struct Whereabouts {
    /// The one IPv4 address that each host is reached at.
    std::map<MacAddress, Address> of;
    /// Whose each address is.
    std::map<Address, MacAddress> holders;
    /// All IPv6 addresses of hosts that have some, or had some so far.
    std::map<MacAddress, std::vector<Address>> ipv6_of = {};
    bool operator==(const Whereabouts&) const = default;
};

/// A host on a LAN.
struct Host {
    /// One of its addresses, and what is known about that.
    struct At {
        Address address;
        int link_index = 0;      ///< where the kernel's neighbour table has it; 0: it has not
        bool confirmed = false;  ///< it has answered there a moment ago
        bool leased = false;     ///< a DHCP server says so
        bool operator==(const At&) const = default;
    };
    static constexpr std::size_t most_addresses = 16;  ///< no more are listed
    std::string name;                                  ///< empty: not known
    int link_index = 0;                                ///< where it was seen last; 0: nowhere
    std::vector<At> addresses;                         ///< sorted by address
    Time last_seen = never;
};

/// The hosts on the LANs, put together from the neighbour table and the DHCP servers' leases.
class Hosts {
  public:
    /// No more are listed: neighbours go first, then who has a lease, then who was there last.
    static constexpr std::size_t capacity = 4096;

    /// Takes in what is there at `now`: neighbours on LANs only. Hosts that have gone stay, without
    /// addresses. True if anything but times has changed.
    bool update(std::span<const Neighbour> neighbours, std::span<const Lease> leases, Time now);

    /// Where each host is, if it is at `current` so far. It is only taken to be elsewhere when it
    /// has gone from there, or a DHCP server says so: of two addresses that are in use, a port can
    /// follow one only. Of IPv6 addresses it has as many as it likes: it keeps those that it is at
    /// so far, as long as nobody else has them and there is room. Addresses that `usable` does not
    /// hold for do not count.
    [[nodiscard]] Whereabouts locate(
        const std::map<MacAddress, Address>& current,
        const std::function<bool(const Address&)>& usable,
        const std::map<MacAddress, std::vector<Address>>& current_ipv6 = {}) const;
    /// Those of `current` that have to be asked whether they are still there, as their host shows
    /// up at another address; again after a while, if they neither answer nor go.
    [[nodiscard]] std::vector<LinkNeighbour> take_unasked(
        const std::map<MacAddress, Address>& current, Time now);

    [[nodiscard]] const std::map<MacAddress, Host>& all() const { return hosts_; }
    /// The name of the host that has this address, or this MAC address; empty: not known.
    [[nodiscard]] const std::string& name_of(const HostKey& key) const;

  private:
    using Remembered = std::map<MacAddress, Host>;
    Host* host_of(const MacAddress& mac, const Remembered& before);
    void take_neighbours(std::span<const Neighbour> neighbours, const Remembered& before, Time now);
    void take_leases(std::span<const Lease> leases, const Remembered& before);
    [[nodiscard]] std::vector<Address> ipv6_places(
        const MacAddress& mac, const std::vector<Address>& before,
        const std::function<bool(const Address&)>& usable) const;

    std::map<MacAddress, Host> hosts_;
    std::map<Address, MacAddress> holders_;
    std::map<LinkNeighbour, Time> asked_;
};

}  // namespace porthole
