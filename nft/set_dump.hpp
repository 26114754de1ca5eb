// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>

#include "netlink/connection.hpp"

namespace porthole::nft {

/// An element of a set whose elements run out.
struct DumpedElement {
    std::span<const std::uint8_t> key;  ///< as the kernel compares it
    std::chrono::milliseconds expires;  ///< from now
};

/// Hands each element of a set of our table to `each`; none where there is no such set. `restart`:
/// the dump begins anew. Throws KernelFailure.
void dump_set(netlink::Connection& connection, const char* set,
              const std::function<void(const DumpedElement&)>& each,
              const std::function<void()>& restart);

}  // namespace porthole::nft
