// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/peer_search.hpp"

namespace porthole {

/// Watches the peers of all tunnels that are up: finds those that have a name for an endpoint,
/// looks for those that cannot be reached wherever they may be, and stores where they are. The
/// kernel tells nobody of any of it, so it is asked from time to time.
class PeerWatch {
  public:
    /// `tunnels` have been started.
    PeerWatch(Tunnels& tunnels, Resolver& resolver,
              MonotonicClock clock = std::chrono::steady_clock::now);

    /// Does what is due. What fails is logged, and tried again.
    void work();
    /// For how long nothing is due but what the resolver has; nothing: until a tunnel changes.
    [[nodiscard]] std::optional<std::chrono::milliseconds> rest() const;

    /// Another one whenever peers of this tunnel were added, changed or removed, and when one was
    /// seen to have another state or endpoint.
    [[nodiscard]] std::uint64_t version(const InterfaceName& tunnel) const;
    /// One line for every peer whose name does not resolve.
    [[nodiscard]] std::vector<std::string> warnings() const;

  private:
    using Moment = PeerSearch::Moment;
    struct Peer {
        PeerSearch search;
        PeerState state;
        std::optional<Place> endpoint;
        bool failed = false;  ///< its last move
    };
    using Peers = std::map<PublicKey, Peer>;

    [[nodiscard]] Moment next() const;
    void take_answers(Moment now);
    void look(Moment now);
    void take_in(const InterfaceName& tunnel, const std::vector<PeerView>& views, Moment now,
                 std::vector<LearntEndpoint>& learnt);
    void search(Moment now);
    void remember(const std::vector<LearntEndpoint>& learnt, Moment now);

    Tunnels& tunnels_;
    Resolver& resolver_;
    MonotonicClock clock_;
    std::map<InterfaceName, Peers> peers_;
    std::map<InterfaceName, std::uint64_t> changes_;  ///< that were seen
    std::set<InterfaceName> unreadable_;
    std::optional<std::uint64_t> tunnels_version_;  ///< at the last look; nothing: there was none
    Moment looked_ = Moment::min();
    Moment next_ = Moment::max();
    Moment next_write_ = Moment::min();
};

}  // namespace porthole
