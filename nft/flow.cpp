// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <string_view>
#include <type_traits>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "netlink/message.hpp"

namespace porthole::nft {
namespace {

using netlink::Attributes;

std::uint32_t port_key(Protocol protocol, std::uint16_t port) {
    return static_cast<std::uint32_t>(protocol) << 16U | port;
}

// A number of type T in network byte order.
template <typename T>
std::optional<T> number(const Attributes& attributes, std::uint16_t type) {
    const auto payload = attributes.payload(type);
    if (!payload || payload->size() != sizeof(T)) return std::nullopt;
    T value = 0;
    std::memcpy(&value, payload->data(), sizeof(value));
    if constexpr (sizeof(T) == 4) return ntohl(value);
    if constexpr (sizeof(T) == 2) return ntohs(value);
    return value;
}

// Where conntrack's messages and the scope have what belongs to a family.
template <typename Bits>
struct FamilyOf;

template <>
struct FamilyOf<Ipv4Bits> {
    static constexpr auto family = Family::ipv4;
    static constexpr std::uint16_t source = CTA_IP_V4_SRC;
    static constexpr std::uint16_t destination = CTA_IP_V4_DST;
    static std::optional<Ipv4Bits> address(const Attributes& attributes, std::uint16_t type) {
        return number<Ipv4Bits>(attributes, type);
    }
    static const auto& wan_addresses(const Scope& scope) { return scope.wan_addresses; }
    static const auto& nat_sources(const Scope& scope) { return scope.nat_sources; }
    static const auto& exempt(const Scope& scope) { return scope.exempt; }
};

template <>
struct FamilyOf<Ipv6Bits> {
    static constexpr auto family = Family::ipv6;
    static constexpr std::uint16_t source = CTA_IP_V6_SRC;
    static constexpr std::uint16_t destination = CTA_IP_V6_DST;
    static std::optional<Ipv6Bits> address(const Attributes& attributes, std::uint16_t type) {
        const auto payload = attributes.payload(type);
        Ipv6Bits bits{};
        if (!payload || payload->size() != bits.size()) return std::nullopt;
        std::memcpy(bits.data(), payload->data(), bits.size());
        return bits;
    }
    static const auto& wan_addresses(const Scope& scope) { return scope.ipv6_wan_addresses; }
    static const auto& nat_sources(const Scope& scope) { return scope.ipv6_nat_sources; }
    static std::vector<Network> exempt(const Scope& /*scope*/) { return {}; }
};

template <typename Bits>
struct ProtocolTuple {
    FlowTupleOf<Bits> tuple;
    std::uint8_t protocol;
};

// Nothing for port 0, which nobody can have.
template <typename Bits>
std::optional<Sighting> end_of(Protocol protocol, const FlowEndOf<Bits>& end) {
    const auto port = Port::from(end.port);
    if (!port) return std::nullopt;
    return Sighting{to_address(end.address), protocol, *port};
}

template <typename Bits>
bool in(const std::vector<Network>& networks, const FlowEndOf<Bits>& end) {
    return std::ranges::any_of(networks, [&end](const Network& network) {
        return network.contains(to_address(end.address));
    });
}

template <typename Bits>
std::optional<ProtocolTuple<Bits>> decode_tuple(const Attributes& flow, std::uint16_t type) {
    const auto tuple = flow.nested(type);
    if (!tuple) return std::nullopt;
    const auto addresses = tuple->nested(CTA_TUPLE_IP);
    const auto transport = tuple->nested(CTA_TUPLE_PROTO);
    if (!addresses || !transport) return std::nullopt;
    using Of = FamilyOf<Bits>;
    const auto protocol = number<std::uint8_t>(*transport, CTA_PROTO_NUM);
    const auto source = Of::address(*addresses, Of::source);
    const auto destination = Of::address(*addresses, Of::destination);
    const auto source_port = number<std::uint16_t>(*transport, CTA_PROTO_SRC_PORT);
    const auto destination_port = number<std::uint16_t>(*transport, CTA_PROTO_DST_PORT);
    if (!protocol || !source || !destination || !source_port || !destination_port) {
        return std::nullopt;
    }
    return ProtocolTuple<Bits>{{{*source, *source_port}, {*destination, *destination_port}},
                               *protocol};
}

}  // namespace

template <>
Ipv4Bits to_bits(const Address& address) {
    return address.v4_value();
}

template <>
Ipv6Bits to_bits(const Address& address) {
    Ipv6Bits bits{};
    std::ranges::copy(address.bytes(), bits.begin());
    return bits;
}

template <typename Bits>
std::optional<Place> to_place(const FlowEndOf<Bits>& end) {
    const auto port = Port::from(end.port);
    return port ? std::optional(Place{to_address(end.address), *port}) : std::nullopt;
}

template <typename Bits>
std::optional<TrackedFlow> to_tracked(const FlowOf<Bits>& flow) {
    const auto source = to_place(flow.original.source);
    const auto destination = to_place(flow.original.destination);
    const auto remote = to_place(flow.reply.source);
    const auto shown = to_place(flow.reply.destination);
    if (!source || !destination || !remote || !shown) return std::nullopt;
    return TrackedFlow{*source, *destination, *remote, *shown, flow.seen_reply};
}

template <typename Bits>
std::optional<FlowOf<Bits>> decode_flow(const nlmsghdr* message) {
    const auto attributes = Attributes::of(message, sizeof(nfgenmsg));
    if (!attributes) return std::nullopt;
    const auto original = decode_tuple<Bits>(*attributes, CTA_TUPLE_ORIG);
    const auto reply = decode_tuple<Bits>(*attributes, CTA_TUPLE_REPLY);
    const auto id = number<std::uint32_t>(*attributes, CTA_ID);
    const auto status = number<std::uint32_t>(*attributes, CTA_STATUS);
    if (!original || !reply || !id || !status) return std::nullopt;
    const auto protocol = Protocol{original->protocol};
    if (protocol != Protocol::udp && protocol != Protocol::tcp) return std::nullopt;
    return FlowOf<Bits>{*id,
                        protocol,
                        original->tuple,
                        reply->tuple,
                        (*status & IPS_SEEN_REPLY) != 0,
                        (*status & IPS_OFFLOAD) != 0};
}

void put_conntrack_header(nlmsghdr* message, Family family) {
    auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
    header->nfgen_family = family == Family::ipv4 ? AF_INET : AF_INET6;
    header->version = NFNETLINK_V0;
}

void put_tuple(nlmsghdr* message, Protocol protocol, const Address& source,
               std::uint16_t source_port, const Address& destination,
               std::uint16_t destination_port) {
    const bool ipv4 = source.family() == Family::ipv4;
    const auto put_address = [message](std::uint16_t type, const Address& address) {
        mnl_attr_put(message, type, address.bytes().size(), address.bytes().data());
    };
    auto* nest = mnl_attr_nest_start(message, CTA_TUPLE_ORIG);
    auto* addresses = mnl_attr_nest_start(message, CTA_TUPLE_IP);
    put_address(ipv4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, source);
    put_address(ipv4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, destination);
    mnl_attr_nest_end(message, addresses);
    auto* transport = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);
    mnl_attr_put_u8(message, CTA_PROTO_NUM, static_cast<std::uint8_t>(protocol));
    mnl_attr_put_u16(message, CTA_PROTO_SRC_PORT, htons(source_port));
    mnl_attr_put_u16(message, CTA_PROTO_DST_PORT, htons(destination_port));
    mnl_attr_nest_end(message, transport);
    mnl_attr_nest_end(message, nest);
}

template <typename Bits>
std::size_t FlowJudgeOf<Bits>::Hash::operator()(const Bits& address) const noexcept {
    if constexpr (std::is_same_v<Bits, Ipv4Bits>) {
        return std::hash<Bits>()(address);
    } else {
        return std::hash<std::string_view>()(
            {static_cast<const char*>(static_cast<const void*>(address.data())), address.size()});
    }
}

template <typename Bits>
std::size_t FlowJudgeOf<Bits>::Hash::operator()(const Inside& inside) const noexcept {
    constexpr std::size_t spread = 0x9E3779B97F4A7C15;
    return (*this)(inside.host.address) * spread ^ port_key(inside.protocol, inside.host.port);
}

template <typename Bits>
void FlowJudgeOf<Bits>::follow(const SettleOrder& order) {
    const auto endpoint = [](const Mapping& mapping) {
        return Inside{mapping.protocol,
                      {to_bits<Bits>(*mapping.host), mapping.internal_port.value()}};
    };
    const auto port = [](const Mapping& mapping) {
        return port_key(mapping.protocol, mapping.external_port.value());
    };
    const auto outside = [](const Mapping& mapping) {
        const auto address = mapping.external_address.fixed();
        return FlowEnd{address ? to_bits<Bits>(*address) : Bits{}, mapping.external_port.value()};
    };
    for (const auto& mapping : order.mappings.removed) {
        if (mapping.family != FamilyOf<Bits>::family) continue;
        if (mapping.host) {
            external_ports_.erase(endpoint(mapping));
            removed_.insert({endpoint(mapping), outside(mapping)});
        }
        mapping.external_address.is_any()
            ? taken_.erase(port(mapping))
            : taken_on_one_.erase({mapping.protocol, outside(mapping)});
    }
    for (const auto& mapping : order.mappings.added) {
        if (mapping.family != FamilyOf<Bits>::family) continue;
        if (mapping.host) {
            external_ports_[endpoint(mapping)] = {mapping.external_port.value(), mapping.claimed,
                                                  outside(mapping).address};
            removed_.erase({endpoint(mapping), outside(mapping)});
        }
        if (mapping.external_address.is_any()) {
            taken_[port(mapping)] = mapping.claimed;
        } else {
            taken_on_one_.insert({mapping.protocol, outside(mapping)});
        }
    }
    looks_ |= order.look;
    scope_ = order.scope;
    wan_addresses_.clear();
    for (const auto& address : FamilyOf<Bits>::wan_addresses(scope_)) {
        wan_addresses_.insert(to_bits<Bits>(address));
    }
    for (const auto& address : order.gone_addresses) {
        const bool concerned = address.family() == FamilyOf<Bits>::family;
        if (concerned) gone_addresses_.insert(to_bits<Bits>(address));
    }
    for (const auto& address : wan_addresses_) gone_addresses_.erase(address);
    own_.clear();
    for (const auto& [protocol, own] : scope_.own_ports) {
        own_.insert(port_key(protocol, own.value()));
    }
}

template <typename Bits>
const typename FlowJudgeOf<Bits>::Owned* FlowJudgeOf<Bits>::owned_by(Protocol protocol,
                                                                     const FlowEnd& host) const {
    const auto found = external_ports_.find({protocol, host});
    return found != external_ports_.end() ? &found->second : nullptr;
}

template <typename Bits>
bool FlowJudgeOf<Bits>::is_taken(Protocol protocol, const FlowEnd& outside) const {
    return wan_addresses_.contains(outside.address) &&
           (taken_.contains(port_key(protocol, outside.port)) ||
            taken_on_one_.contains({protocol, outside}));
}

template <typename Bits>
FlowVerdict FlowJudgeOf<Bits>::judge(const Flow& flow) const {
    const auto is_wan = [this](const FlowEnd& end) { return wan_addresses_.contains(end.address); };
    if (const auto* owned = owned_by(flow.protocol, flow.original.source)) {
        const auto& fixed = owned->external_address;
        if (!owned->is_fixed() || wan_addresses_.contains(fixed)) {
            return judge_owners(flow, *owned);
        }
        // While no WAN has its address, the owner is like anybody else, but what still shows that
        // address goes nowhere.
        if (flow.reply.destination.address == fixed) return FlowVerdict::wrong_if_through_wan;
    }

    // The gateway's flows from its own ports leave from there; its others are its own business.
    const auto is_own = [&](const FlowEnd& end) {
        return is_wan(end) && own_.contains(port_key(flow.protocol, end.port));
    };
    if (is_gateways(flow)) {
        const bool moved = flow.source_translated() && is_own(flow.original.source);
        return moved ? FlowVerdict::wrong : FlowVerdict::fine;
    }
    // Another host's flow that left from such a port.
    const auto& shown = flow.reply.destination;
    if (flow.source_translated() && is_taken(flow.protocol, shown)) {
        const auto taken = taken_.find(port_key(flow.protocol, shown.port));
        const bool claimed = taken != taken_.end() && taken->second;
        return claimed && flow.seen_reply ? FlowVerdict::overloads_claim : FlowVerdict::wrong;
    }
    if (flow.source_translated() && is_own(shown)) {
        return flow.seen_reply ? FlowVerdict::overloads_own_port : FlowVerdict::wrong;
    }
    // The kernel itself ends only what it has masqueraded.
    if (flow.source_translated() && gone_addresses_.contains(shown.address)) {
        return FlowVerdict::wrong_if_through_wan;
    }
    if (is_sent_to_former_owner(flow)) return FlowVerdict::wrong;
    // What came for a reserved port and ended at the gateway. Where the gateway has answered it is
    // a service of the gateway's, where it was sent on it is somebody's port forward.
    const bool unsolicited =
        is_taken(flow.protocol, flow.original.destination) && !flow.destination_translated();
    if (!unsolicited) return FlowVerdict::fine;
    return flow.seen_reply ? FlowVerdict::answered : FlowVerdict::wrong;
}

template <typename Bits>
bool FlowJudgeOf<Bits>::is_owners(const Flow& flow) const {
    return external_ports_.contains({flow.protocol, flow.original.source});
}

// What the rules have sent on by a mapping that is no more, or from an address that is.
template <typename Bits>
bool FlowJudgeOf<Bits>::is_sent_to_former_owner(const Flow& flow) const {
    if (!flow.destination_translated()) return false;
    const auto& outside = flow.original.destination;
    const Inside owner{flow.protocol, flow.reply.source};
    const auto* owned = owned_by(flow.protocol, flow.reply.source);
    const bool still_there = owned != nullptr && owned->is_at(outside);
    const bool was_there = removed_.contains({owner, outside}) ||
                           removed_.contains({owner, FlowEnd{{}, outside.port}});
    const bool gone = gone_addresses_.contains(outside.address);
    const bool away =
        owned != nullptr && owned->is_fixed() && !wan_addresses_.contains(owned->external_address);
    if (still_there) return gone || away;
    return was_there && (gone || wan_addresses_.contains(outside.address));
}

// Its remote has begun it.
template <typename Bits>
bool FlowJudgeOf<Bits>::is_sent_to_owner(const Flow& flow) const {
    if (!flow.destination_translated()) return false;
    const auto& outside = flow.original.destination;
    const auto* owned = owned_by(flow.protocol, flow.reply.source);
    return owned != nullptr && owned->is_at(outside) && wan_addresses_.contains(outside.address);
}

template <typename Bits>
std::optional<Sighting> FlowJudgeOf<Bits>::shows(const Flow& flow) const {
    if (!looks_ || is_gateways(flow)) return std::nullopt;
    if (flow.seen_reply && is_sent_to_owner(flow)) return end_of(flow.protocol, flow.reply.source);
    const auto& from = flow.original.source;
    if (is_owners(flow)) return end_of(flow.protocol, from);
    const auto port = Port::from(from.port);
    const bool watched = FamilyOf<Bits>::family == Family::ipv4 && flow.protocol == Protocol::udp &&
                         port && scope_.watched && scope_.watched->contains(*port) &&
                         flow.source_translated() &&
                         wan_addresses_.contains(flow.reply.destination.address) &&
                         in(FamilyOf<Bits>::nat_sources(scope_), from);
    return watched ? end_of(flow.protocol, from) : std::nullopt;
}

template <typename Bits>
std::optional<SeenContact> FlowJudgeOf<Bits>::contact_of(const Flow& flow) const {
    const bool inbound = flow.seen_reply && is_sent_to_owner(flow);
    const auto* owned = owned_by(flow.protocol, flow.original.source);
    const auto& shown = flow.reply.destination;
    const bool outbound =
        owned != nullptr && owned->is_at(shown) && wan_addresses_.contains(shown.address);
    if (!inbound && !outbound) return std::nullopt;
    const auto owner = end_of(flow.protocol, inbound ? flow.reply.source : flow.original.source);
    const auto port = Port::from(inbound ? flow.original.destination.port : shown.port);
    const auto& remote = inbound ? flow.original.source : flow.reply.source;
    if (!owner || !port) return std::nullopt;
    return SeenContact{*owner, *port, to_address(remote.address)};
}

template <typename Bits>
FlowVerdict FlowJudgeOf<Bits>::judge_owners(const Flow& flow, const Owned& owned) const {
    const auto& shown = flow.reply.destination;
    if (wan_addresses_.contains(shown.address)) {
        if (owned.is_at(shown)) return FlowVerdict::fine;
        if (!owned.claimed || !flow.seen_reply) return FlowVerdict::wrong;
        const auto taken = taken_.find(port_key(flow.protocol, shown.port));
        const bool asked_for = (taken != taken_.end() && !taken->second) ||
                               taken_on_one_.contains({flow.protocol, shown});
        if (asked_for) return FlowVerdict::wrong;
        return own_.contains(port_key(flow.protocol, shown.port)) ? FlowVerdict::overloads_own_port
                                                                  : FlowVerdict::departs_from_claim;
    }
    // Not translated, to an address that a WAN had once, or to one that is none of our business.
    const bool meant_to_be = in(FamilyOf<Bits>::nat_sources(scope_), flow.original.source) &&
                             !in(FamilyOf<Bits>::exempt(scope_), flow.original.destination);
    return meant_to_be ? FlowVerdict::wrong_if_through_wan : FlowVerdict::fine;
}

// Where IPv6 is not translated, it is none of the judge's business.
template <typename Bits>
bool FlowJudgeOf<Bits>::finds_all_fine() const {
    const bool translates = FamilyOf<Bits>::family == Family::ipv4 || scope_.nat66;
    const bool looks = translates && (looks_ || !own_.empty());
    return external_ports_.empty() && removed_.empty() && gone_addresses_.empty() && !looks;
}

template std::optional<Place> to_place(const FlowEndOf<Ipv4Bits>&);
template std::optional<Place> to_place(const FlowEndOf<Ipv6Bits>&);
template std::optional<TrackedFlow> to_tracked(const FlowOf<Ipv4Bits>&);
template std::optional<TrackedFlow> to_tracked(const FlowOf<Ipv6Bits>&);
template std::optional<FlowOf<Ipv4Bits>> decode_flow<Ipv4Bits>(const nlmsghdr*);
template std::optional<FlowOf<Ipv6Bits>> decode_flow<Ipv6Bits>(const nlmsghdr*);
template class FlowJudgeOf<Ipv4Bits>;
template class FlowJudgeOf<Ipv6Bits>;

}  // namespace porthole::nft
