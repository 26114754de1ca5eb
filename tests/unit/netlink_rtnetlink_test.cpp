// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>

#include "netlink/rtnetlink.hpp"
#include "netlink_script.hpp"

namespace porthole {

// How a failed expectation shows them.
static std::ostream& operator<<(std::ostream& stream, const Link& link) {
    return stream << link.index << ": " << link.name.text() << " (" << static_cast<int>(link.layer)
                  << ", \"" << link.kind << "\", " << (link.up ? "up" : "down") << ")";
}

static std::ostream& operator<<(std::ostream& stream, const LinkAddress& address) {
    return stream << to_text(address.address) << "/" << address.prefix_length << " on "
                  << address.link_index;
}

static std::ostream& operator<<(std::ostream& stream, const DefaultRoute& route) {
    return stream << "IPv" << static_cast<int>(route.family) << " by " << route.link_index
                  << ", metric " << route.metric;
}

namespace netlink {
namespace {

using namespace script;
using testing::ElementsAre;
using testing::IsEmpty;

void put_address(nlmsghdr* made, std::uint16_t type, const char* text) {
    const auto address = parse<Address>("address", text);
    mnl_attr_put(made, type, address.bytes().size(), address.bytes().data());
}

LinkAddress link_address(int index, const char* text, unsigned prefix_length) {
    return {index, parse<Address>("address", text), prefix_length};
}

struct LinkFields {
    int index = 3;
    std::string name = "wan0";
    unsigned short hardware = ARPHRD_ETHER;
    unsigned flags = IFF_UP | IFF_LOWER_UP;
    std::optional<std::uint8_t> state = IF_OPER_UP;
    std::string kind = {};
    unsigned char family = AF_UNSPEC;
    std::uint16_t type = RTM_NEWLINK;
};

Bytes link_message(const LinkFields& fields, std::uint32_t sequence = 0) {
    return message(fields.type, NLM_F_MULTI, sequence, [&](nlmsghdr* made) {
        auto& info = put_header<ifinfomsg>(made);
        info.ifi_family = fields.family;
        info.ifi_index = fields.index;
        info.ifi_type = fields.hardware;
        info.ifi_flags = fields.flags;
        mnl_attr_put_strz(made, IFLA_IFNAME, fields.name.c_str());
        mnl_attr_put_u32(made, IFLA_MTU, 1500);
        if (fields.state) mnl_attr_put_u8(made, IFLA_OPERSTATE, *fields.state);
        if (fields.kind.empty()) return;
        auto* nest = mnl_attr_nest_start(made, IFLA_LINKINFO);
        mnl_attr_put_strz(made, IFLA_INFO_KIND, fields.kind.c_str());
        mnl_attr_nest_end(made, nest);
    });
}

std::optional<Link> decoded(const LinkFields& fields) {
    const auto bytes = link_message(fields);
    return decode_link(header(bytes));
}

struct AddressFields {
    unsigned char family = AF_INET;
    unsigned char prefix_length = 24;
    unsigned char old_flags = 0;
    std::optional<std::uint32_t> flags = {};
    const char* address = "192.0.2.1";
    const char* local = nullptr;
    std::uint16_t type = RTM_NEWADDR;
};

Bytes address_message(const AddressFields& fields, std::uint32_t sequence = 0) {
    return message(fields.type, NLM_F_MULTI, sequence, [&](nlmsghdr* made) {
        auto& info = put_header<ifaddrmsg>(made);
        info.ifa_family = fields.family;
        info.ifa_prefixlen = fields.prefix_length;
        info.ifa_flags = fields.old_flags;
        info.ifa_index = 3;
        if (fields.address != nullptr) put_address(made, IFA_ADDRESS, fields.address);
        if (fields.local != nullptr) put_address(made, IFA_LOCAL, fields.local);
        if (fields.flags) mnl_attr_put_u32(made, IFA_FLAGS, *fields.flags);
    });
}

std::optional<LinkAddress> decoded(const AddressFields& fields) {
    const auto bytes = address_message(fields);
    return decode_address(header(bytes));
}

struct RouteFields {
    unsigned char family = AF_INET;
    unsigned char destination_length = 0;
    unsigned char kind = RTN_UNICAST;
    unsigned char old_table = RT_TABLE_MAIN;
    std::optional<std::uint32_t> table = RT_TABLE_MAIN;
    unsigned flags = 0;
    std::optional<std::uint32_t> metric = {};
    std::vector<int> hops = {3};
    bool multipath = false;
    std::uint16_t type = RTM_NEWROUTE;
};

void put_next_hops(nlmsghdr* made, const std::vector<int>& hops) {
    auto* nest = mnl_attr_nest_start(made, RTA_MULTIPATH);
    for (const auto index : hops) {
        auto& hop = put_header<rtnexthop>(made);
        const auto before = made->nlmsg_len;
        put_address(made, RTA_GATEWAY, "192.0.2.254");
        hop.rtnh_len = static_cast<unsigned short>(sizeof(rtnexthop) + made->nlmsg_len - before);
        hop.rtnh_ifindex = index;
    }
    mnl_attr_nest_end(made, nest);
}

Bytes route_message(const RouteFields& fields, std::uint32_t sequence = 0) {
    return message(fields.type, NLM_F_MULTI, sequence, [&](nlmsghdr* made) {
        auto& route = put_header<rtmsg>(made);
        route.rtm_family = fields.family;
        route.rtm_dst_len = fields.destination_length;
        route.rtm_table = fields.old_table;
        route.rtm_type = fields.kind;
        route.rtm_flags = fields.flags;
        if (fields.table) mnl_attr_put_u32(made, RTA_TABLE, *fields.table);
        if (fields.metric) mnl_attr_put_u32(made, RTA_PRIORITY, *fields.metric);
        if (fields.multipath) {
            put_next_hops(made, fields.hops);
        } else if (!fields.hops.empty()) {
            mnl_attr_put_u32(made, RTA_OIF, static_cast<std::uint32_t>(fields.hops.front()));
        }
    });
}

std::vector<DefaultRoute> decoded(const RouteFields& fields) {
    const auto bytes = route_message(fields);
    return decode_default_route(header(bytes));
}

TEST(NetlinkLinks, HaveANameALayerAKindAndAState) {
    EXPECT_EQ(decoded(LinkFields{}),
              (Link{3, parse<InterfaceName>("name", "wan0"), LinkLayer::ethernet, "", true}));
    EXPECT_EQ(decoded(LinkFields{.index = 9,
                                 .name = "wg0",
                                 .hardware = ARPHRD_NONE,
                                 .flags = IFF_UP,
                                 .state = IF_OPER_UNKNOWN,
                                 .kind = "wireguard"}),
              (Link{9, parse<InterfaceName>("name", "wg0"), LinkLayer::point_to_point, "wireguard",
                    true}));
    EXPECT_EQ(decoded(LinkFields{.hardware = ARPHRD_PPP})->layer, LinkLayer::point_to_point);
    EXPECT_EQ(decoded(LinkFields{.hardware = ARPHRD_LOOPBACK})->layer, LinkLayer::loopback);
    EXPECT_EQ(decoded(LinkFields{.hardware = ARPHRD_SIT})->layer, LinkLayer::other);
}

TEST(NetlinkLinks, AreUpWithTheAdministratorsWillAndACarrier) {
    const auto up = [](unsigned flags, std::optional<std::uint8_t> state) {
        return decoded(LinkFields{.flags = flags, .state = state})->up;
    };
    EXPECT_TRUE(up(IFF_UP | IFF_LOWER_UP, IF_OPER_UP));
    EXPECT_TRUE(up(IFF_UP | IFF_LOWER_UP, std::nullopt));
    EXPECT_TRUE(up(IFF_UP, IF_OPER_UP));
    EXPECT_TRUE(up(IFF_UP, IF_OPER_UNKNOWN));
    EXPECT_FALSE(up(IFF_UP, IF_OPER_DOWN));
    EXPECT_FALSE(up(IFF_UP, IF_OPER_LOWERLAYERDOWN));
    EXPECT_FALSE(up(IFF_UP, std::nullopt));
    EXPECT_FALSE(up(IFF_LOWER_UP, IF_OPER_UP));
    EXPECT_FALSE(up(0, IF_OPER_UNKNOWN));
}

TEST(NetlinkLinks, OfOtherMessagesOrWithStrangeNamesAreNothing) {
    EXPECT_FALSE(decoded(LinkFields{.type = RTM_DELLINK}));
    EXPECT_FALSE(decoded(LinkFields{.type = RTM_NEWADDR}));
    EXPECT_FALSE(decoded(LinkFields{.family = AF_BRIDGE}));
    EXPECT_FALSE(decoded(LinkFields{.name = ""}));
    EXPECT_FALSE(decoded(LinkFields{.name = "a/b"}));
    EXPECT_FALSE(decoded(LinkFields{.name = "0123456789abcdef"}));
}

TEST(NetlinkAddresses, AreThoseOfThisEnd) {
    EXPECT_EQ(decoded(AddressFields{}), link_address(3, "192.0.2.1", 24));
    EXPECT_EQ(decoded(AddressFields{
                  .prefix_length = 32, .address = "198.51.100.1", .local = "192.0.2.9"}),
              link_address(3, "192.0.2.9", 32));
    EXPECT_EQ(
        decoded(AddressFields{.family = AF_INET6, .prefix_length = 64, .address = "2001:db8::1"}),
        link_address(3, "2001:db8::1", 64));
}

TEST(NetlinkAddresses, CountOnceTheyAreKnownToBeUnique) {
    const auto flagged = [](std::uint32_t flags) { return decoded(AddressFields{.flags = flags}); };
    EXPECT_TRUE(flagged(IFA_F_PERMANENT | IFA_F_DEPRECATED | IFA_F_SECONDARY));
    EXPECT_FALSE(flagged(IFA_F_TENTATIVE | IFA_F_PERMANENT));
    EXPECT_FALSE(flagged(IFA_F_DADFAILED));
    EXPECT_FALSE(decoded(AddressFields{.old_flags = IFA_F_TENTATIVE}));
    EXPECT_TRUE(decoded(AddressFields{.old_flags = IFA_F_TENTATIVE, .flags = IFA_F_PERMANENT}));
}

TEST(NetlinkAddresses, ThatMakeNoSenseAreNothing) {
    EXPECT_FALSE(decoded(AddressFields{.type = RTM_DELADDR}));
    EXPECT_FALSE(decoded(AddressFields{.address = nullptr}));
    EXPECT_FALSE(decoded(AddressFields{.family = AF_INET6}));
    EXPECT_FALSE(decoded(AddressFields{.family = AF_INET, .address = "2001:db8::1"}));
    EXPECT_FALSE(decoded(AddressFields{.family = AF_PHONET}));
    EXPECT_FALSE(decoded(AddressFields{.prefix_length = 33}));
    EXPECT_TRUE(decoded(AddressFields{.prefix_length = 32}));
    EXPECT_FALSE(
        decoded(AddressFields{.family = AF_INET6, .prefix_length = 129, .address = "2001:db8::1"}));
}

TEST(NetlinkRoutes, HaveAFamilyAMetricAndANextHop) {
    EXPECT_THAT(decoded(RouteFields{}), ElementsAre(DefaultRoute{3, Family::ipv4, 0}));
    EXPECT_THAT(decoded(RouteFields{.family = AF_INET6, .metric = 1024}),
                ElementsAre(DefaultRoute{3, Family::ipv6, 1024}));
}

TEST(NetlinkRoutes, CountOnceForEachNextHop) {
    EXPECT_THAT(decoded(RouteFields{.metric = 7, .hops = {3, 5, 4}, .multipath = true}),
                ElementsAre(DefaultRoute{3, Family::ipv4, 7}, DefaultRoute{5, Family::ipv4, 7},
                            DefaultRoute{4, Family::ipv4, 7}));
}

TEST(NetlinkRoutes, AreOfTheMainTableWhateverItsFieldSays) {
    EXPECT_THAT(decoded(RouteFields{.table = {}}), ElementsAre(DefaultRoute{3, Family::ipv4, 0}));
    EXPECT_THAT(decoded(RouteFields{.table = 1000}), IsEmpty());
    EXPECT_THAT(decoded(RouteFields{.old_table = RT_TABLE_LOCAL, .table = {}}), IsEmpty());
    EXPECT_THAT(decoded(RouteFields{.old_table = RT_TABLE_COMPAT, .table = 510}), IsEmpty());
}

TEST(NetlinkRoutes, OfOtherKindsAreNothing) {
    EXPECT_THAT(decoded(RouteFields{.type = RTM_DELROUTE}), IsEmpty());
    EXPECT_THAT(decoded(RouteFields{.destination_length = 1}), IsEmpty());
    EXPECT_THAT(decoded(RouteFields{.kind = RTN_UNREACHABLE}), IsEmpty());
    EXPECT_THAT(decoded(RouteFields{.kind = RTN_BLACKHOLE}), IsEmpty());
    EXPECT_THAT(decoded(RouteFields{.flags = RTM_F_CLONED}), IsEmpty());
    EXPECT_THAT(decoded(RouteFields{.family = AF_MPLS}), IsEmpty());
    EXPECT_THAT(decoded(RouteFields{.hops = {}}), IsEmpty());
}

TEST(NetlinkRoutes, WithANextHopThatIsCutShortAreNothing) {
    for (const auto length : std::to_array<unsigned short>({0, 7, 17, 0xFFFF})) {
        auto bytes = route_message(RouteFields{.hops = {3, 4}, .multipath = true});
        auto* last = static_cast<rtnexthop*>(
            static_cast<void*>(bytes.data() + bytes.size() - sizeof(rtnexthop) - 8));
        ASSERT_EQ(last->rtnh_ifindex, 4);
        last->rtnh_len = length;
        EXPECT_THAT(decode_default_route(header(bytes)), IsEmpty()) << length;
    }
}

TEST(NetlinkNotifications, ConcernInterfacesIfASnapshotCouldChange) {
    const auto concerns = [](const Bytes& bytes) { return concerns_interfaces(header(bytes)); };
    for (const std::uint16_t type : {RTM_NEWLINK, RTM_DELLINK}) {
        EXPECT_TRUE(concerns(link_message({.type = type})));
        EXPECT_FALSE(concerns(link_message({.family = AF_BRIDGE, .type = type})));
    }
    for (const std::uint16_t type : {RTM_NEWADDR, RTM_DELADDR}) {
        EXPECT_TRUE(concerns(address_message({.type = type})));
        EXPECT_TRUE(concerns(address_message({.flags = IFA_F_TENTATIVE, .type = type})));
        EXPECT_FALSE(concerns(address_message({.family = AF_PHONET, .type = type})));
    }
    for (const std::uint16_t type : {RTM_NEWROUTE, RTM_DELROUTE}) {
        EXPECT_TRUE(concerns(route_message({.type = type})));
        EXPECT_TRUE(concerns(route_message({.hops = {}, .type = type}))) << "a next-hop object";
        EXPECT_FALSE(concerns(route_message({.destination_length = 24, .type = type})));
        EXPECT_FALSE(concerns(route_message({.table = 1000, .type = type})));
        EXPECT_FALSE(concerns(route_message({.kind = RTN_LOCAL, .type = type})));
    }
    EXPECT_FALSE(concerns(link_message({.type = RTM_NEWNEIGH})));
}

// What each decoder makes of a message, as text.
std::string everything_about(const nlmsghdr* message) {
    std::string text;
    if (const auto link = decode_link(message)) text += testing::PrintToString(*link);
    if (const auto address = decode_address(message)) text += testing::PrintToString(*address);
    text += testing::PrintToString(decode_default_route(message));
    return text + (concerns_interfaces(message) ? "!" : "");
}

// None of them has padding behind an attribute.
std::vector<Bytes> one_message_of_each_kind() {
    return {link_message({.name = "wan", .state = {}, .kind = "bridge"}),
            address_message({.flags = IFA_F_PERMANENT}), route_message({.metric = 5}),
            route_message({.hops = {3, 4}, .multipath = true})};
}

TEST(NetlinkDecoders, TakeNothingFromAMessageThatIsCutShort) {
    const auto nothing = everything_about(header(link_message({.type = RTM_NEWNEIGH})));
    for (const auto& whole : one_message_of_each_kind()) {
        EXPECT_NE(everything_about(header(whole)), nothing);
        for (std::size_t length = NLMSG_HDRLEN; length < whole.size(); ++length) {
            const auto part = cut(whole, length);
            const auto about = everything_about(header(part));
            // Any other cut may be the end of an attribute.
            if (length % NLMSG_ALIGNTO != 0) {
                EXPECT_EQ(about, nothing) << length;
            }
        }
    }
}

TEST(NetlinkDecoders, SurviveEveryWrongByte) {
    for (const auto& whole : one_message_of_each_kind()) {
        const auto right = everything_about(header(whole));
        std::size_t different = 0;
        for (std::size_t at = NLMSG_HDRLEN; at < whole.size(); ++at) {
            for (unsigned value = 0; value < 256; ++value) {
                auto broken = whole;
                broken[at] = static_cast<std::byte>(value);
                if (everything_about(header(broken)) != right) ++different;
            }
        }
        EXPECT_GT(different, 1000U);
    }
}

class NetlinkReader : public testing::Test {
  protected:
    std::unique_ptr<ScriptedTransport> owned = std::make_unique<ScriptedTransport>();
    ScriptedTransport& kernel = *owned;
    InterfaceReader reader{std::move(owned)};
};

TEST_F(NetlinkReader, SortsWhatItReads) {
    kernel.answer = [](const nlmsghdr* request) -> std::vector<Event> {
        const auto sequence = request->nlmsg_seq;
        const auto end = done(sequence);
        if (request->nlmsg_type == RTM_GETLINK) {
            return {joined({link_message({.index = 4, .name = "b"}, sequence),
                            link_message({.index = 2, .name = "a"}, sequence)}),
                    end};
        }
        if (request->nlmsg_type == RTM_GETADDR) {
            return {joined({address_message({.address = "192.0.2.9"}, sequence),
                            address_message({.address = "192.0.2.1"}, sequence)}),
                    end};
        }
        return {route_message({.family = AF_INET6}, sequence),
                route_message({.metric = 9, .hops = {1}}, sequence),
                route_message({.destination_length = 24}, sequence),
                route_message({.metric = 2, .hops = {5, 4}, .multipath = true}, sequence), end};
    };
    const auto snapshot = reader.read();
    ASSERT_EQ(snapshot.links.size(), 2U);
    EXPECT_EQ(snapshot.links[0].name.text(), "a");
    EXPECT_EQ(snapshot.links[1].name.text(), "b");
    EXPECT_THAT(snapshot.addresses,
                ElementsAre(link_address(3, "192.0.2.1", 24), link_address(3, "192.0.2.9", 24)));
    EXPECT_THAT(snapshot.default_routes,
                ElementsAre(DefaultRoute{4, Family::ipv4, 2}, DefaultRoute{5, Family::ipv4, 2},
                            DefaultRoute{1, Family::ipv4, 9}, DefaultRoute{3, Family::ipv6, 0}));
}

TEST_F(NetlinkReader, ForgetsWhatAnInterruptedDumpSaid) {
    int requests = 0;
    kernel.answer = [&](const nlmsghdr* request) -> std::vector<Event> {
        const auto sequence = request->nlmsg_seq;
        // Each of the three dumps is interrupted once.
        const bool first = requests++ % 2 == 0;
        const auto end = done(sequence, 0, first ? NLM_F_DUMP_INTR : 0);
        if (request->nlmsg_type == RTM_GETLINK) return {link_message({}, sequence), end};
        if (request->nlmsg_type == RTM_GETADDR) return {address_message({}, sequence), end};
        return {route_message({}, sequence), end};
    };
    const auto snapshot = reader.read();
    EXPECT_EQ(requests, 6);
    EXPECT_EQ(snapshot.links.size(), 1U);
    EXPECT_EQ(snapshot.addresses.size(), 1U);
    EXPECT_EQ(snapshot.default_routes.size(), 1U);
}

TEST_F(NetlinkReader, SaysWhichListCouldNotBeRead) {
    kernel.answer = [](const nlmsghdr* request) -> std::vector<Event> {
        if (request->nlmsg_type == RTM_GETLINK) return {done(request->nlmsg_seq)};
        return {report(request->nlmsg_seq, EPERM)};
    };
    try {
        static_cast<void>(reader.read());
        FAIL() << "no failure was reported";
    } catch (const KernelFailure& failure) {
        EXPECT_STREQ(failure.what(), "list addresses: Operation not permitted");
    }
}

class NetlinkMonitor : public testing::Test {
  protected:
    std::unique_ptr<ScriptedTransport> owned = std::make_unique<ScriptedTransport>();
    ScriptedTransport& kernel = *owned;
    InterfaceMonitor monitor{std::move(owned)};
};

TEST_F(NetlinkMonitor, TakesEverythingAndTellsIfAnythingConcernsInterfaces) {
    EXPECT_FALSE(monitor.changed());
    kernel.pending = {route_message({.destination_length = 24}), link_message({}),
                      route_message({.destination_length = 8})};
    EXPECT_TRUE(monitor.changed());
    EXPECT_TRUE(kernel.pending.empty());
    EXPECT_FALSE(monitor.changed());
    kernel.pending = {route_message({.destination_length = 24})};
    EXPECT_FALSE(monitor.changed());
}

TEST_F(NetlinkMonitor, AssumesAChangeWhenNotificationsWereLost) {
    for (const int error : {ENOBUFS, EMSGSIZE}) {
        kernel.pending = {error, route_message({.destination_length = 24})};
        EXPECT_TRUE(monitor.changed());
        EXPECT_TRUE(kernel.pending.empty());
        EXPECT_FALSE(monitor.changed());
    }
}

}  // namespace
}  // namespace netlink
}  // namespace porthole
