// SPDX-License-Identifier: GPL-2.0-or-later
#include "pinhole_watch.hpp"

#include <algorithm>

namespace porthole::nft {

void PinholeWatch::follow(const SettleOrder& order) {
    const auto key = [](const Pinhole& pinhole) {
        return Sighting{pinhole.host, pinhole.protocol, pinhole.port};
    };
    // Where only the filtering changes, flows stay as they are.
    std::set<Sighting> before;
    for (const auto& pinhole : order.pinholes.removed) {
        pinholes_.erase(key(pinhole));
        if (new_.erase(key(pinhole)) == 0) before.insert(key(pinhole));
    }
    for (const auto& pinhole : order.pinholes.added) {
        pinholes_.insert(key(pinhole));
        const bool was_there =
            !order.pinholes_were_away && (order.look || before.contains(key(pinhole)));
        const bool open = pinhole.filtering == Filtering::endpoint_independent;
        if (!was_there && !open) new_.insert(key(pinhole));
    }
    inside_ = order.scope.ipv6_networks;
}

bool PinholeWatch::is_inside(const Place& place) const {
    return std::ranges::any_of(
        inside_, [&place](const Network& network) { return network.contains(place.address); });
}

bool PinholeWatch::is_unjudged(const Ipv6Flow& flow) const {
    const auto host = to_place(flow.original.destination);
    const auto remote = to_place(flow.original.source);
    return !flow.seen_reply && host && remote &&
           new_.contains({host->address, flow.protocol, host->port}) && !is_inside(*remote);
}

std::optional<SeenContact> PinholeWatch::contact_of(const Ipv6Flow& flow) const {
    const auto contact = [&](const Place& host, const Place& remote) {
        const Sighting owner{host.address, flow.protocol, host.port};
        return pinholes_.contains(owner) && !is_inside(remote)
                   ? std::optional(SeenContact{owner, host.port, remote.address})
                   : std::nullopt;
    };
    const auto ends = to_tracked(flow);
    if (!ends) return std::nullopt;
    if (auto found = contact(ends->source, ends->remote)) return found;
    return ends->answered ? contact(ends->destination, ends->source) : std::nullopt;
}

}  // namespace porthole::nft
