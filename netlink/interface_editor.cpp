// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/interface_editor.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <iterator>
#include <utility>

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "netlink/message.hpp"
#include "netlink/rtnetlink.hpp"
#include "netlink/socket.hpp"
#include "types/sorted.hpp"

namespace porthole::netlink {
namespace {

template <typename Header>
Header& put_header(nlmsghdr* message) {
    return *static_cast<Header*>(mnl_nlmsg_put_extra_header(message, sizeof(Header)));
}

void put_address(nlmsghdr* message, std::uint16_t type, const Address& address) {
    mnl_attr_put(message, type, address.bytes().size(), address.bytes().data());
}

unsigned char number_of(Family family) { return family == Family::ipv4 ? AF_INET : AF_INET6; }

// What is in one list and not in the other. Both are sorted.
template <typename T>
std::vector<T> only_in(const std::vector<T>& list, const std::vector<T>& other) {
    std::vector<T> found;
    std::ranges::set_difference(list, other, std::back_inserter(found));
    return found;
}

std::optional<OwnRoute> decode_own_route(const nlmsghdr* message, int index) {
    const auto attributes = Attributes::of(message, sizeof(rtmsg));
    if (message->nlmsg_type != RTM_NEWROUTE || !attributes) return std::nullopt;
    const auto& header = *static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
    const bool ours = header.rtm_protocol == InterfaceEditor::route_protocol &&
                      attributes->u32(RTA_OIF) == static_cast<std::uint32_t>(index);
    const bool ipv4 = header.rtm_family == AF_INET;
    if (!ours || (!ipv4 && header.rtm_family != AF_INET6)) return std::nullopt;
    std::array<std::uint8_t, 16> bytes{};
    const auto wire = attributes->payload(RTA_DST).value_or(std::span<const std::byte>());
    const std::size_t size = ipv4 ? 4 : 16;
    if (wire.size() > size) return std::nullopt;
    std::ranges::transform(wire, bytes.begin(),
                           [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
    const auto address = Address::from_bytes(std::span(bytes).first(size));
    const auto destination = address ? Network::from(*address, header.rtm_dst_len) : std::nullopt;
    if (!destination) return std::nullopt;
    return OwnRoute{{*destination, attributes->u32(RTA_TABLE).value_or(header.rtm_table)},
                    attributes->u32(RTA_PRIORITY).value_or(0)};
}

std::vector<OwnRoute> own_routes(Connection& connection, const std::string& name, int index) {
    std::vector<OwnRoute> routes;
    connection.dump(
        "list the routes through " + name, RTM_GETROUTE,
        [](nlmsghdr* message) { put_header<rtmsg>(message); },
        [&](const nlmsghdr* message) {
            if (const auto route = decode_own_route(message, index)) routes.push_back(*route);
        },
        [&] { routes.clear(); });
    sort_unique(routes);
    return routes;
}

// As the kernel has them; sorted.
std::vector<OwnRoute> own_routes(const std::vector<LinkRoute>& routes, std::uint32_t metric) {
    constexpr std::uint32_t default_ipv6_metric = 1024;  // IP6_RT_PRIO_USER: 0 means it
    std::vector<OwnRoute> sorted;
    for (const auto& route : routes) {
        const bool ipv6 = route.destination.address().family() == Family::ipv6;
        sorted.push_back({route, metric == 0 && ipv6 ? default_ipv6_metric : metric});
    }
    sort_unique(sorted);
    return sorted;
}

void add_route_command(Batch& batch, bool add, const std::string& name, int index,
                       const OwnRoute& each) {
    const auto& network = each.route.destination;
    const auto family = network.address().family();
    const auto flags = static_cast<std::uint16_t>(add ? NLM_F_CREATE | NLM_F_EXCL : 0);
    batch.add((add ? "add route " : "remove route ") + to_text(network) + " through " + name,
              add ? RTM_NEWROUTE : RTM_DELROUTE, flags, [&](nlmsghdr* message) {
                  auto& header = put_header<rtmsg>(message);
                  header.rtm_family = number_of(family);
                  header.rtm_dst_len = static_cast<unsigned char>(network.prefix_length());
                  header.rtm_protocol = InterfaceEditor::route_protocol;
                  header.rtm_scope = family == Family::ipv4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
                  header.rtm_type = RTN_UNICAST;
                  if (network.prefix_length() != 0) {
                      put_address(message, RTA_DST, network.address());
                  }
                  mnl_attr_put_u32(message, RTA_TABLE, each.route.table);
                  mnl_attr_put_u32(message, RTA_OIF, static_cast<std::uint32_t>(index));
                  mnl_attr_put_u32(message, RTA_PRIORITY, each.metric);
              });
}

}  // namespace

InterfaceEditor::InterfaceEditor() : InterfaceEditor(std::make_unique<Socket>(NETLINK_ROUTE)) {}

InterfaceEditor::InterfaceEditor(std::unique_ptr<Transport> transport)
    : connection_(std::move(transport)) {}

void InterfaceEditor::create(const InterfaceName& name, std::string_view kind) {
    Batch batch;
    batch.add("make interface " + to_text(name), RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
              [&](nlmsghdr* message) {
                  put_header<ifinfomsg>(message);
                  mnl_attr_put_strz(message, IFLA_IFNAME, name.text().c_str());
                  mnl_attr_put_u32(message, IFLA_GROUP, own_group);
                  auto* info = mnl_attr_nest_start(message, IFLA_LINKINFO);
                  mnl_attr_put_strz(message, IFLA_INFO_KIND, std::string(kind).c_str());
                  mnl_attr_nest_end(message, info);
              });
    connection_.execute(std::move(batch).finalize());
}

void InterfaceEditor::remove(const InterfaceName& name) {
    Batch batch;
    batch.add("remove interface " + to_text(name), RTM_DELLINK, 0, [&](nlmsghdr* message) {
        put_header<ifinfomsg>(message);
        mnl_attr_put_strz(message, IFLA_IFNAME, name.text().c_str());
    });
    connection_.execute(std::move(batch).finalize());
}

Link InterfaceEditor::find(const InterfaceName& name) {
    Batch batch;
    batch.add("find interface " + to_text(name), RTM_GETLINK, 0, [&](nlmsghdr* message) {
        put_header<ifinfomsg>(message);
        mnl_attr_put_strz(message, IFLA_IFNAME, name.text().c_str());
    });
    std::optional<Link> link;
    connection_.execute(std::move(batch).finalize(),
                        [&link](const nlmsghdr* answer) { link = decode_link(answer); });
    if (link) return *std::move(link);
    throw KernelFailure("find interface " + to_text(name), EBADMSG, "it cannot be understood");
}

void InterfaceEditor::set_alias(const InterfaceName& name, std::string_view alias) {
    Batch batch;
    batch.add("mark interface " + to_text(name), RTM_NEWLINK, 0, [&](nlmsghdr* message) {
        put_header<ifinfomsg>(message);
        mnl_attr_put_strz(message, IFLA_IFNAME, name.text().c_str());
        mnl_attr_put_strz(message, IFLA_IFALIAS, std::string(alias).c_str());
    });
    connection_.execute(std::move(batch).finalize());
}

std::vector<InterfaceName> InterfaceEditor::with_alias(std::string_view kind,
                                                       std::string_view alias) {
    std::vector<InterfaceName> names;
    connection_.dump(
        "list links", RTM_GETLINK, [](nlmsghdr* message) { put_header<ifinfomsg>(message); },
        [&](const nlmsghdr* message) {
            const auto attributes = Attributes::of(message, sizeof(ifinfomsg));
            auto link = decode_link(message);
            if (!attributes || !link || link->kind != kind) return;
            if (attributes->text(IFLA_IFALIAS) == alias) names.push_back(std::move(link->name));
        },
        [&] { names.clear(); });
    return names;
}

void InterfaceEditor::set_mtu(const InterfaceName& name, std::uint32_t bytes) {
    Batch batch;
    batch.add("set the MTU of " + to_text(name), RTM_NEWLINK, 0, [&](nlmsghdr* message) {
        put_header<ifinfomsg>(message);
        mnl_attr_put_strz(message, IFLA_IFNAME, name.text().c_str());
        mnl_attr_put_u32(message, IFLA_MTU, bytes);
    });
    connection_.execute(std::move(batch).finalize());
}

void InterfaceEditor::set_up(const InterfaceName& name, bool up) {
    Batch batch;
    batch.add((up ? "set up " : "set down ") + to_text(name), RTM_NEWLINK, 0,
              [&](nlmsghdr* message) {
                  auto& header = put_header<ifinfomsg>(message);
                  header.ifi_change = IFF_UP;
                  header.ifi_flags = up ? IFF_UP : 0;
                  mnl_attr_put_strz(message, IFLA_IFNAME, name.text().c_str());
              });
    connection_.execute(std::move(batch).finalize());
}

std::vector<InterfaceAddress> InterfaceEditor::addresses_of(int index) {
    std::vector<InterfaceAddress> addresses;
    connection_.dump(
        "list addresses", RTM_GETADDR, [](nlmsghdr* message) { put_header<ifaddrmsg>(message); },
        [&](const nlmsghdr* message) {
            const auto address = decode_assigned_address(message);
            if (!address || address->link_index != index) return;
            addresses.push_back({address->address, address->prefix_length});
        },
        [&] { addresses.clear(); });
    sort_unique(addresses);
    return addresses;
}

void InterfaceEditor::set_addresses(const InterfaceName& name,
                                    const std::vector<InterfaceAddress>& wanted) {
    const auto index = find(name).index;
    auto sorted = wanted;
    sort_unique(sorted);
    Batch batch;
    const auto command = [&](bool add, const InterfaceAddress& each) {
        const auto flags = static_cast<std::uint16_t>(add ? NLM_F_CREATE | NLM_F_EXCL : 0);
        batch.add(
            (add ? "add address " : "remove address ") + to_text(each) + " of " + to_text(name),
            add ? RTM_NEWADDR : RTM_DELADDR, flags, [&](nlmsghdr* message) {
                auto& header = put_header<ifaddrmsg>(message);
                header.ifa_family = number_of(each.address.family());
                header.ifa_prefixlen = static_cast<unsigned char>(each.prefix_length);
                header.ifa_index = static_cast<std::uint32_t>(index);
                put_address(message, IFA_LOCAL, each.address);
                put_address(message, IFA_ADDRESS, each.address);
            });
    };
    for (const auto& gone : only_in(addresses_of(index), sorted)) {
        const bool by_itself =
            gone.address.family() == Family::ipv6 && gone.address.is_link_local();
        if (!by_itself) command(false, gone);
    }
    try {
        connection_.execute(std::exchange(batch, {}).finalize());
    } catch (const BatchFailure& failure) {
        // With the first IPv4 address of a network go the others of it, also those that are to
        // stay.
        const bool went_along = std::ranges::all_of(
            failure.failures(), [](const auto& each) { return each.error == EADDRNOTAVAIL; });
        if (!went_along) throw;
    }
    for (const auto& come : only_in(sorted, addresses_of(index))) command(true, come);
    connection_.execute(std::move(batch).finalize());
}

void InterfaceEditor::set_routes(const InterfaceName& name, const std::vector<LinkRoute>& wanted,
                                 std::uint32_t metric) {
    const auto index = find(name).index;
    const auto sorted = own_routes(wanted, metric);
    const auto there = own_routes(connection_, to_text(name), index);
    change_routes(name, index, only_in(there, sorted), only_in(sorted, there));
}

void InterfaceEditor::change_routes(const InterfaceName& name, const std::vector<LinkRoute>& gone,
                                    const std::vector<LinkRoute>& come, std::uint32_t metric) {
    if (gone.empty() && come.empty()) return;
    change_routes(name, find(name).index, own_routes(gone, metric), own_routes(come, metric));
}

void InterfaceEditor::change_routes(const InterfaceName& name, int index,
                                    const std::vector<OwnRoute>& gone,
                                    const std::vector<OwnRoute>& come) {
    const auto execute = [&](bool add, const OwnRoute& route) {
        Batch batch;
        add_route_command(batch, add, to_text(name), index, route);
        connection_.execute(std::move(batch).finalize());
    };
    std::vector<OwnRoute> removed;
    std::vector<OwnRoute> added;
    try {
        for (const auto& route : gone) {
            try {
                execute(false, route);
                removed.push_back(route);
            } catch (const KernelFailure& failure) {
                if (failure.code() != ESRCH) throw;
            }
        }
        for (const auto& route : come) {
            execute(true, route);
            added.push_back(route);
        }
    } catch (...) {
        // One that cannot be taken back, as somebody else was there, keeps no other from it.
        const auto attempt = [&](bool add, const OwnRoute& route) {
            try {
                execute(add, route);
            } catch (const KernelFailure&) {  // NOLINT(bugprone-empty-catch)
                // The first error says it.
            }
        };
        for (const auto& route : added) attempt(false, route);
        for (const auto& route : removed) attempt(true, route);
        throw;
    }
}

}  // namespace porthole::netlink
