// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/perimeter.hpp"
#include "core/reservations.hpp"
#include "core/tracer.hpp"

namespace porthole {

/// A packet of a host's, as it reaches the gateway.
struct Packet {
    Protocol protocol;
    Place source;
    Place destination;
};

/// What becomes of a packet.
enum class Verdict : std::uint8_t {
    reserved,        ///< it leaves from its reserved port
    displaced,       ///< it leaves from the pool: its port is somebody else's outside
    masqueraded,     ///< it leaves from its own port, or from another where that is in use
    left_to_others,  ///< no rule of ours translates it; somebody else's may
    follows_flow,    ///< it belongs to a flow that conntrack has already
    blocked,         ///< dropped: another flow has its reserved port to this remote
    stays_inside,    ///< it does not leave through a WAN
    no_route,
};

template <>
struct TextForm<Verdict> {
    static constexpr std::string_view allowed =
        "\"reserved\", \"displaced\", \"masqueraded\", \"left-to-others\", \"follows-flow\", "
        "\"blocked\", \"stays-inside\" or \"no-route\"";
    static std::optional<Verdict> parse(std::string_view text);
    static std::string format(const Verdict& verdict);
};

/// What becomes of a packet, and why.
struct Explanation {
    Verdict verdict = Verdict::no_route;
    std::string interface;                     ///< it leaves through; empty: none
    std::optional<ReservationId> reservation;  ///< of its source
    std::optional<Port> external_port;         ///< it leaves from; nothing: that is not certain
    std::string rule;  ///< of table inet porthole, as nft shows it; empty: none of ours
    /// The flow that it belongs to, or the one that is in its way.
    std::optional<TrackedFlow> flow;
    std::vector<std::string> steps;  ///< in the order in which things are decided, for people
};

/// Follows a packet through the gateway: routing, conntrack, our rules. Other people's rules are
/// not looked at. `interface_name` tells names by index. Throws KernelFailure.
Explanation explain(const Packet& packet, const Perimeter& perimeter,
                    const Reservations& reservations,
                    const std::function<std::string(int)>& interface_name, Tracer& tracer);

}  // namespace porthole
