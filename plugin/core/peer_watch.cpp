// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/peer_watch.hpp"

#include <algorithm>
#include <utility>

#include "core/log.hpp"

namespace porthole {
namespace {

constexpr std::chrono::seconds fast{1};  // while a handshake is waited for
constexpr std::chrono::seconds slow{10};
constexpr std::chrono::minutes between_writes{1};  // each wears flash memory out

// Where a peer is that was not said to be there; nothing: where it was.
std::optional<Place> learnt_of(const PeerView& peer) {
    const auto& said = peer.settings.endpoint;
    const auto* place = said ? std::get_if<Place>(&*said) : nullptr;
    return place != nullptr && peer.endpoint == *place ? std::nullopt : peer.endpoint;
}

const PublicKey& key_of(const PeerView& peer) { return peer.settings.public_key; }

std::string sought(const InterfaceName& tunnel, const PublicKey& key, const PeerSearch& search) {
    return "tunnel " + to_text(tunnel) + " does not find peer " + to_text(key) + " at " +
           to_text(*search.setting()) + ": " + search.failure();
}

}  // namespace

PeerWatch::PeerWatch(Tunnels& tunnels, Resolver& resolver, MonotonicClock clock)
    : tunnels_(tunnels), resolver_(resolver), clock_(std::move(clock)) {}

void PeerWatch::work() {
    const auto now = clock_();
    take_answers(now);
    if (next() <= now) look(now);
    search(now);
}

std::optional<std::chrono::milliseconds> PeerWatch::rest() const {
    const auto due = next();
    if (due == Moment::max()) return std::nullopt;
    const auto now = clock_();
    if (due <= now) return std::chrono::milliseconds(0);
    return std::chrono::ceil<std::chrono::milliseconds>(due - now);
}

std::uint64_t PeerWatch::version(const InterfaceName& tunnel) const {
    const auto seen = changes_.find(tunnel);
    return tunnels_.version(tunnel) + (seen == changes_.end() ? 0 : seen->second);
}

std::vector<std::string> PeerWatch::warnings() const {
    std::vector<std::string> lines;
    for (const auto& [tunnel, peers] : peers_) {
        for (const auto& [key, peer] : peers) {
            if (!peer.search.failure().empty()) lines.push_back(sought(tunnel, key, peer.search));
        }
    }
    return lines;
}

// Many changes one after the other are looked at together.
PeerWatch::Moment PeerWatch::next() const {
    return tunnels_version_ == tunnels_.version() ? next_ : std::min(next_, looked_ + fast);
}

void PeerWatch::take_answers(Moment now) {
    for (const auto& resolution : resolver_.take()) {
        for (auto& [tunnel, peers] : peers_) {
            for (auto& [key, peer] : peers) {
                const bool failed = !peer.search.failure().empty();
                peer.search.answered(resolution, now);
                if (failed || peer.search.failure().empty()) continue;
                log::warning("name-unresolved", "{}", sought(tunnel, key, peer.search));
            }
        }
    }
}

void PeerWatch::look(Moment now) {
    const auto is_watched = [this](const InterfaceName& name) {
        const auto tunnel = tunnels_.all().find(name);
        return tunnel != tunnels_.all().end() && !tunnel->second.settings.peers.empty() &&
               tunnels_.is_up(name);
    };
    std::erase_if(peers_, [&](const auto& tunnel) { return !is_watched(tunnel.first); });
    std::vector<LearntEndpoint> learnt;
    bool waiting = false;
    for (const auto& [name, tunnel] : tunnels_.all()) {
        if (!is_watched(name)) continue;
        try {
            const auto views = tunnels_.peers(name);
            take_in(name, views, now, learnt);
            unreadable_.erase(name);
            waiting = waiting || std::ranges::any_of(views, [](const auto& peer) {
                          return peer.state == PeerState::handshaking;
                      });
        } catch (const Error& error) {
            if (unreadable_.insert(name).second) {
                log::error("peers-unread", "{}: {}", to_text(name), error.what());
            }
        }
    }
    remember(learnt, now);
    tunnels_version_ = tunnels_.version();
    looked_ = now;
    next_ = peers_.empty() ? Moment::max() : now + (waiting ? fast : slow);
}

void PeerWatch::take_in(const InterfaceName& tunnel, const std::vector<PeerView>& views, Moment now,
                        std::vector<LearntEndpoint>& learnt) {
    auto& peers = peers_[tunnel];
    std::erase_if(peers, [&](const auto& peer) {
        return !std::ranges::binary_search(views, peer.first, {}, key_of);
    });
    bool changed = false;
    for (const auto& view : views) {
        const auto& key = key_of(view);
        const auto& setting = view.settings.endpoint;
        auto known = peers.find(key);
        const bool is_new = known == peers.end();
        if (is_new || known->second.search.setting() != setting) {
            PeerSearch search(setting, tunnels_version_.has_value(), now);
            known = peers.insert_or_assign(key, Peer{std::move(search), {}, {}}).first;
        }
        auto& peer = known->second;
        peer.search.look(view, now);
        const bool other_state = std::exchange(peer.state, view.state) != view.state;
        const bool other_endpoint = std::exchange(peer.endpoint, view.endpoint) != view.endpoint;
        changed = changed || (!is_new && (other_state || other_endpoint));
        const auto place = learnt_of(view);
        if (peer.search.is_certain() && place != view.learnt)
            learnt.push_back({tunnel, key, place});
    }
    if (changed) ++changes_[tunnel];
}

void PeerWatch::search(Moment now) {
    for (auto& [tunnel, peers] : peers_) {
        if (!tunnels_.all().contains(tunnel)) continue;
        for (auto& [key, peer] : peers) {
            if (const auto host = peer.search.take_question(now)) resolver_.resolve(*host);
            if (const auto place = peer.search.take_move(now)) {
                try {
                    tunnels_.move_peer(tunnel, key, *place);
                    peer.failed = false;
                } catch (const Error& error) {
                    if (!std::exchange(peer.failed, true)) {
                        log::error("move-failed", "{}: {}", to_text(tunnel), error.what());
                    }
                }
                next_ = std::min(next_, now + fast);
            }
            next_ = std::min(next_, peer.search.due());
        }
    }
}

void PeerWatch::remember(const std::vector<LearntEndpoint>& learnt, Moment now) {
    if (learnt.empty() || now < next_write_) return;
    next_write_ = now + between_writes;
    try {
        tunnels_.remember(learnt);
    } catch (const Error& error) {
        log::error("endpoints-not-stored", "{}", error.what());
    }
}

}  // namespace porthole
