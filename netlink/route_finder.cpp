// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/route_finder.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "netlink/message.hpp"
#include "netlink/socket.hpp"

namespace porthole::netlink {

RouteFinder::RouteFinder() : RouteFinder(std::make_unique<Socket>(NETLINK_ROUTE)) {}

RouteFinder::RouteFinder(std::unique_ptr<Transport> transport)
    : connection_(std::move(transport)) {}

unsigned RouteFinder::outgoing_interface(const Address& host, const Address& destination) {
    const auto incoming = route_to(host, host, 0).interface;
    return incoming == 0 ? 0 : route_to(destination, host, incoming).interface;
}

std::optional<std::uint32_t> RouteFinder::path_mtu(const Address& destination, std::uint32_t fwmark,
                                                   unsigned other_than) {
    const auto route = route_to(destination, destination, 0, fwmark);
    if (route.interface == 0 || route.interface == other_than) return std::nullopt;
    if (route.mtu != 0) return route.mtu;
    Batch batch;
    batch.add("read the MTU of an interface", RTM_GETLINK, 0, [&route](nlmsghdr* message) {
        auto* header =
            static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg)));
        header->ifi_index = static_cast<int>(route.interface);
    });
    std::optional<std::uint32_t> bytes;
    connection_.execute(std::move(batch).finalize(), [&bytes](const nlmsghdr* answer) {
        const auto attributes = Attributes::of(answer, sizeof(ifinfomsg));
        if (attributes) bytes = attributes->u32(IFLA_MTU);
    });
    return bytes;
}

// `source` and `incoming`: as for a packet that comes in there; 0: as for one of our own.
RouteFinder::Route RouteFinder::route_to(const Address& destination, const Address& source,
                                         unsigned incoming, std::uint32_t fwmark) {
    Batch batch;
    batch.add("find the route to " + to_text(destination), RTM_GETROUTE, 0, [&](nlmsghdr* message) {
        auto* header = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtmsg)));
        const auto put = [message](std::uint16_t type, const Address& address) {
            const auto bytes = address.bytes();
            mnl_attr_put(message, type, bytes.size(), bytes.data());
            return static_cast<std::uint8_t>(8 * bytes.size());
        };
        header->rtm_family = destination.family() == Family::ipv4 ? AF_INET : AF_INET6;
        header->rtm_dst_len = put(RTA_DST, destination);
        if (fwmark != 0) mnl_attr_put_u32(message, RTA_MARK, fwmark);
        if (incoming == 0) return;
        header->rtm_src_len = put(RTA_SRC, source);
        mnl_attr_put_u32(message, RTA_IIF, incoming);
    });
    Route route;
    try {
        connection_.execute(std::move(batch).finalize(), [&route](const nlmsghdr* answer) {
            const auto attributes = Attributes::of(answer, sizeof(rtmsg));
            if (!attributes) return;
            route.interface = attributes->u32(RTA_OIF).value_or(0);
            const auto metrics = attributes->nested(RTA_METRICS);
            if (metrics) route.mtu = metrics->u32(RTAX_MTU).value_or(0);
        });
    } catch (const BatchFailure& failure) {
        static constexpr std::array no_route{ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL, EXDEV};
        if (std::ranges::count(no_route, failure.code()) == 0) throw;
        return {};
    }
    return route;
}

}  // namespace porthole::netlink
