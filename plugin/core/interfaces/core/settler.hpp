// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/firewall.hpp"
#include "core/sighting.hpp"

namespace porthole {

/// What has changed in the kernel's rules, and what flows have to agree with from now on.
struct SettleOrder {
    /// Grows from order to order.
    std::uint64_t ticket = 0;
    /// Mappings that came and went. Flows of mappings that are not named stay as they are.
    SetDifference<Mapping> mappings;
    /// Pinholes that came and went. Whom their owners have flows with is reported; what came in
    /// from outside before a pinhole was there, and was not answered, is deleted.
    SetDifference<Pinhole> pinholes = {};
    /// Where the NAT applies, from this order on.
    Scope scope;
    /// WAN addresses that are gone: what was sent on from there to an owner is settled.
    std::vector<Address> gone_addresses = {};
    /// There was a time without the rules, or with others: packets that they have judged may still
    /// be on their way.
    bool gap = false;
    /// No pinhole of `pinholes` may have been there until now.
    bool pinholes_were_away = false;
    /// Also report which owners and which hosts on watched ports have flows.
    bool look = false;
};

/// A live flow that stands against the mappings, or may do so, and was left alone.
struct SparedFlow {
    enum class Why : std::uint8_t {
        overload,   ///< another's, from the port that a claim or the gateway itself has
        remapped,   ///< of a claim's owner, from another port than the claim's
        answered,   ///< came for a reserved port, and the gateway itself has answered
        offloaded,  ///< an owner's, as it should be, but in a flowtable; one for each owner
    };
    Why why;
    Sighting from;   ///< who has begun it; for `answered`: the remote; for `offloaded`: the owner
    Address remote;  ///< whom with; for `answered`: the gateway
    Port remote_port;
    Port external_port;  ///< what it uses on the WAN
    auto operator<=>(const SparedFlow&) const = default;
};

/// A remote that a flow of an owner's is with.
struct SeenContact {
    Sighting owner;
    Port external_port;  ///< what the flow uses on the WAN
    Address remote;
    auto operator<=>(const SeenContact&) const = default;
};

/// What has become of orders.
struct SettleReport {
    /// This order and all before it are done.
    std::uint64_t ticket = 0;
    std::size_t deleted = 0;           ///< flows that contradicted the mappings
    std::string failure;               ///< empty: none; else flows may still contradict them
    std::chrono::milliseconds took{};  ///< processor time, of the last walk through all flows
    /// Sorted; of very many not all.
    std::vector<SparedFlow> spared = {};
    /// Owners that had flows from wrong ports, which were deleted, and the last such port of each.
    /// Sorted by owner.
    std::vector<std::pair<Sighting, Port>> corrected = {};
    /// Of the mappings and pinholes that were added. Sorted, without duplicates.
    std::vector<SeenContact> contacts = {};
    /// Nothing: nobody has looked. Sorted, without duplicates.
    std::optional<std::vector<Sighting>> seen = std::nullopt;
    /// Flows of packets that were on their way may not have been there yet.
    bool early = false;
};

/// Deletes the flows in conntrack that contradict the mappings, so that their next packets are
/// translated anew. Works on its own, without holding up the caller.
class Settler {
  public:
    Settler() = default;
    Settler(const Settler&) = delete;
    Settler& operator=(const Settler&) = delete;
    Settler(Settler&&) = delete;
    Settler& operator=(Settler&&) = delete;
    virtual ~Settler() = default;

    /// Takes an order and returns at once. Orders that wait are done together.
    virtual void settle(SettleOrder order) = 0;
    /// Readable when there is a report: for poll(2).
    [[nodiscard]] virtual int descriptor() const = 0;
    /// The newest report; nothing if there is none since the last call.
    [[nodiscard]] virtual std::optional<SettleReport> take_report() = 0;
};

}  // namespace porthole
