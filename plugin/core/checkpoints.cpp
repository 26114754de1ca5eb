// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/checkpoints.hpp"

#include <algorithm>
#include <utility>

#include "core/log.hpp"

namespace porthole {
namespace {

using std::chrono::seconds;

void log_lost(const std::string& what) {
    log::warning("checkpoint-incomplete", "what was there before is not all there again: {}", what);
}

}  // namespace

std::string to_text(CheckpointEnd how) {
    switch (how) {
        case CheckpointEnd::committed:
            return "committed";
        case CheckpointEnd::rolled_back:
            return "rolled-back";
        case CheckpointEnd::expired:
            break;
    }
    return "expired";
}

Checkpoints::Checkpoints(Gateway& gateway, Tunnels& tunnels, std::optional<Checkpoint> stored,
                         Gateway::Clock clock, MonotonicClock monotonic)
    : gateway_(gateway),
      tunnels_(tunnels),
      clock_(std::move(clock)),
      monotonic_(std::move(monotonic)),
      active_(stored),
      ends_(monotonic_()) {
    if (!active_ || active_->expires == never) return;
    ends_ += std::clamp(active_->expires - clock_(), seconds::zero(), active_->length);
}

Checkpoint Checkpoints::start(seconds length) {
    if (active_) {
        throw Refused(Refusal::busy, "there is checkpoint " + std::to_string(number(active_->id)) +
                                         " already: commit it or roll it back first");
    }
    Checkpoint checkpoint{
        .expires = clock_() + length, .length = length, .enabled = gateway_.enabled()};
    auto transaction = gateway_.store().begin();
    checkpoint.id = transaction.keep(checkpoint.expires, length);
    transaction.commit();
    active_ = checkpoint;
    ends_ = monotonic_() + length;
    ++version_;
    return checkpoint;
}

void Checkpoints::extend(CheckpointId id, seconds length) {
    auto checkpoint = find(id);
    if (checkpoint.expires == never) {
        throw Refused(Refusal::busy,
                      "checkpoint " + std::to_string(number(id)) + " is being rolled back already");
    }
    checkpoint.expires = clock_() + length;
    checkpoint.length = length;
    last(checkpoint);
    ends_ = monotonic_() + length;
}

void Checkpoints::commit(CheckpointId id) {
    if (find(id).expires == never) {
        throw Refused(Refusal::busy,
                      "checkpoint " + std::to_string(number(id)) + " is being rolled back already");
    }
    end(CheckpointEnd::committed);
}

void Checkpoints::roll_back(CheckpointId id) {
    (void)find(id);
    go_back(CheckpointEnd::rolled_back);
}

void Checkpoints::expire() {
    if (active_ && monotonic_() >= ends_) go_back(CheckpointEnd::expired);
}

std::optional<std::chrono::nanoseconds> Checkpoints::time_left() const {
    if (!active_) return std::nullopt;
    return std::max<std::chrono::nanoseconds>(ends_ - monotonic_(), std::chrono::nanoseconds(0));
}

std::vector<Checkpoints::Ended> Checkpoints::take_ended() { return std::exchange(ended_, {}); }

const Checkpoint& Checkpoints::find(CheckpointId id) const {
    if (active_ && active_->id == id) return *active_;
    throw Refused(Refusal::no_such_checkpoint,
                  "there is no checkpoint " + std::to_string(number(id)) +
                      (active_ ? ", but " + std::to_string(number(active_->id)) : ""));
}

void Checkpoints::last(const Checkpoint& checkpoint) {
    auto transaction = gateway_.store().begin();
    transaction.write(checkpoint);
    transaction.commit();
    active_ = checkpoint;
    ++version_;
}

// Each step is for good by itself, and finds done what was done before it was interrupted. From the
// first on there is no way but on: half of it must not be committed.
void Checkpoints::go_back(CheckpointEnd how) {
    if (active_->expires != never) {
        auto ending = *active_;
        ending.expires = never;
        last(ending);
        ends_ = monotonic_();
        how_ = how;
    }
    for (const auto& lost : gateway_.restore(gateway_.store().kept_reservations())) log_lost(lost);
    gateway_.set_enabled(active_->enabled);
    restore_tunnels();
    end(how_);
}

void Checkpoints::restore_tunnels() {
    auto kept = gateway_.store().kept_tunnels();
    std::vector<InterfaceName> added;
    for (const auto& [name, tunnel] : tunnels_.all()) {
        const bool stays = tunnel.origin == Origin::configured ||
                           std::ranges::find(kept, name, &Tunnel::name) != kept.end();
        if (!stays) added.push_back(name);
    }
    for (const auto& name : added) tunnels_.remove(name);
    // One that another one's port was given to waits until that has its own again.
    while (!kept.empty()) {
        if (std::erase_if(kept, [this](const Tunnel& tunnel) { return put(tunnel); }) != 0)
            continue;
        const auto in_the_way = std::ranges::find_if(
            kept, [this](const Tunnel& tunnel) { return tunnels_.all().contains(tunnel.name); });
        if (in_the_way == kept.end()) break;
        tunnels_.remove(in_the_way->name);
    }
    for (const auto& tunnel : kept) {
        log_lost("somebody else has the listen port of tunnel " + porthole::to_text(tunnel.name));
    }
}

// False: its port is somebody else's.
bool Checkpoints::put(const Tunnel& tunnel) {
    const auto found = tunnels_.all().find(tunnel.name);
    try {
        if (found == tunnels_.all().end()) {
            tunnels_.create(tunnel.name, tunnel.settings);
            std::vector<LearntEndpoint> learnt;
            for (const auto& [peer, place] : tunnel.learnt) {
                learnt.push_back({tunnel.name, peer, place});
                tunnels_.move_peer(tunnel.name, peer, place);
            }
            tunnels_.remember(learnt);
        } else if (found->second.settings != tunnel.settings) {
            tunnels_.replace(tunnel.name, tunnel.settings);
        }
    } catch (const Refused& refused) {
        if (refused.reason() == Refusal::port_taken) return false;
        log_lost("tunnel " + porthole::to_text(tunnel.name) + ": " + refused.what());
    } catch (const InvalidArgument& invalid) {
        log_lost("tunnel " + porthole::to_text(tunnel.name) + ": " + invalid.what());
    }
    return true;
}

void Checkpoints::end(CheckpointEnd how) {
    auto transaction = gateway_.store().begin();
    transaction.give_up_checkpoint();
    transaction.commit();
    const auto id = std::exchange(active_, std::nullopt)->id;
    ended_.push_back({id, how});
    ++version_;
    log::info("checkpoint-ended", "checkpoint {}: {}", number(id), to_text(how));
}

}  // namespace porthole
