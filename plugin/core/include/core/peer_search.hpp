// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "core/resolver.hpp"
#include "core/tunnels.hpp"

namespace porthole {

/// The search for one peer: which name is to be asked for when, and where the peer is to be tried.
/// It only decides; whoever has it asks and moves the peer.
class PeerSearch {
  public:
    using Moment = std::chrono::steady_clock::time_point;

    /// From now on, for a peer that was said to be at `setting`. With `at_once` somebody has just
    /// said so: it is looked for there even if it has a session elsewhere.
    PeerSearch(std::optional<EndpointSetting> setting, bool at_once, Moment now);

    [[nodiscard]] const std::optional<EndpointSetting>& setting() const { return setting_; }
    /// Takes in how it stands with the peer.
    void look(const PeerView& peer, Moment now);
    /// Takes in an answer, of whatever host.
    void answered(const Resolution& resolution, Moment now);

    /// The host that is to be asked for now. Then it waits for the answer.
    std::optional<std::string> take_question(Moment now);
    /// Where the kernel is to send to now, other than it does.
    std::optional<Place> take_move(Moment now);
    /// When one of the two may have something.
    [[nodiscard]] Moment due() const;
    /// It was where the kernel sends to when it was last heard of, and that is not long ago.
    [[nodiscard]] bool is_certain() const;
    /// Why its name does not resolve; empty: it does, or is being asked for the first time.
    [[nodiscard]] const std::string& failure() const { return failure_; }

  private:
    [[nodiscard]] const NamedPlace* name() const;
    [[nodiscard]] bool has_question() const;
    [[nodiscard]] std::vector<Place> places() const;
    [[nodiscard]] Moment tried_until() const;

    std::optional<EndpointSetting> setting_;
    bool at_once_;
    bool asked_ = false;  ///< and not answered yet
    bool known_ = false;  ///< it was answered once
    std::string failure_;
    std::vector<Place> found_;  ///< where its name says that it is
    Moment ask_;                ///< not before
    std::chrono::seconds pause_;
    bool lost_ = false;              ///< there is no session, or there soon will be none
    std::optional<Moment> overdue_;  ///< from when on the next handshake is; nothing: it is
    std::optional<Place> current_;   ///< where the kernel sends to
    Moment since_;                   ///< when it does
    bool moved_ = false;             ///< it is there by take_move(), and was not heard of since
    std::optional<Place> learnt_;
    Moment heard_ = Moment::min();  ///< from the peer, last
    Moment spoke_ = Moment::min();  ///< to the peer, last
    std::uint64_t received_ = 0;
    std::uint64_t sent_ = 0;
    std::chrono::seconds silence_{0};  ///< that says nothing yet
};

}  // namespace porthole
