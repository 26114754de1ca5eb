// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>

#include "types/port.hpp"

namespace porthole::nft {

/// The chains of the table.
namespace chains {
constexpr auto source_nat = "source-nat";
constexpr auto guard = "guard";
constexpr auto reserved = "reserved";
constexpr auto guarded = "guarded";
constexpr auto stopped = "stopped";
constexpr auto learning = "learning";
constexpr auto to_owner = "to-owner";
constexpr auto inbound = "inbound";
constexpr auto sent_on = "sent-on";
constexpr auto hairpin = "hairpin";
constexpr auto unsolicited = "unsolicited";
constexpr auto fixed_inbound = "fixed-inbound";
constexpr auto fixed_learning = "fixed-learning";
constexpr auto nat66_inbound = "nat66-inbound";
constexpr auto nat66_learning = "nat66-learning";
constexpr auto nat66_hairpin = "nat66-hairpin";
constexpr auto pinhole = "pinhole";
constexpr auto open_pinhole = "open-pinhole";
constexpr auto pinhole_learning = "pinhole-learning";
}  // namespace chains

/// The protocols that have reservations, the more usual one first.
inline constexpr std::array reservable_protocols{Protocol::udp, Protocol::tcp};

/// An anonymous set { tcp, udp } belongs to one rule; these are the ids of all of them.
enum ProtocolSet : std::uint32_t {
    displaced_protocols = 1,
    own_displaced_protocols,
    guarded_protocols,
    collided_protocols,
    stopped_protocols,
    learnt_protocols,
    open_protocols,
    contacted_protocols,
    delivered_protocols,
    neighbour_protocols,
    hairpin_protocols,
    hairpin_owner_protocols,
    hairpin_displaced_protocols,
    hairpin_own_protocols,
    end_of_usual_protocol_sets,
    // Of the rules for pinholes.
    let_in_protocols = end_of_usual_protocol_sets,
    passed_protocols,
    pinhole_learnt_protocols,
    end_of_pinhole_protocol_sets,
    // Of the rules for fixed external addresses.
    fixed_protocols = end_of_pinhole_protocol_sets,
    fixed_owners_protocols,
    fixed_learnt_protocols,
    fixed_neighbour_protocols,
    fixed_open_protocols,
    fixed_contacted_protocols,
    fixed_hairpin_protocols,
    fixed_hairpin_owner_protocols,
    bound_displaced_protocols,
    hairpin_bound_protocols,
    end_of_fixed_protocol_sets,
    // Of the rules for NAT66.
    nat66_protocols = end_of_fixed_protocol_sets,
    nat66_displaced_protocols,
    nat66_own_displaced_protocols,
    nat66_owners_protocols,
    nat66_collided_protocols,
    nat66_stopped_protocols,
    nat66_learnt_protocols,
    nat66_neighbour_protocols,
    nat66_open_protocols,
    nat66_contacted_protocols,
    nat66_delivered_protocols,
    nat66_hairpin_protocols,
    nat66_hairpin_owner_protocols,
    nat66_hairpin_displaced_protocols,
    nat66_hairpin_own_protocols,
    end_of_nat66_protocol_sets,
};

}  // namespace porthole::nft
