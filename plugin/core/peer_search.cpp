// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/peer_search.hpp"

#include <algorithm>
#include <utility>

namespace porthole {

using std::chrono::seconds;

namespace {

// Who began the session asks for the next one after 120 s, and again every five seconds.
constexpr seconds overdue{135};
// Two attempts at a handshake.
constexpr seconds time_for_a_place{12};
constexpr seconds first_pause{2};
constexpr seconds longest_pause{60};

}  // namespace

PeerSearch::PeerSearch(std::optional<EndpointSetting> setting, bool at_once, Moment now)
    : setting_(std::move(setting)),
      at_once_(at_once),
      ask_(now),
      pause_(first_pause),
      since_(now) {}

void PeerSearch::look(const PeerView& peer, Moment now) {
    if (std::exchange(current_, peer.endpoint) != peer.endpoint) {
        since_ = now;
        moved_ = false;
    }
    if (peer.handshake_age && now - *peer.handshake_age > since_) moved_ = false;
    if (std::exchange(received_, peer.received_bytes) < peer.received_bytes) heard_ = now;
    if (std::exchange(sent_, peer.sent_bytes) < peer.sent_bytes) spoke_ = now;
    const seconds keepalive = peer.settings.keepalive;
    const bool tried = keepalive.count() != 0 || spoke_ + time_for_a_place > now;
    learnt_ = peer.learnt;
    silence_ = std::clamp(2 * keepalive, time_for_a_place, longest_pause);
    overdue_.reset();
    if (peer.handshake_age) overdue_ = now + overdue - *peer.handshake_age;
    if (overdue_ && *overdue_ < now) overdue_.reset();
    const bool was_lost = std::exchange(lost_, !overdue_ && (tried || !current_));
    if (overdue_ && failure_.empty()) pause_ = first_pause;
    if (lost_ && !was_lost && known_) ask_ = now;
}

void PeerSearch::answered(const Resolution& resolution, Moment now) {
    if (name() == nullptr || name()->host != resolution.host) return;
    asked_ = false;
    known_ = true;
    failure_ = resolution.failure;
    if (failure_.empty()) {
        found_.clear();
        for (const auto& address : resolution.addresses) {
            found_.push_back({address, name()->port});
        }
    }
    ask_ = now + pause_;
    pause_ = std::min(2 * pause_, longest_pause);
}

std::optional<std::string> PeerSearch::take_question(Moment now) {
    if (!has_question() || now < ask_) return std::nullopt;
    asked_ = true;
    return name()->host;
}

std::optional<Place> PeerSearch::take_move(Moment now) {
    const auto all = places();
    if (asked_ || all.empty()) return std::nullopt;
    const bool insist = !found_.empty() && std::exchange(at_once_, false) &&
                        std::find(found_.begin(), found_.end(), current_) == found_.end();
    if (!insist && (!lost_ || now < tried_until())) return std::nullopt;
    const auto here = std::find(all.begin(), all.end(), current_);
    const auto next = here == all.end() || here + 1 == all.end() ? all.begin() : here + 1;
    if (current_ == *next) return std::nullopt;
    current_ = *next;
    since_ = now;
    moved_ = true;
    return current_;
}

PeerSearch::Moment PeerSearch::due() const {
    auto due = Moment::max();
    if (has_question()) due = ask_;
    if (overdue_ && setting_) due = std::min(due, *overdue_ + std::chrono::milliseconds(1));
    if (lost_ && !asked_ && places().size() > 1) due = std::min(due, tried_until());
    return due;
}

const NamedPlace* PeerSearch::name() const {
    return setting_ ? std::get_if<NamedPlace>(&*setting_) : nullptr;
}

bool PeerSearch::has_question() const {
    return name() != nullptr && !asked_ && (!known_ || lost_ || !failure_.empty());
}

// Where it was last comes after where it was said to be.
std::vector<Place> PeerSearch::places() const {
    auto places = found_;
    if (setting_ && name() == nullptr) places.push_back(std::get<Place>(*setting_));
    if (learnt_ && std::ranges::find(places, *learnt_) == places.end()) places.push_back(*learnt_);
    return places;
}

// A link-local address says nothing without its link.
bool PeerSearch::is_certain() const {
    return overdue_ && !moved_ && current_ && !current_->address.is_link_local();
}

PeerSearch::Moment PeerSearch::tried_until() const {
    if (!current_) return since_;
    return std::max(since_ + time_for_a_place, heard_ + silence_);
}

}  // namespace porthole
