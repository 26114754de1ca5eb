// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/firewall.hpp"

namespace porthole::nft {

/// A port that some mapping has, inside or outside.
struct UsedPort {
    Protocol protocol;
    Port port;
    auto operator<=>(const UsedPort&) const = default;
};

/// How many times mappings use each port: several hosts may have the same port inside.
class PortUse {
  public:
    PortUse() = default;
    explicit PortUse(const std::vector<Mapping>& mappings);

    /// Counts the mappings that go and come. Returns the ports that nobody uses any more and those
    /// that somebody uses from now on, sorted. The inverse takes it back.
    SetDifference<UsedPort> change(const SetDifference<Mapping>& mappings);
    /// All ports in use, sorted.
    [[nodiscard]] std::vector<UsedPort> used() const;

  private:
    std::uint32_t& count(const UsedPort& port);
    void add(const Mapping& mapping, std::uint32_t times);

    std::array<std::vector<std::uint32_t>, 2> counts_;  // tcp, udp; empty: none
};

}  // namespace porthole::nft
