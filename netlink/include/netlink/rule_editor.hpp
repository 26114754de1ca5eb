// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <vector>

#include "netlink/connection.hpp"
#include "netlink/interface_editor.hpp"
#include "types/routing_rule.hpp"

namespace porthole::netlink {

/// Changes the routing policy rules of the network namespace of the thread that makes this object.
class RuleEditor {
  public:
    RuleEditor();
    explicit RuleEditor(std::unique_ptr<Transport> transport);

    /// Makes these the rules that were given this way, which are told by their protocol number,
    /// `protocol`. They are asked in this order within each family, after the rules of others and
    /// before the one for the main table. Throws KernelFailure, with all as it was before.
    void set(const std::vector<RoutingRule>& wanted);

    static constexpr std::uint8_t protocol = InterfaceEditor::route_protocol;
    /// Those of one priority are asked in the order in which they came.
    static constexpr std::uint32_t priority = 32765;

  private:
    Connection connection_;
};

}  // namespace porthole::netlink
