// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "core/firewall.hpp"
#include "netlink/connection.hpp"

namespace porthole::nft {

/// The ports that packets were sent on for a while ago, and none of them got through, as one of the
/// sets has them. Throws KernelFailure.
std::vector<ProtocolPort> list_undelivered(netlink::Connection& connection, const char* set);

/// The pinholes that somebody was let in for a while ago, and nothing got through. Throws
/// KernelFailure.
std::vector<Endpoint> list_undelivered_pinholes(netlink::Connection& connection);

/// The base chains of other tables in the forward hook whose policy is to drop, as in
/// "inet fw4 forward"; those of families ip and ip6 see packets of that family only. Throws
/// KernelFailure.
std::vector<std::string> list_forward_policies(netlink::Connection& connection);

}  // namespace porthole::nft
