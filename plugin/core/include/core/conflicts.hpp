// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "types/port.hpp"
#include "types/reservation.hpp"

namespace porthole {

/// Why a promise is not kept.
enum class ConflictCause : std::uint8_t {
    port_wanted_twice,  ///< a host's own port is somebody else's: its claim has another one
    overload,           ///< a live flow of somebody else's uses the port
    remapped,           ///< a live flow of the owner's uses another port
    own_listener,       ///< the gateway itself receives on a reserved port
    foreign_nat,        ///< the owner's flows go wrong again and again: another rule decides first
    answered_inbound,   ///< the gateway has answered somebody outside who came for the port
    foreign_firewall,   ///< another firewall's rules stop who may come in to the owner
    flow_offload,       ///< the owner's flows bypass the packet filter: their timeouts are shorter
};

template <>
struct TextForm<ConflictCause> {
    static constexpr std::string_view allowed =
        "\"port-wanted-twice\", \"overload\", \"remapped\", \"own-listener\", "
        "\"foreign-nat\", \"answered-inbound\", \"foreign-firewall\" or \"flow-offload\"";
    static std::optional<ConflictCause> parse(std::string_view text);
    static std::string format(const ConflictCause& cause);
};

/// Something that is not as it should be, at this moment.
struct Finding {
    ConflictCause cause;
    ProtocolPort port;  ///< outside
    std::string owner;  ///< whose port it is: a host, or "gateway"
    std::string other;  ///< who is in the way: "HOST:PORT", "gateway", or a chain of others
    auto operator<=>(const Finding&) const = default;
};

/// What was seen of it last, and does not tell one finding from another.
struct Evidence {
    std::string remote;     ///< of one flow: "ADDRESS:PORT"; may be empty
    std::size_t flows = 0;  ///< how many there are
    /// The port outside that a flow or a claim has instead.
    std::optional<Port> used = std::nullopt;
    std::string command = {};  ///< what an administrator would type to end it; may be empty
    bool operator==(const Evidence&) const = default;
};

enum class ConflictState : std::uint8_t { open, resolved };

struct Conflict {
    std::uint64_t id = 0;  ///< never given out again while the service runs
    Finding finding;
    Evidence evidence;
    ConflictState state = ConflictState::open;
    Time since;
    bool operator==(const Conflict&) const = default;
};

/// What it means and what was done about it, for people.
std::string explanation(const Conflict& conflict);
/// What would end it: stable words.
std::vector<std::string> actions(const Conflict& conflict);

/// The open conflicts. Each ends when it is not found any more.
class Conflicts {
  public:
    using Findings = std::map<Finding, Evidence>;
    /// No more are kept: who has so many needs none of the others to see what is wrong.
    static constexpr std::size_t capacity = 500;

    /// Opens what is new in `findings` and resolves what is not there any more.
    void update(const Findings& findings, Time now);
    /// By id.
    [[nodiscard]] std::vector<Conflict> open() const;
    /// What was opened or resolved since the last call, in that order; the newest, where nobody has
    /// called for long. What was opened and resolved in between shows as both.
    [[nodiscard]] std::vector<Conflict> take_news() { return std::exchange(news_, {}); }
    [[nodiscard]] bool has_news() const { return !news_.empty(); }

  private:
    std::map<Finding, Conflict> open_;
    std::vector<Conflict> news_;
    std::uint64_t next_id_ = 1;
};

}  // namespace porthole
