// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "types/address.hpp"

namespace porthole {

/// What was found out about the name of a host.
struct Resolution {
    std::string host;
    std::vector<Address> addresses;  ///< each once, in the order in which they are to be tried
    std::string failure;             ///< why there are none, in words; empty: there are some
};

/// Finds the addresses of hosts, of both families. Nothing waits for an answer.
class Resolver {
  public:
    Resolver() = default;
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;
    Resolver(Resolver&&) = delete;
    Resolver& operator=(Resolver&&) = delete;
    virtual ~Resolver() = default;

    /// Asks, and returns at once. While a host is being asked for, asking again changes nothing.
    virtual void resolve(const std::string& host) = 0;
    /// Readable when there is something for take() to do: for poll(2).
    [[nodiscard]] virtual int descriptor() const = 0;
    /// After this time there is, too; nothing: not by itself.
    [[nodiscard]] virtual std::optional<std::chrono::milliseconds> timeout() const = 0;
    /// What has been found out since the last call. Every question comes to an end, with addresses
    /// or with a failure.
    [[nodiscard]] virtual std::vector<Resolution> take() = 0;
};

}  // namespace porthole
