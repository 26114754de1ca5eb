// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>

#include "gateway.hpp"
#include "raw.hpp"
#include "table.hpp"

namespace porthole::bench {

/// What one reservation cannot do without, each part in its shortest form, one after the other: a
/// call over the bus, a commit, a transaction of nf_tables.
class ReserveFloor {
  public:
    /// The calls go to `service`.
    explicit ReserveFloor(Service& service);
    /// One round.
    void measure(std::size_t times);

    Rounds sum;
    std::array<Rounds, 3> parts;

  private:
    Service& service_;
    Site site_;
    RawNetlink kernel_;
    RawDatabase database_;
};

}  // namespace porthole::bench
