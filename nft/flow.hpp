// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "core/settler.hpp"
#include "core/tracer.hpp"

namespace porthole::nft {

/// How flows have their addresses: IPv4 ones in host byte order, where very many are looked at;
/// IPv6 ones as on the wire.
using Ipv4Bits = std::uint32_t;
using Ipv6Bits = std::array<std::uint8_t, 16>;

inline Address to_address(Ipv4Bits bits) { return Address::v4(bits); }
inline Address to_address(const Ipv6Bits& bits) { return *Address::from_bytes(bits); }
/// Of an address of that family.
template <typename Bits>
Bits to_bits(const Address& address);
template <>
Ipv4Bits to_bits(const Address& address);
template <>
Ipv6Bits to_bits(const Address& address);

/// One end of a flow; the port in host byte order.
template <typename Bits>
struct FlowEndOf {
    Bits address{};
    std::uint16_t port = 0;
    auto operator<=>(const FlowEndOf&) const = default;
};

/// The addresses of the packets of one direction.
template <typename Bits>
struct FlowTupleOf {
    FlowEndOf<Bits> source;
    FlowEndOf<Bits> destination;
    bool operator==(const FlowTupleOf&) const = default;
};

/// A UDP or TCP flow as conntrack knows it.
template <typename Bits>
struct FlowOf {
    std::uint32_t id = 0;  ///< CTA_ID: not even a flow with the same addresses has it again
    Protocol protocol = Protocol::udp;
    FlowTupleOf<Bits> original;  ///< of the packet that began it, before any translation
    FlowTupleOf<Bits> reply;     ///< of its answers, as they arrive
    bool seen_reply = false;     ///< there was an answer
    bool offloaded = false;      ///< its packets bypass the packet filter, in a flowtable
    bool operator==(const FlowOf&) const = default;

    [[nodiscard]] bool source_translated() const { return reply.destination != original.source; }
    [[nodiscard]] bool destination_translated() const {
        return reply.source != original.destination;
    }
};

using FlowEnd = FlowEndOf<Ipv4Bits>;
using FlowTuple = FlowTupleOf<Ipv4Bits>;
using Flow = FlowOf<Ipv4Bits>;
using Ipv6Flow = FlowOf<Ipv6Bits>;

/// Nothing for port 0, which nobody can have.
template <typename Bits>
std::optional<Place> to_place(const FlowEndOf<Bits>& end);
/// Nothing for one with a port 0.
template <typename Bits>
std::optional<TrackedFlow> to_tracked(const FlowOf<Bits>& flow);

/// A message type of ctnetlink: IPCTNL_MSG_CT_GET and the like.
constexpr std::uint16_t conntrack_type(unsigned message) {
    return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8U | message);
}
/// What every message of ctnetlink about this family begins with.
void put_conntrack_header(nlmsghdr* message, Family family);
/// The addresses that a message asks for, of one family: CTA_TUPLE_ORIG.
void put_tuple(nlmsghdr* message, Protocol protocol, const Address& source,
               std::uint16_t source_port, const Address& destination,
               std::uint16_t destination_port);

/// Decodes a message of a conntrack dump. Nothing for other protocols and families, and for
/// messages that are cut short.
template <typename Bits>
std::optional<FlowOf<Bits>> decode_flow(const nlmsghdr* message);

enum class FlowVerdict : std::uint8_t {
    fine,
    wrong,
    /// Its owner's packets are not translated to a WAN's address: wrong if, and only if, they leave
    /// through a WAN.
    wrong_if_through_wan,
    /// A live flow of another host's that leaves from the gateway's own port: wrong if, and only
    /// if, a flow of the gateway's cannot leave from there to the same remote.
    overloads_own_port,
    // Live flows that are left alone, and that somebody may want to know of.
    overloads_claim,     ///< of another host's, from a port that was claimed
    departs_from_claim,  ///< of the owner of a claim, from another port
    answered,            ///< the gateway has answered somebody who came for a reserved port
};

/// The mappings of one family that are being settled, and what they say about flows.
template <typename Bits>
class FlowJudgeOf {
  public:
    using Flow = FlowOf<Bits>;
    using FlowEnd = FlowEndOf<Bits>;
    /// Takes over what an order says; later orders go before earlier ones.
    void follow(const SettleOrder& order);
    [[nodiscard]] FlowVerdict judge(const Flow& flow) const;
    /// Whether the gateway itself began the flow, on a WAN.
    [[nodiscard]] bool is_gateways(const Flow& flow) const {
        return wan_addresses_.contains(flow.original.source.address);
    }
    /// The WANs, from the newest order.
    [[nodiscard]] const std::vector<InterfaceName>& wans() const { return scope_.wans; }
    /// Whether the owner of a mapping began the flow.
    [[nodiscard]] bool is_owners(const Flow& flow) const;
    /// Who is shown to be there by this flow, if that is of interest: an owner, or a host on a
    /// watched port.
    [[nodiscard]] std::optional<Sighting> shows(const Flow& flow) const;
    /// The remote of an owner's flow that uses its external port: one that the owner has sent to.
    [[nodiscard]] std::optional<SeenContact> contact_of(const Flow& flow) const;
    /// Whether somebody wants to know what is there.
    [[nodiscard]] bool looks() const { return looks_; }
    [[nodiscard]] bool finds_all_fine() const;

  private:
    struct Owned {
        std::uint16_t external_port;
        bool claimed;
        Bits external_address;  // zeros: any of the WANs'
        [[nodiscard]] bool is_fixed() const { return external_address != Bits{}; }
        [[nodiscard]] bool is_at(const FlowEnd& outside) const {
            return outside.port == external_port &&
                   (!is_fixed() || outside.address == external_address);
        }
    };
    struct Inside {
        Protocol protocol;
        FlowEnd host;
        auto operator<=>(const Inside&) const = default;
    };
    struct Hash {
        // noexcept: the tables do not keep what is computed quickly.
        std::size_t operator()(const Inside& inside) const noexcept;
        std::size_t operator()(const Bits& address) const noexcept;
    };
    [[nodiscard]] const Owned* owned_by(Protocol protocol, const FlowEnd& host) const;
    [[nodiscard]] bool is_taken(Protocol protocol, const FlowEnd& outside) const;
    [[nodiscard]] FlowVerdict judge_owners(const Flow& flow, const Owned& owned) const;
    [[nodiscard]] bool is_sent_to_former_owner(const Flow& flow) const;
    [[nodiscard]] bool is_sent_to_owner(const Flow& flow) const;

    std::unordered_map<Inside, Owned, Hash> external_ports_;
    std::unordered_map<std::uint32_t, bool> taken_;  // by protocol, external port: is it claimed?
    std::set<std::pair<Protocol, FlowEnd>> taken_on_one_;  // those with a fixed external address
    std::set<std::pair<Inside, FlowEnd>> removed_;         // with where they were outside
    bool looks_ = false;
    Scope scope_;
    std::unordered_set<Bits, Hash> gone_addresses_;
    std::unordered_set<Bits, Hash> wan_addresses_;  // the scope's
    std::unordered_set<std::uint32_t> own_;         // the scope's own ports, with protocol
};

using FlowJudge = FlowJudgeOf<Ipv4Bits>;
using Ipv6FlowJudge = FlowJudgeOf<Ipv6Bits>;

}  // namespace porthole::nft
