// SPDX-License-Identifier: GPL-2.0-or-later
#include "nft/kernel_tracer.hpp"

#include <cerrno>

#include <linux/netfilter/nfnetlink_conntrack.h>

#include "flow.hpp"
#include "netlink/socket.hpp"

namespace porthole::nft {
namespace {

template <typename Bits>
std::optional<TrackedFlow> decode(const nlmsghdr* message) {
    const auto flow = decode_flow<Bits>(message);
    return flow ? to_tracked(*flow) : std::nullopt;
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
                  put_conntrack_header(message, source.address.family());
                  put_tuple(message, protocol, source.address, source.port.value(),
                            destination.address, destination.port.value());
              });
    std::optional<TrackedFlow> found;
    try {
        conntrack_.execute(std::move(batch).finalize(), [&](const nlmsghdr* answer) {
            const auto flow = ipv4 ? decode<Ipv4Bits>(answer) : decode<Ipv6Bits>(answer);
            if (flow) found = flow;
        });
    } catch (const netlink::BatchFailure& failure) {
        if (failure.code() != ENOENT) throw;
    }
    return found;
}

}  // namespace porthole::nft
