// SPDX-License-Identifier: GPL-2.0-or-later
#include "ipv6_flow.hpp"

#include <algorithm>
#include <array>
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

struct Tuple {
    Place source;
    Place destination;
    std::uint8_t protocol;
};

std::optional<Address> address(const Attributes& attributes, std::uint16_t type) {
    const auto payload = attributes.payload(type);
    if (!payload || payload->size() != 16) return std::nullopt;
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), payload->data(), bytes.size());
    return Address::from_bytes(bytes);
}

std::optional<Port> port(const Attributes& attributes, std::uint16_t type) {
    const auto payload = attributes.payload(type);
    std::uint16_t number = 0;
    if (!payload || payload->size() != sizeof(number)) return std::nullopt;
    std::memcpy(&number, payload->data(), sizeof(number));
    return Port::from(ntohs(number));
}

std::optional<Tuple> decode_tuple(const Attributes& flow, std::uint16_t type) {
    const auto tuple = flow.nested(type);
    if (!tuple) return std::nullopt;
    const auto addresses = tuple->nested(CTA_TUPLE_IP);
    const auto transport = tuple->nested(CTA_TUPLE_PROTO);
    if (!addresses || !transport) return std::nullopt;
    const auto protocol = transport->payload(CTA_PROTO_NUM);
    const auto source = address(*addresses, CTA_IP_V6_SRC);
    const auto destination = address(*addresses, CTA_IP_V6_DST);
    const auto source_port = port(*transport, CTA_PROTO_SRC_PORT);
    const auto destination_port = port(*transport, CTA_PROTO_DST_PORT);
    const bool complete = protocol && protocol->size() == 1 && source && destination &&
                          source_port && destination_port;
    if (!complete) return std::nullopt;
    return Tuple{{*source, *source_port},
                 {*destination, *destination_port},
                 static_cast<std::uint8_t>(protocol->front())};
}

}  // namespace

void put_ipv6_conntrack_header(nlmsghdr* message) {
    auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
    header->nfgen_family = AF_INET6;
    header->version = NFNETLINK_V0;
}

void put_ipv6_tuple(nlmsghdr* message, Protocol protocol, const Place& source,
                    const Place& destination) {
    const auto put_address = [message](std::uint16_t type, const Address& address) {
        mnl_attr_put(message, type, address.bytes().size(), address.bytes().data());
    };
    auto* nest = mnl_attr_nest_start(message, CTA_TUPLE_ORIG);
    auto* addresses = mnl_attr_nest_start(message, CTA_TUPLE_IP);
    put_address(CTA_IP_V6_SRC, source.address);
    put_address(CTA_IP_V6_DST, destination.address);
    mnl_attr_nest_end(message, addresses);
    auto* transport = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);
    mnl_attr_put_u8(message, CTA_PROTO_NUM, static_cast<std::uint8_t>(protocol));
    mnl_attr_put_u16(message, CTA_PROTO_SRC_PORT, htons(source.port.value()));
    mnl_attr_put_u16(message, CTA_PROTO_DST_PORT, htons(destination.port.value()));
    mnl_attr_nest_end(message, transport);
    mnl_attr_nest_end(message, nest);
}

std::optional<Ipv6Flow> decode_ipv6_flow(const nlmsghdr* message) {
    const auto attributes = Attributes::of(message, sizeof(nfgenmsg));
    if (!attributes) return std::nullopt;
    const auto original = decode_tuple(*attributes, CTA_TUPLE_ORIG);
    const auto reply = decode_tuple(*attributes, CTA_TUPLE_REPLY);
    const auto id = attributes->u32(CTA_ID);
    const auto status = attributes->u32(CTA_STATUS);
    if (!original || !reply || !id || !status) return std::nullopt;
    const auto protocol = Protocol{original->protocol};
    if (protocol != Protocol::udp && protocol != Protocol::tcp) return std::nullopt;
    const bool answered = (ntohl(*status) & IPS_SEEN_REPLY) != 0;
    return Ipv6Flow{
        ntohl(*id),
        protocol,
        {original->source, original->destination, reply->source, reply->destination, answered}};
}

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
    const auto& host = flow.ends.destination;
    return !flow.ends.answered && new_.contains({host.address, flow.protocol, host.port}) &&
           !is_inside(flow.ends.source);
}

std::optional<SeenContact> PinholeWatch::contact_of(const Ipv6Flow& flow) const {
    const auto contact = [&](const Place& host, const Place& remote) {
        const Sighting owner{host.address, flow.protocol, host.port};
        return pinholes_.contains(owner) && !is_inside(remote)
                   ? std::optional(SeenContact{owner, host.port, remote.address})
                   : std::nullopt;
    };
    const auto& [source, destination, remote, shown, answered] = flow.ends;
    if (auto found = contact(source, remote)) return found;
    return answered ? contact(destination, source) : std::nullopt;
}

}  // namespace porthole::nft
