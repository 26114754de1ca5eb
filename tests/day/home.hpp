// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lab/namespace.hpp"
#include "lab/porthole.hpp"

namespace porthole::day {

/// What stands behind one element of the set `contacts`.
struct Contact {
    std::string remote;
    std::uint16_t external_port;
    auto operator<=>(const Contact&) const = default;
};

/// How full a set of our table is.
struct Fill {
    std::size_t elements = 0;
    std::optional<std::size_t> size;  ///< nothing: without a bound
};

/// A gateway with Porthole on a bridge that stands for the internet, and a LAN behind it.
class Home {
  public:
    Home();

    /// Connects a host to the LAN; `number`: from 1 on.
    void add_host(const lab::Namespace& host, unsigned number);
    void unplug(unsigned number) const;
    void plug_in(unsigned number) const;
    static std::string host_address(unsigned number);

    /// Reserves host's `internal` port.
    void reserve(unsigned number, std::uint16_t internal, std::uint16_t external,
                 const std::string& filtering) const;

    /// As a provider does it that lets nobody keep an address: the old one goes first.
    void change_wan_address();
    [[nodiscard]] std::string wan_address() const;

    /// Whether our table has these contacts.
    [[nodiscard]] bool has(const std::set<Contact>& contacts) const;
    /// The sets of our table, by name.
    [[nodiscard]] std::map<std::string, Fill> sets() const;
    /// The remotes and external ports of the flows that conntrack holds and that both sides have
    /// sent in.
    [[nodiscard]] std::set<Contact> live_flows() const;

    [[nodiscard]] const lab::Namespace& internet() const { return internet_; }
    static constexpr auto* internet_address = "203.0.113.254";

  private:
    lab::Namespace internet_{"internet"};
    lab::Namespace gateway_{"gateway"};
    unsigned address_ = 1;
    std::optional<lab::Porthole> porthole_;
};

}  // namespace porthole::day
