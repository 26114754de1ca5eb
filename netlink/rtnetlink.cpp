// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/rtnetlink.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <system_error>
#include <tuple>
#include <utility>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "netlink/message.hpp"
#include "netlink/socket.hpp"

namespace porthole::netlink {
namespace {

template <typename Header>
const Header& header_of(const nlmsghdr* message) {
    return *static_cast<const Header*>(mnl_nlmsg_get_payload(message));
}

LinkLayer layer_of(unsigned hardware_type) {
    switch (hardware_type) {
        case ARPHRD_ETHER:
            return LinkLayer::ethernet;
        case ARPHRD_PPP:
        case ARPHRD_NONE:
            return LinkLayer::point_to_point;
        case ARPHRD_LOOPBACK:
            return LinkLayer::loopback;
        default:
            return LinkLayer::other;
    }
}

// A link whose driver does not tell its carrier has the operational state "unknown".
bool is_up(unsigned flags, const Attributes& attributes) {
    if ((flags & IFF_UP) == 0) return false;
    const auto state = attributes.u8(IFLA_OPERSTATE);
    return (flags & IFF_LOWER_UP) != 0 || state == IF_OPER_UP || state == IF_OPER_UNKNOWN;
}

std::optional<Family> family_from(unsigned char number) {
    if (number == AF_INET) return Family::ipv4;
    if (number == AF_INET6) return Family::ipv6;
    return std::nullopt;
}

std::optional<Address> address_from(std::span<const std::byte> bytes) {
    const auto* data = static_cast<const std::uint8_t*>(static_cast<const void*>(bytes.data()));
    return Address::from_bytes({data, bytes.size()});
}

// The attributes of a unicast route to everywhere in the main table.
std::optional<Attributes> default_route_attributes(const nlmsghdr* message) {
    const auto attributes = Attributes::of(message, sizeof(rtmsg));
    if (!attributes) return std::nullopt;
    const auto& route = header_of<rtmsg>(message);
    const bool is_default = route.rtm_dst_len == 0 && route.rtm_type == RTN_UNICAST &&
                            (route.rtm_flags & RTM_F_CLONED) == 0 &&
                            family_from(route.rtm_family).has_value();
    const auto table = attributes->u32(RTA_TABLE).value_or(route.rtm_table);
    return is_default && table == RT_TABLE_MAIN ? attributes : std::nullopt;
}

// The interfaces of a route's next hops; nothing if one of them is cut short.
std::vector<int> next_hops(const Attributes& attributes) {
    if (const auto index = attributes.u32(RTA_OIF)) return {static_cast<int>(*index)};
    std::vector<int> indices;
    auto rest = attributes.payload(RTA_MULTIPATH).value_or(std::span<const std::byte>());
    while (!rest.empty()) {
        if (rest.size() < sizeof(rtnexthop)) return {};
        const auto* hop = static_cast<const rtnexthop*>(static_cast<const void*>(rest.data()));
        if (hop->rtnh_len < sizeof(rtnexthop) || hop->rtnh_len > rest.size()) return {};
        indices.push_back(hop->rtnh_ifindex);
        rest = rest.subspan(std::min(padded(hop->rtnh_len), rest.size()));
    }
    return indices;
}

// What the links of a full routing table announce all day is not even worth waking up for.
void ignore_specific_routes(int descriptor) {
    const auto load = [](unsigned short size, std::size_t offset) {
        return sock_filter{static_cast<unsigned short>(BPF_LD | BPF_ABS | size), 0, 0,
                           static_cast<std::uint32_t>(offset)};
    };
    const auto skip_unless = [](unsigned value, std::uint8_t if_equal, std::uint8_t otherwise) {
        return sock_filter{BPF_JMP | BPF_JEQ | BPF_K, if_equal, otherwise, value};
    };
    const auto keep = [](std::uint32_t bytes) { return sock_filter{BPF_RET | BPF_K, 0, 0, bytes}; };
    std::array program{
        load(BPF_H, offsetof(nlmsghdr, nlmsg_type)),
        skip_unless(htons(RTM_NEWROUTE), 1, 0),
        skip_unless(htons(RTM_DELROUTE), 0, 2),
        load(BPF_B, NLMSG_HDRLEN + offsetof(rtmsg, rtm_dst_len)),
        skip_unless(0, 0, 1),
        keep(UINT32_MAX),
        keep(0),
    };
    const sock_fprog filter{program.size(), program.data()};
    if (setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) != 0) {
        throw std::system_error(errno, std::generic_category(), "filter route notifications");
    }
}

std::vector<Link> read_links(Connection& connection) {
    std::vector<Link> links;
    connection.dump(
        "list links", RTM_GETLINK,
        [](nlmsghdr* message) {
            mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg));
            mnl_attr_put_u32(message, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        },
        [&](const nlmsghdr* message) {
            if (auto link = decode_link(message)) links.push_back(*std::move(link));
        },
        [&] { links.clear(); });
    std::ranges::sort(links, {}, &Link::index);
    return links;
}

std::vector<LinkAddress> read_addresses(Connection& connection) {
    std::vector<LinkAddress> addresses;
    connection.dump(
        "list addresses", RTM_GETADDR,
        [](nlmsghdr* message) { mnl_nlmsg_put_extra_header(message, sizeof(ifaddrmsg)); },
        [&](const nlmsghdr* message) {
            if (const auto address = decode_address(message)) addresses.push_back(*address);
        },
        [&] { addresses.clear(); });
    std::ranges::sort(addresses, {}, [](const LinkAddress& a) {
        return std::tuple(a.link_index, a.address, a.prefix_length);
    });
    return addresses;
}

// Kernels before 4.20 ignore the filter and list every table.
std::vector<DefaultRoute> read_default_routes(Connection& connection) {
    std::vector<DefaultRoute> routes;
    connection.dump(
        "list routes", RTM_GETROUTE,
        [](nlmsghdr* message) {
            auto* filter = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtmsg)));
            filter->rtm_type = RTN_UNICAST;
            mnl_attr_put_u32(message, RTA_TABLE, RT_TABLE_MAIN);
        },
        [&](const nlmsghdr* message) {
            const auto hops = decode_default_route(message);
            routes.insert(routes.end(), hops.begin(), hops.end());
        },
        [&] { routes.clear(); });
    std::ranges::sort(routes, {}, [](const DefaultRoute& r) {
        return std::tuple(r.family, r.metric, r.link_index);
    });
    return routes;
}

constexpr std::array<unsigned, 5> interface_groups{
    RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
};

}  // namespace

std::optional<Link> decode_link(const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWLINK) return std::nullopt;
    const auto attributes = Attributes::of(message, sizeof(ifinfomsg));
    if (!attributes) return std::nullopt;
    const auto& header = header_of<ifinfomsg>(message);
    auto name = TextForm<InterfaceName>::parse(attributes->text(IFLA_IFNAME));
    // Of AF_BRIDGE: not the link, but its being a port of a bridge.
    if (!name || header.ifi_family != AF_UNSPEC) return std::nullopt;
    const auto info = attributes->nested(IFLA_LINKINFO);
    return Link{header.ifi_index, *std::move(name), layer_of(header.ifi_type),
                std::string(info ? info->text(IFLA_INFO_KIND) : ""),
                is_up(header.ifi_flags, *attributes)};
}

std::optional<LinkAddress> decode_address(const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWADDR) return std::nullopt;
    const auto attributes = Attributes::of(message, sizeof(ifaddrmsg));
    if (!attributes) return std::nullopt;
    const auto& header = header_of<ifaddrmsg>(message);
    const auto flags = attributes->u32(IFA_FLAGS).value_or(header.ifa_flags);
    if ((flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0) return std::nullopt;
    return decode_assigned_address(message);
}

std::optional<LinkAddress> decode_assigned_address(const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWADDR) return std::nullopt;
    const auto attributes = Attributes::of(message, sizeof(ifaddrmsg));
    if (!attributes) return std::nullopt;
    const auto& header = header_of<ifaddrmsg>(message);
    // On a point-to-point link, IFA_ADDRESS is the other end's.
    auto bytes = attributes->payload(IFA_LOCAL);
    if (!bytes) bytes = attributes->payload(IFA_ADDRESS);
    const auto address = bytes ? address_from(*bytes) : std::nullopt;
    if (!address || address->family() != family_from(header.ifa_family) ||
        header.ifa_prefixlen > 8 * address->bytes().size()) {
        return std::nullopt;
    }
    return LinkAddress{static_cast<int>(header.ifa_index), *address, header.ifa_prefixlen};
}

std::vector<DefaultRoute> decode_default_route(const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWROUTE) return {};
    const auto attributes = default_route_attributes(message);
    if (!attributes) return {};
    const auto family = *family_from(header_of<rtmsg>(message).rtm_family);
    const auto metric = attributes->u32(RTA_PRIORITY).value_or(0);
    std::vector<DefaultRoute> routes;
    for (const auto index : next_hops(*attributes)) routes.push_back({index, family, metric});
    return routes;
}

bool concerns_interfaces(const nlmsghdr* message) {
    switch (message->nlmsg_type) {
        case RTM_NEWLINK:
        case RTM_DELLINK:
            return Attributes::of(message, sizeof(ifinfomsg)) &&
                   header_of<ifinfomsg>(message).ifi_family == AF_UNSPEC;
        case RTM_NEWADDR:
        case RTM_DELADDR:
            return Attributes::of(message, sizeof(ifaddrmsg)) &&
                   family_from(header_of<ifaddrmsg>(message).ifa_family);
        case RTM_NEWROUTE:
        case RTM_DELROUTE:
            return default_route_attributes(message).has_value();
        default:
            return false;
    }
}

InterfaceReader::InterfaceReader() : InterfaceReader(std::make_unique<Socket>(NETLINK_ROUTE)) {}

InterfaceReader::InterfaceReader(std::unique_ptr<Transport> transport)
    : connection_(std::move(transport)) {}

InterfaceSnapshot InterfaceReader::read() {
    return {read_links(connection_), read_addresses(connection_), read_default_routes(connection_)};
}

InterfaceMonitor::InterfaceMonitor()
    : InterfaceMonitor(std::make_unique<Socket>(NETLINK_ROUTE, interface_groups)) {
    ignore_specific_routes(descriptor());
}

InterfaceMonitor::InterfaceMonitor(std::unique_ptr<Transport> transport)
    : transport_(std::move(transport)) {}

bool InterfaceMonitor::changed() {
    bool changed = false;
    const bool complete = receive_all(*transport_, buffer_, [&](const nlmsghdr* message) {
        changed |= concerns_interfaces(message);
    });
    return changed || !complete;
}

}  // namespace porthole::netlink
