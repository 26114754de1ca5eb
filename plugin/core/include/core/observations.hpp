// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <set>
#include <vector>

#include "core/conflicts.hpp"
#include "core/reservations.hpp"
#include "core/settling.hpp"

namespace porthole {

/// What the looks at all flows say about the reservations.
class Observations {
  public:
    /// Takes in the newest look.
    void take(const Look& look, Time now);
    void take(Obstruction obstruction) { obstruction_ = std::move(obstruction); }
    /// Nothing stands against the reservations.
    [[nodiscard]] bool fine() const;
    /// Others' chains that drop what comes in for IPv6 hosts unless a rule accepts it, as far as
    /// they were asked for.
    [[nodiscard]] std::vector<std::string> chains_before_pinholes() const;
    /// The external ports that live flows use although they are claimed for others.
    [[nodiscard]] std::set<ProtocolPort> overloaded() const;
    /// Everything that keeps the promises from being kept: by the last looks, and by the
    /// reservations and the gateway's own ports themselves.
    [[nodiscard]] Conflicts::Findings findings(const Reservations& reservations, Time now) const;

  private:
    struct Corrected {
        Time since;
        Port used;
    };
    Obstruction obstruction_;
    std::vector<SparedFlow> spared_;           // found by the last look
    std::map<Sighting, Corrected> corrected_;  // owners who were wrong at every look since then
};

}  // namespace porthole
