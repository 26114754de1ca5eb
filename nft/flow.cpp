// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow.hpp"

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "netlink/message.hpp"

namespace porthole::nft {
namespace {

using netlink::Attributes;

std::uint64_t endpoint_key(Protocol protocol, const FlowEnd& end) {
    return static_cast<std::uint64_t>(protocol) << 48U |
           static_cast<std::uint64_t>(end.address) << 16U | end.port;
}

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

struct ProtocolTuple {
    FlowTuple tuple;
    std::uint8_t protocol;
};

// Nothing for port 0, which nobody can have.
std::optional<Sighting> end_of(Protocol protocol, const FlowEnd& end) {
    const auto port = Port::from(end.port);
    if (!port) return std::nullopt;
    return Sighting{Address::v4(end.address), protocol, *port};
}

bool in(const std::vector<Network>& networks, const FlowEnd& end) {
    return std::ranges::any_of(networks, [&end](const Network& network) {
        return network.contains(Address::v4(end.address));
    });
}

std::optional<ProtocolTuple> decode_tuple(const Attributes& flow, std::uint16_t type) {
    const auto tuple = flow.nested(type);
    if (!tuple) return std::nullopt;
    const auto addresses = tuple->nested(CTA_TUPLE_IP);
    const auto transport = tuple->nested(CTA_TUPLE_PROTO);
    if (!addresses || !transport) return std::nullopt;
    const auto protocol = number<std::uint8_t>(*transport, CTA_PROTO_NUM);
    const auto source = number<std::uint32_t>(*addresses, CTA_IP_V4_SRC);
    const auto destination = number<std::uint32_t>(*addresses, CTA_IP_V4_DST);
    const auto source_port = number<std::uint16_t>(*transport, CTA_PROTO_SRC_PORT);
    const auto destination_port = number<std::uint16_t>(*transport, CTA_PROTO_DST_PORT);
    if (!protocol || !source || !destination || !source_port || !destination_port) {
        return std::nullopt;
    }
    return ProtocolTuple{{{*source, *source_port}, {*destination, *destination_port}}, *protocol};
}

}  // namespace

std::optional<Flow> decode_flow(const nlmsghdr* message) {
    const auto attributes = Attributes::of(message, sizeof(nfgenmsg));
    if (!attributes) return std::nullopt;
    const auto original = decode_tuple(*attributes, CTA_TUPLE_ORIG);
    const auto reply = decode_tuple(*attributes, CTA_TUPLE_REPLY);
    const auto id = number<std::uint32_t>(*attributes, CTA_ID);
    const auto status = number<std::uint32_t>(*attributes, CTA_STATUS);
    if (!original || !reply || !id || !status) return std::nullopt;
    const auto protocol = Protocol{original->protocol};
    if (protocol != Protocol::udp && protocol != Protocol::tcp) return std::nullopt;
    return Flow{*id,
                protocol,
                original->tuple,
                reply->tuple,
                (*status & IPS_SEEN_REPLY) != 0,
                (*status & IPS_OFFLOAD) != 0};
}

void put_conntrack_header(nlmsghdr* message) {
    auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
    header->nfgen_family = AF_INET;
    header->version = NFNETLINK_V0;
}

void put_tuple(nlmsghdr* message, Protocol protocol, const FlowTuple& tuple) {
    auto* nest = mnl_attr_nest_start(message, CTA_TUPLE_ORIG);
    auto* addresses = mnl_attr_nest_start(message, CTA_TUPLE_IP);
    mnl_attr_put_u32(message, CTA_IP_V4_SRC, htonl(tuple.source.address));
    mnl_attr_put_u32(message, CTA_IP_V4_DST, htonl(tuple.destination.address));
    mnl_attr_nest_end(message, addresses);
    auto* transport = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);
    mnl_attr_put_u8(message, CTA_PROTO_NUM, static_cast<std::uint8_t>(protocol));
    mnl_attr_put_u16(message, CTA_PROTO_SRC_PORT, htons(tuple.source.port));
    mnl_attr_put_u16(message, CTA_PROTO_DST_PORT, htons(tuple.destination.port));
    mnl_attr_nest_end(message, transport);
    mnl_attr_nest_end(message, nest);
}

void FlowJudge::follow(const SettleOrder& order) {
    const auto endpoint = [](const Mapping& mapping) {
        const FlowEnd end{mapping.host->v4_value(), mapping.internal_port.value()};
        return endpoint_key(mapping.protocol, end);
    };
    const auto port = [](const Mapping& mapping) {
        return port_key(mapping.protocol, mapping.external_port.value());
    };
    const auto outside = [](const Mapping& mapping) {
        const auto address = mapping.external_address.fixed();
        return FlowEnd{address ? address->v4_value() : 0, mapping.external_port.value()};
    };
    for (const auto& mapping : order.mappings.removed) {
        if (mapping.host) {
            external_ports_.erase(endpoint(mapping));
            removed_.insert({endpoint(mapping), outside(mapping)});
        }
        mapping.external_address.is_any()
            ? taken_.erase(port(mapping))
            : taken_on_one_.erase({mapping.protocol, outside(mapping)});
    }
    for (const auto& mapping : order.mappings.added) {
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
    for (const auto& address : scope_.wan_addresses) wan_addresses_.insert(address.v4_value());
    for (const auto& address : order.gone_addresses) gone_addresses_.insert(address.v4_value());
    for (const auto address : wan_addresses_) gone_addresses_.erase(address);
    own_.clear();
    for (const auto& [protocol, own] : scope_.own_ports) {
        own_.insert(port_key(protocol, own.value()));
    }
}

const FlowJudge::Owned* FlowJudge::owned_by(Protocol protocol, const FlowEnd& host) const {
    const auto found = external_ports_.find(endpoint_key(protocol, host));
    return found != external_ports_.end() ? &found->second : nullptr;
}

bool FlowJudge::is_taken(Protocol protocol, const FlowEnd& outside) const {
    return wan_addresses_.contains(outside.address) &&
           (taken_.contains(port_key(protocol, outside.port)) ||
            taken_on_one_.contains({protocol, outside}));
}

FlowVerdict FlowJudge::judge(const Flow& flow) const {
    const auto is_wan = [this](const FlowEnd& end) { return wan_addresses_.contains(end.address); };
    if (const auto* owned = owned_by(flow.protocol, flow.original.source)) {
        const auto fixed = owned->external_address;
        if (fixed == 0 || wan_addresses_.contains(fixed)) return judge_owners(flow, *owned);
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

bool FlowJudge::is_owners(const Flow& flow) const {
    return external_ports_.contains(endpoint_key(flow.protocol, flow.original.source));
}

// What the rules have sent on by a mapping that is no more, or from an address that is.
bool FlowJudge::is_sent_to_former_owner(const Flow& flow) const {
    if (!flow.destination_translated()) return false;
    const auto& outside = flow.original.destination;
    const auto owner = endpoint_key(flow.protocol, flow.reply.source);
    const auto* owned = owned_by(flow.protocol, flow.reply.source);
    const bool still_there = owned != nullptr && owned->is_at(outside);
    const bool was_there =
        removed_.contains({owner, outside}) || removed_.contains({owner, FlowEnd{0, outside.port}});
    const bool gone = gone_addresses_.contains(outside.address);
    const bool away = owned != nullptr && owned->external_address != 0 &&
                      !wan_addresses_.contains(owned->external_address);
    if (still_there) return gone || away;
    return was_there && (gone || wan_addresses_.contains(outside.address));
}

// Its remote has begun it.
bool FlowJudge::is_sent_to_owner(const Flow& flow) const {
    if (!flow.destination_translated()) return false;
    const auto& outside = flow.original.destination;
    const auto* owned = owned_by(flow.protocol, flow.reply.source);
    return owned != nullptr && owned->is_at(outside) && wan_addresses_.contains(outside.address);
}

std::optional<Sighting> FlowJudge::shows(const Flow& flow) const {
    if (!looks_ || is_gateways(flow)) return std::nullopt;
    if (flow.seen_reply && is_sent_to_owner(flow)) return end_of(flow.protocol, flow.reply.source);
    const auto& from = flow.original.source;
    if (is_owners(flow)) return end_of(flow.protocol, from);
    const auto port = Port::from(from.port);
    const bool watched = flow.protocol == Protocol::udp && port && scope_.watched &&
                         scope_.watched->contains(*port) && flow.source_translated() &&
                         wan_addresses_.contains(flow.reply.destination.address) &&
                         in(scope_.nat_sources, from);
    return watched ? end_of(flow.protocol, from) : std::nullopt;
}

std::optional<SeenContact> FlowJudge::contact_of(const Flow& flow) const {
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
    return SeenContact{*owner, *port, Address::v4(remote.address)};
}

FlowVerdict FlowJudge::judge_owners(const Flow& flow, const Owned& owned) const {
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
    const bool meant_to_be = in(scope_.nat_sources, flow.original.source) &&
                             !in(scope_.exempt, flow.original.destination);
    return meant_to_be ? FlowVerdict::wrong_if_through_wan : FlowVerdict::fine;
}

}  // namespace porthole::nft
