// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/firewall.hpp"

namespace porthole {

/// What has changed in the kernel's rules, and what flows have to agree with from now on.
struct SettleOrder {
    /// Grows from order to order.
    std::uint64_t ticket = 0;
    /// Mappings that came and went. Flows of mappings that are not named stay as they are.
    SetDifference<Mapping> mappings;
    /// Where the NAT applies, from this order on.
    Scope scope;
};

/// What has become of orders.
struct SettleReport {
    /// This order and all before it are done.
    std::uint64_t ticket = 0;
    std::size_t deleted = 0;  ///< flows that contradicted the mappings
    std::string failure;      ///< empty: none; else flows may still contradict them
    /// Live flows that were left alone on the gateway's own ports, as no flow of the gateway's was
    /// in their way.
    std::size_t overloads = 0;
};

/// Deletes the flows in conntrack that contradict the mappings, so that their next packets are
/// translated anew. Works on its own, without holding up the caller.
class Settler {
  public:
    Settler() = default;
    Settler(const Settler&) = delete;
    Settler& operator=(const Settler&) = delete;
    Settler(Settler&&) = delete;
    Settler& operator=(Settler&&) = delete;
    virtual ~Settler() = default;

    /// Takes an order and returns at once. Orders that wait are done together.
    virtual void settle(SettleOrder order) = 0;
    /// Readable when there is a report: for poll(2).
    [[nodiscard]] virtual int descriptor() const = 0;
    /// The newest report; nothing if there is none since the last call.
    [[nodiscard]] virtual std::optional<SettleReport> take_report() = 0;
};

}  // namespace porthole
