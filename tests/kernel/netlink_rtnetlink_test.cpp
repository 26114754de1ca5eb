// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>

#include "lab/links.hpp"
#include "lab/namespace.hpp"
#include "netlink/rtnetlink.hpp"
#include "netlink/socket.hpp"

namespace porthole::netlink {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr int loopback = 1;

// A route of the main table unless it says otherwise. Each next hop is a link.
struct Route {
    unsigned char family = AF_INET;
    std::uint32_t destination = 0;  // host byte order
    unsigned char length = 0;
    std::uint32_t metric = 0;
    std::uint32_t table = RT_TABLE_MAIN;
    unsigned char kind = RTN_UNICAST;
    std::vector<int> hops = {loopback};
};

void add(Batch& batch, const Route& route, std::uint16_t type = RTM_NEWROUTE) {
    const std::uint16_t flags = type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_EXCL : 0;
    batch.add("route", type, flags, [&](nlmsghdr* message) {
        auto* header = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtmsg)));
        header->rtm_family = route.family;
        header->rtm_dst_len = route.length;
        header->rtm_protocol = RTPROT_STATIC;
        header->rtm_scope = route.kind == RTN_UNICAST ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
        header->rtm_type = route.kind;
        if (route.length > 0) mnl_attr_put_u32(message, RTA_DST, htonl(route.destination));
        mnl_attr_put_u32(message, RTA_TABLE, route.table);
        mnl_attr_put_u32(message, RTA_PRIORITY, route.metric);
        if (route.hops.size() == 1) {
            mnl_attr_put_u32(message, RTA_OIF, static_cast<std::uint32_t>(route.hops[0]));
        } else if (!route.hops.empty()) {
            auto* nest = mnl_attr_nest_start(message, RTA_MULTIPATH);
            for (const auto index : route.hops) {
                auto* hop =
                    static_cast<rtnexthop*>(mnl_nlmsg_put_extra_header(message, sizeof(rtnexthop)));
                hop->rtnh_len = sizeof(rtnexthop);
                hop->rtnh_ifindex = index;
            }
            mnl_attr_nest_end(message, nest);
        }
    });
}

class RtnetlinkInKernel : public testing::Test {
  protected:
    [[nodiscard]] InterfaceSnapshot read() const {
        return home.run([] { return InterfaceReader().read(); });
    }
    // Until a notification makes the snapshot as wanted.
    template <typename Condition>
    [[nodiscard]] InterfaceSnapshot read_until(const Condition& wanted) const {
        auto monitor = home.run([] { return InterfaceMonitor(); });
        const lab::Deadline deadline(lab::Duration(10'000));
        for (;;) {
            auto snapshot = read();
            if (wanted(snapshot)) return snapshot;
            if (!deadline.poll(monitor.descriptor(), POLLIN)) return snapshot;
            static_cast<void>(monitor.changed());
        }
    }
    void apply(Batch batch) {
        Connection connection(home.run([] { return std::make_unique<Socket>(NETLINK_ROUTE); }));
        connection.execute(std::move(batch).finalize());
    }
    void apply(const Route& route, std::uint16_t type = RTM_NEWROUTE) {
        Batch batch;
        add(batch, route, type);
        apply(std::move(batch));
    }
    void add_specific_routes(std::uint32_t count) {
        Batch batch;
        for (std::uint32_t i = 0; i < count; ++i) {
            add(batch, {.destination = (10U << 24U) + (i << 8U), .length = 24});
        }
        apply(std::move(batch));
    }
    [[nodiscard]] int index_of(const std::string& link) const {
        return static_cast<int>(home.link_index(link));
    }
    [[nodiscard]] LinkAddress address(const std::string& link, const char* text,
                                      unsigned prefix_length) const {
        return {index_of(link), parse<Address>("address", text), prefix_length};
    }

    lab::Namespace home{"home"};
};

std::optional<Link> link_named(const InterfaceSnapshot& snapshot, const std::string& name) {
    const auto found =
        std::ranges::find(snapshot.links, name, [](const Link& link) { return link.name.text(); });
    return found == snapshot.links.end() ? std::nullopt : std::optional(*found);
}

bool has(const InterfaceSnapshot& snapshot, const LinkAddress& address) {
    return std::ranges::find(snapshot.addresses, address) != snapshot.addresses.end();
}

using NetlinkReader = RtnetlinkInKernel;

TEST_F(NetlinkReader, FindsNothingButTheLoopbackInANewNamespace) {
    const auto snapshot = read();
    const auto lo = link_named(snapshot, "lo");
    ASSERT_TRUE(lo);
    EXPECT_EQ(*lo, (Link{loopback, lo->name, LinkLayer::loopback, "", true}));
    EXPECT_THAT(snapshot.addresses, Contains(address("lo", "127.0.0.1", 8)));
    EXPECT_THAT(snapshot.addresses, Contains(address("lo", "::1", 128)));
    EXPECT_THAT(snapshot.default_routes, IsEmpty());
}

TEST_F(NetlinkReader, FindsLinksAddressesAndDefaultRoutes) {
    const lab::Namespace provider("provider");
    lab::add_cable({home, "wan0"}, {provider, "home"});
    lab::add_bridge(home, "lan0");
    lab::add_address(home, "wan0", "198.51.100.2/24");
    lab::add_address(home, "wan0", "2001:db8::2/64");
    lab::add_address(home, "lan0", "192.168.2.1/24");
    lab::add_route(home, lab::everywhere, "198.51.100.1");
    lab::add_route(home, lab::everywhere_ipv6, "2001:db8::1");
    lab::add_route(home, "203.0.113.0/24", "198.51.100.1");

    // The address of a link without carrier is tentative.
    const auto snapshot = read_until(
        [&](const InterfaceSnapshot& s) { return has(s, address("wan0", "2001:db8::2", 64)); });
    const auto wan = link_named(snapshot, "wan0");
    ASSERT_TRUE(wan);
    EXPECT_EQ(*wan, (Link{index_of("wan0"), wan->name, LinkLayer::ethernet, "veth", true}));
    EXPECT_EQ(link_named(snapshot, "lan0")->kind, "bridge");
    EXPECT_THAT(snapshot.addresses, Contains(address("wan0", "198.51.100.2", 24)));
    EXPECT_THAT(snapshot.addresses, Contains(address("wan0", "2001:db8::2", 64)));
    EXPECT_THAT(snapshot.addresses, Contains(address("lan0", "192.168.2.1", 24)));
    EXPECT_THAT(snapshot.default_routes,
                ElementsAre(DefaultRoute{index_of("wan0"), Family::ipv4, 0},
                            DefaultRoute{index_of("wan0"), Family::ipv6, 1024}));
    EXPECT_TRUE(snapshot.links == read().links) << "nothing changed";
}

TEST_F(NetlinkReader, CountsDefaultRoutesOfTheMainTableOnceForEachNextHop) {
    for (const auto* name : {"one", "two"}) {
        lab::add_link(home, name, "bridge");
        lab::set_link(home, name, true);
    }
    const auto one = index_of("one");
    const auto two = index_of("two");
    apply({.metric = 7, .hops = {two, one}});
    apply({.metric = 3, .hops = {two}});
    apply({.metric = 4, .table = 100, .hops = {one}});
    apply({.metric = 5, .table = 1000, .hops = {one}});
    apply({.metric = 6, .kind = RTN_BLACKHOLE, .hops = {}});
    apply({.destination = 0x80000000, .length = 1, .hops = {one}});
    EXPECT_THAT(read().default_routes,
                ElementsAre(DefaultRoute{two, Family::ipv4, 3}, DefaultRoute{one, Family::ipv4, 7},
                            DefaultRoute{two, Family::ipv4, 7}));
}

TEST_F(NetlinkReader, LeavesOutAnAddressUntilItIsKnownToBeUnique) {
    home.set_sysctl("net/ipv6/conf/all/accept_dad", "1");
    const lab::Namespace provider("provider");
    lab::add_cable({home, "wan0"}, {provider, "home"});
    const auto wanted = address("wan0", "2001:db8::2", 64);
    Batch batch;
    batch.add("address", RTM_NEWADDR, NLM_F_CREATE, [&](nlmsghdr* message) {
        auto* header =
            static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifaddrmsg)));
        header->ifa_family = AF_INET6;
        header->ifa_prefixlen = 64;
        header->ifa_index = static_cast<std::uint32_t>(wanted.link_index);
        const auto bytes = wanted.address.bytes();
        mnl_attr_put(message, IFA_LOCAL, bytes.size(), bytes.data());
    });
    apply(std::move(batch));
    EXPECT_FALSE(has(read(), wanted));
    const auto later = read_until([&](const InterfaceSnapshot& s) { return has(s, wanted); });
    EXPECT_TRUE(has(later, wanted));
}

TEST_F(NetlinkReader, SeesWhetherALinkIsUpAndHasACarrier) {
    const auto up = [](const InterfaceSnapshot& s) { return link_named(s, "wan0")->up; };
    const auto down = [&](const InterfaceSnapshot& s) { return !up(s); };
    const lab::Namespace provider("provider");
    lab::add_cable({home, "wan0"}, {provider, "home"});
    EXPECT_TRUE(up(read_until(up)));
    lab::set_link(provider, "home", false);
    EXPECT_TRUE(down(read_until(down)));
    lab::set_link(provider, "home", true);
    EXPECT_TRUE(up(read_until(up)));
    lab::set_link(home, "wan0", false);
    EXPECT_TRUE(down(read()));
}

TEST_F(NetlinkReader, LeavesOutALinkWhoseNameCannotBeWritten) {
    lab::add_link(home, "good", "bridge");
    lab::add_link(home, "bad\x01name", "bridge");
    const auto snapshot = read();
    EXPECT_TRUE(link_named(snapshot, "good"));
    EXPECT_EQ(snapshot.links.back().name.text(), "good");
}

TEST_F(NetlinkReader, ReadsMoreLinksThanOneDatagramHolds) {
    Batch batch;
    for (int i = 0; i < 100; ++i) {
        batch.add("link", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, [&](nlmsghdr* message) {
            mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg));
            mnl_attr_put_strz(message, IFLA_IFNAME, ("many" + std::to_string(i)).c_str());
            auto* info = mnl_attr_nest_start(message, IFLA_LINKINFO);
            mnl_attr_put_strz(message, IFLA_INFO_KIND, "bridge");
            mnl_attr_nest_end(message, info);
        });
    }
    apply(std::move(batch));
    const auto links = read().links;
    EXPECT_GT(links.size(), 100U);
    EXPECT_TRUE(std::ranges::is_sorted(links, {}, &Link::index));
}

class NetlinkMonitor : public RtnetlinkInKernel {
  protected:
    static bool is_readable(const InterfaceMonitor& monitor) {
        return lab::Deadline(lab::Duration(0)).poll(monitor.descriptor(), POLLIN);
    }

    // Announces every route, whatever its length, and overflows easily.
    std::unique_ptr<InterfaceMonitor> monitor_without_filter(int buffer_bytes) {
        auto socket = home.run([] {
            constexpr std::array<unsigned, 1> groups{RTNLGRP_IPV4_ROUTE};
            return std::make_unique<Socket>(NETLINK_ROUTE, groups);
        });
        EXPECT_EQ(setsockopt(socket->descriptor(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes,
                             sizeof(buffer_bytes)),
                  0);
        return std::make_unique<InterfaceMonitor>(std::move(socket));
    }

    std::unique_ptr<InterfaceMonitor> monitor =
        home.run([] { return std::make_unique<InterfaceMonitor>(); });
};

TEST_F(NetlinkMonitor, SeesLinksAddressesAndDefaultRoutesComeAndGo) {
    EXPECT_FALSE(monitor->changed());
    lab::add_link(home, "lan0", "bridge");
    EXPECT_TRUE(monitor->changed());
    lab::delete_link(home, "lan0");
    EXPECT_TRUE(monitor->changed());
    for (const auto* text : {"192.0.2.1/32", "2001:db8::1/128"}) {
        lab::add_address(home, "lo", text);
        EXPECT_TRUE(monitor->changed()) << text;
        lab::delete_address(home, "lo", text);
        EXPECT_TRUE(monitor->changed()) << text;
    }
    for (const auto family : std::to_array<unsigned char>({AF_INET, AF_INET6})) {
        apply(Route{.family = family});
        EXPECT_TRUE(monitor->changed()) << int{family};
        apply(Route{.family = family}, RTM_DELROUTE);
        EXPECT_TRUE(monitor->changed()) << int{family};
    }
    EXPECT_FALSE(monitor->changed());
}

TEST_F(NetlinkMonitor, IsNotWokenByTheRestOfTheRoutingTable) {
    add_specific_routes(1000);
    EXPECT_FALSE(is_readable(*monitor));
    EXPECT_FALSE(monitor->changed());
    apply(Route{});
    EXPECT_TRUE(is_readable(*monitor));
    EXPECT_TRUE(monitor->changed());
}

TEST_F(NetlinkMonitor, DoesNotReportTheRestOfTheRoutingTable) {
    const auto everything = monitor_without_filter(8 << 20);
    add_specific_routes(1000);
    EXPECT_TRUE(is_readable(*everything));
    EXPECT_FALSE(everything->changed());
    EXPECT_FALSE(is_readable(*everything));
}

TEST_F(NetlinkMonitor, ReportsThatNotificationsWereLost) {
    const auto everything = monitor_without_filter(0);
    add_specific_routes(1000);
    EXPECT_TRUE(everything->changed());
    EXPECT_FALSE(everything->changed());
}

}  // namespace
}  // namespace porthole::netlink
