// SPDX-License-Identifier: GPL-2.0-or-later
#include "nft/kernel_tracer.hpp"

#include <cerrno>

#include <linux/netfilter/nfnetlink_conntrack.h>

#include "flow.hpp"
#include "ipv6_flow.hpp"
#include "netlink/socket.hpp"

namespace porthole::nft {
namespace {

FlowEnd end_of(const Place& place) { return {place.address.v4_value(), place.port.value()}; }

std::optional<Place> place_of(const FlowEnd& end) {
    const auto port = Port::from(end.port);
    return port ? std::optional(Place{Address::v4(end.address), *port}) : std::nullopt;
}

std::optional<TrackedFlow> tracked(const Flow& flow) {
    const auto source = place_of(flow.original.source);
    const auto destination = place_of(flow.original.destination);
    const auto remote = place_of(flow.reply.source);
    const auto shown = place_of(flow.reply.destination);
    if (!source || !destination || !remote || !shown) return std::nullopt;
    return TrackedFlow{*source, *destination, *remote, *shown, flow.seen_reply};
}

}  // namespace

KernelTracer::KernelTracer() : conntrack_(std::make_unique<netlink::Socket>(NETLINK_NETFILTER)) {}

int KernelTracer::way_out(const Address& host, const Address& remote) {
    return static_cast<int>(routes_.outgoing_interface(host, remote));
}

std::optional<TrackedFlow> KernelTracer::flow_of(Protocol protocol, const Place& source,
                                                 const Place& destination) {
    const bool ipv4 = source.address.family() == Family::ipv4;
    netlink::Batch batch;
    batch.add("find a flow in conntrack", conntrack_type(IPCTNL_MSG_CT_GET), 0,
              [&](nlmsghdr* message) {
                  if (ipv4) {
                      put_conntrack_header(message);
                      put_tuple(message, protocol, {end_of(source), end_of(destination)});
                  } else {
                      put_ipv6_conntrack_header(message);
                      put_ipv6_tuple(message, protocol, source, destination);
                  }
              });
    std::optional<TrackedFlow> found;
    try {
        conntrack_.execute(std::move(batch).finalize(), [&](const nlmsghdr* answer) {
            if (!ipv4) {
                if (const auto flow = decode_ipv6_flow(answer)) found = flow->ends;
            } else if (const auto flow = decode_flow(answer)) {
                found = tracked(*flow);
            }
        });
    } catch (const netlink::BatchFailure& failure) {
        if (failure.code() != ENOENT) throw;
    }
    return found;
}

}  // namespace porthole::nft
