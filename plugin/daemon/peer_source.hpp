// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/event_loop.hpp"
#include "core/peer_watch.hpp"

namespace porthole {

/// Has the peers of tunnels looked after: when it is time to, and when names have been resolved.
/// Comes behind whatever changes tunnels.
class PeerSource : public EventSource {
  public:
    PeerSource(PeerWatch& watch, Resolver& resolver) : watch_(watch), resolver_(resolver) {}

    Interest prepare() override;
    void dispatch() override { watch_.work(); }

  private:
    PeerWatch& watch_;
    Resolver& resolver_;
};

}  // namespace porthole
