// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "netlink/batch.hpp"
#include "skeleton.hpp"

namespace porthole::nft {

/// Appends the rules about what hosts send: who leaves from which port, and whom they contact.
void add_outbound_rules(netlink::Batch& batch, const Shape& shape);
/// Appends the rules about what comes for reserved ports, from outside and from hosts. They stand
/// behind those for what hosts send.
void add_inbound_rules(netlink::Batch& batch, const Shape& shape);

/// Appends the rules about IPv6 hosts, which are not translated; behind all others.
void add_pinhole_rules(netlink::Batch& batch, const Shape& shape);

}  // namespace porthole::nft
