// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/links.hpp"

#include <array>
#include <functional>
#include <memory>
#include <set>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "netlink/connection.hpp"
#include "netlink/socket.hpp"
#include "types/address.hpp"

namespace porthole::lab {
namespace {

constexpr std::uint16_t create = NLM_F_CREATE | NLM_F_EXCL;

using Payload = std::function<void(nlmsghdr*)>;

void execute(const Namespace& where, const std::string& command, std::uint16_t type,
             std::uint16_t flags, const Payload& payload) {
    where.run([&] {
        netlink::Batch batch;
        batch.add(fmt::format("{} in {}", command, where.name()), type, flags, payload);
        netlink::Connection connection(std::make_unique<netlink::Socket>(NETLINK_ROUTE));
        connection.execute(std::move(batch).finalize());
    });
}

template <typename Header>
Header& put_header(nlmsghdr* message) {
    return *static_cast<Header*>(mnl_nlmsg_put_extra_header(message, sizeof(Header)));
}

ifinfomsg& put_link(nlmsghdr* message, const std::string& name) {
    auto& header = put_header<ifinfomsg>(message);
    mnl_attr_put_strz(message, IFLA_IFNAME, name.c_str());
    return header;
}

void put_raised_link(nlmsghdr* message, const std::string& name) {
    auto& header = put_link(message, name);
    header.ifi_flags = header.ifi_change = IFF_UP;
}

void put_address(nlmsghdr* message, std::uint16_t attribute, const Address& address) {
    mnl_attr_put(message, attribute, address.bytes().size(), address.bytes().data());
}

unsigned char family_number(const Address& address) {
    return address.family() == Family::ipv4 ? AF_INET : AF_INET6;
}

struct AddressWithPrefix {
    Address address;
    unsigned prefix_length;
};

AddressWithPrefix parse_with_prefix(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) {
        throw std::invalid_argument(fmt::format("{} has no prefix length", text));
    }
    return {parse<Address>("address", text.substr(0, slash)),
            static_cast<unsigned>(std::stoul(std::string(text.substr(slash + 1))))};
}

void change_address(const Namespace& where, const std::string& link, std::string_view text,
                    std::uint16_t type, std::uint16_t flags) {
    const auto [address, prefix_length] = parse_with_prefix(text);
    const auto index = where.link_index(link);
    execute(where, fmt::format("address {} on {}", text, link), type, flags,
            [&, &address = address, prefix_length = prefix_length](nlmsghdr* message) {
                auto& header = put_header<ifaddrmsg>(message);
                header.ifa_family = family_number(address);
                header.ifa_prefixlen = static_cast<unsigned char>(prefix_length);
                header.ifa_index = index;
                put_address(message, IFA_LOCAL, address);
                put_address(message, IFA_ADDRESS, address);
            });
}

void change_route(const Namespace& where, std::string_view text, std::string_view via,
                  std::uint16_t type, std::uint16_t flags) {
    const auto destination = parse<Network>("destination", text);
    const auto router = parse<Address>("via", via);
    execute(where, fmt::format("route to {} via {}", text, via), type, flags,
            [&](nlmsghdr* message) {
                auto& header = put_header<rtmsg>(message);
                header.rtm_family = family_number(router);
                header.rtm_dst_len = static_cast<unsigned char>(destination.prefix_length());
                header.rtm_table = RT_TABLE_MAIN;
                header.rtm_protocol = RTPROT_STATIC;
                header.rtm_scope = RT_SCOPE_UNIVERSE;
                header.rtm_type = RTN_UNICAST;
                if (destination.prefix_length() != 0) {
                    put_address(message, RTA_DST, destination.address());
                }
                put_address(message, RTA_GATEWAY, router);
            });
}

void plug_in(const Plug& plug) {
    if (plug.bridge.empty()) return;
    const auto bridge = plug.where.link_index(plug.bridge);
    execute(plug.where, fmt::format("port {} of {}", plug.name, plug.bridge), RTM_NEWLINK, 0,
            [&](nlmsghdr* message) {
                put_link(message, plug.name);
                mnl_attr_put_u32(message, IFLA_MASTER, bridge);
            });
}

// IF_OPER_UNKNOWN is what a link reports that has no carrier to tell of.
bool has_carrier(const nlmsghdr* message) {
    std::uint8_t state = IF_OPER_UNKNOWN;
    const auto read = [](const nlattr* attribute, void* into) {
        if (mnl_attr_get_type(attribute) == IFLA_OPERSTATE) {
            *static_cast<std::uint8_t*>(into) = mnl_attr_get_u8(attribute);
        }
        return MNL_CB_OK;
    };
    mnl_attr_parse(message, sizeof(ifinfomsg), read, &state);
    return state == IF_OPER_UP || state == IF_OPER_UNKNOWN;
}

template <typename Header>
const Header& header_of(const nlmsghdr* message) {
    return *static_cast<const Header*>(mnl_nlmsg_get_payload(message));
}

// Whether the Ethernet links that were raised have a carrier and a link-local address, and all IPv6
// addresses can be used.
bool links_are_ready(netlink::Connection& connection) {
    std::set<unsigned> without_address;
    bool ready = true;
    connection.dump(
        "list links", RTM_GETLINK, [](nlmsghdr* message) { put_header<ifinfomsg>(message); },
        [&](const nlmsghdr* message) {
            const auto& link = header_of<ifinfomsg>(message);
            if ((link.ifi_flags & IFF_UP) == 0 || link.ifi_type != ARPHRD_ETHER) return;
            without_address.insert(static_cast<unsigned>(link.ifi_index));
            ready = ready && has_carrier(message);
        },
        [&] {
            without_address.clear();
            ready = true;
        });
    connection.dump(
        "list addresses", RTM_GETADDR,
        [](nlmsghdr* message) { put_header<ifaddrmsg>(message).ifa_family = AF_INET6; },
        [&](const nlmsghdr* message) {
            const auto& address = header_of<ifaddrmsg>(message);
            if (address.ifa_scope == RT_SCOPE_LINK) without_address.erase(address.ifa_index);
            ready = ready && (address.ifa_flags & IFA_F_TENTATIVE) == 0;
        },
        [] {});
    return ready && without_address.empty();
}

}  // namespace

void add_bridge(const Namespace& where, const std::string& name) {
    execute(where, "bridge " + name, RTM_NEWLINK, create, [&](nlmsghdr* message) {
        put_raised_link(message, name);
        auto* info = mnl_attr_nest_start(message, IFLA_LINKINFO);
        mnl_attr_put_strz(message, IFLA_INFO_KIND, "bridge");
        mnl_attr_nest_end(message, info);
    });
}

void add_cable(const Plug& one, const Plug& other) {
    execute(one.where, fmt::format("cable {} to {}", one.name, other.name), RTM_NEWLINK, create,
            [&](nlmsghdr* message) {
                put_raised_link(message, one.name);
                auto* info = mnl_attr_nest_start(message, IFLA_LINKINFO);
                mnl_attr_put_strz(message, IFLA_INFO_KIND, "veth");
                auto* data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
                auto* peer = mnl_attr_nest_start(message, VETH_INFO_PEER);
                put_link(message, other.name);
                mnl_attr_put_u32(message, IFLA_NET_NS_FD,
                                 static_cast<std::uint32_t>(other.where.descriptor()));
                mnl_attr_nest_end(message, peer);
                mnl_attr_nest_end(message, data);
                mnl_attr_nest_end(message, info);
            });
    set_link(other.where, other.name, true);  // the kernel refuses it (ENOTCONN) until now
    plug_in(one);
    plug_in(other);
}

void add_link(const Namespace& where, const std::string& name, const std::string& kind) {
    execute(where, fmt::format("{} {}", kind, name), RTM_NEWLINK, create, [&](nlmsghdr* message) {
        put_link(message, name);
        auto* info = mnl_attr_nest_start(message, IFLA_LINKINFO);
        mnl_attr_put_strz(message, IFLA_INFO_KIND, kind.c_str());
        mnl_attr_nest_end(message, info);
    });
}

void delete_link(const Namespace& where, const std::string& name) {
    execute(where, "delete link " + name, RTM_DELLINK, 0,
            [&](nlmsghdr* message) { put_link(message, name); });
}

void set_link(const Namespace& where, const std::string& name, bool up) {
    execute(where, fmt::format("{} {}", name, up ? "up" : "down"), RTM_NEWLINK, 0,
            [&](nlmsghdr* message) {
                auto& header = put_link(message, name);
                header.ifi_change = IFF_UP;
                header.ifi_flags = up ? IFF_UP : 0;
            });
}

void add_address(const Namespace& where, const std::string& link, std::string_view address) {
    change_address(where, link, address, RTM_NEWADDR, create);
}

void delete_address(const Namespace& where, const std::string& link, std::string_view address) {
    change_address(where, link, address, RTM_DELADDR, 0);
}

void add_route(const Namespace& where, std::string_view destination, std::string_view via) {
    change_route(where, destination, via, RTM_NEWROUTE, create);
}

void delete_route(const Namespace& where, std::string_view destination, std::string_view via) {
    change_route(where, destination, via, RTM_DELROUTE, 0);
}

void wait_for_links(const Namespace& where, const Deadline& deadline) {
    where.run([&] {
        constexpr std::array<unsigned, 2> groups{RTNLGRP_LINK, RTNLGRP_IPV6_IFADDR};
        netlink::Socket notifications(NETLINK_ROUTE, groups);
        netlink::Connection connection(std::make_unique<netlink::Socket>(NETLINK_ROUTE));
        std::vector<std::byte> buffer(64UL * 1024);
        while (!links_are_ready(connection)) {
            if (!deadline.poll(notifications.descriptor(), POLLIN)) {
                throw std::runtime_error(
                    fmt::format("the links of {} do not come up", where.name()));
            }
            while (notifications.receive(buffer) != 0) {
            }
        }
    });
}

}  // namespace porthole::lab
