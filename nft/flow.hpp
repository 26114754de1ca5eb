// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "core/settler.hpp"

namespace porthole::nft {

/// One end of a flow, both in host byte order.
struct FlowEnd {
    std::uint32_t address = 0;
    std::uint16_t port = 0;
    auto operator<=>(const FlowEnd&) const = default;
};

/// The addresses of the packets of one direction.
struct FlowTuple {
    FlowEnd source;
    FlowEnd destination;
    bool operator==(const FlowTuple&) const = default;
};

/// A UDP or TCP flow over IPv4 as conntrack knows it.
struct Flow {
    std::uint32_t id = 0;  ///< CTA_ID: not even a flow with the same addresses has it again
    Protocol protocol = Protocol::udp;
    FlowTuple original;       ///< of the packet that began it, before any translation
    FlowTuple reply;          ///< of its answers, as they arrive
    bool seen_reply = false;  ///< there was an answer
    bool offloaded = false;   ///< its packets bypass the packet filter, in a flowtable

    [[nodiscard]] bool source_translated() const { return reply.destination != original.source; }
    [[nodiscard]] bool destination_translated() const {
        return reply.source != original.destination;
    }
};

/// A message type of ctnetlink: IPCTNL_MSG_CT_GET and the like.
constexpr std::uint16_t conntrack_type(unsigned message) {
    return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8U | message);
}
/// What every message of ctnetlink about IPv4 begins with.
void put_conntrack_header(nlmsghdr* message);
/// The addresses that a message asks for: CTA_TUPLE_ORIG.
void put_tuple(nlmsghdr* message, Protocol protocol, const FlowTuple& tuple);

/// Decodes a message of a conntrack dump. Nothing for other protocols and families, and for
/// messages that are cut short.
std::optional<Flow> decode_flow(const nlmsghdr* message);

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

/// The mappings that are being settled, and what they say about flows.
class FlowJudge {
  public:
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
    [[nodiscard]] bool finds_all_fine() const {
        return external_ports_.empty() && removed_.empty() && own_.empty() && !looks_;
    }

  private:
    struct Owned {
        std::uint16_t external_port;
        bool claimed;
        std::uint32_t external_address;  // 0: any of the WANs'
        [[nodiscard]] bool is_at(const FlowEnd& outside) const {
            return outside.port == external_port &&
                   (external_address == 0 || outside.address == external_address);
        }
    };
    [[nodiscard]] const Owned* owned_by(Protocol protocol, const FlowEnd& host) const;
    [[nodiscard]] bool is_taken(Protocol protocol, const FlowEnd& outside) const;
    [[nodiscard]] FlowVerdict judge_owners(const Flow& flow, const Owned& owned) const;
    [[nodiscard]] bool is_sent_to_former_owner(const Flow& flow) const;
    [[nodiscard]] bool is_sent_to_owner(const Flow& flow) const;

    std::unordered_map<std::uint64_t, Owned> external_ports_;  // by protocol, host, port
    std::unordered_map<std::uint32_t, bool> taken_;  // by protocol, external port: is it claimed?
    std::set<std::pair<Protocol, FlowEnd>> taken_on_one_;  // those with a fixed external address
    // Endpoints as in external_ports_, with where they were outside.
    std::set<std::pair<std::uint64_t, FlowEnd>> removed_;
    bool looks_ = false;
    Scope scope_;
    std::unordered_set<std::uint32_t> gone_addresses_;
    std::unordered_set<std::uint32_t> wan_addresses_;  // the scope's
    std::unordered_set<std::uint32_t> own_;            // the scope's own ports, with protocol
};

}  // namespace porthole::nft
