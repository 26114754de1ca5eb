// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <optional>

#include "core/reservations.hpp"

namespace porthole {

/// The external ports whose last owners may have left contacts behind. A contact belongs to its
/// owner: whoever gets such a port must not be reached by them.
class FormerOwners {
  public:
    /// Whether this change gives somebody a port that another one has given up since, or does by
    /// this change.
    [[nodiscard]] bool are_succeeded(const ReservationDifference& change) const;
    /// Remembers which ports are given up by this change.
    void follow(const ReservationDifference& change);
    /// Nobody has left any contacts: they were all forgotten.
    void forget() { left_ = {}; }

    /// What contacts are made from: a port on all of the WANs' addresses, or on one of them, or on
    /// an IPv6 host's own.
    struct Outside {
        ProtocolPort port;
        std::optional<Address> address = std::nullopt;
        auto operator<=>(const Outside&) const = default;
    };

  private:
    struct Left {
        Endpoint endpoint;
        std::optional<MacAddress> mac;  // of the host that an automatic row was made for
    };
    std::map<Outside, Left> left_;
};

}  // namespace porthole
