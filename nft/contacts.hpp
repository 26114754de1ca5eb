// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <span>

#include "core/firewall.hpp"
#include "netlink/batch.hpp"
#include "netlink/connection.hpp"

namespace porthole::nft {

/// The contacts in the table, and how long each of them still lasts.
using KnownContacts = std::map<Contact, std::chrono::milliseconds>;

/// Asks the kernel for those in one of the sets of contacts; none where there is no table. Throws
/// KernelFailure.
KnownContacts list_contacts(netlink::Connection& connection, const char* set);

/// The batch after which all of `wanted`, as far as there is room, last for a good while; those of
/// which nobody knows whether they are gone before it arrives have to wait for the next one.
/// Nothing if there is nothing to do. `wanted` has no duplicates.
std::optional<netlink::FinalizedBatch> encode_renewal(std::span<const Contact> wanted,
                                                      const KnownContacts& known);

}  // namespace porthole::nft
