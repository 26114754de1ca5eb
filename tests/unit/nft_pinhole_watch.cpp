// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <optional>
#include <string_view>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "pinhole_watch.hpp"

namespace porthole::nft {
namespace {

using testing::Optional;

const auto host = parse<Place>("", "[2001:db8:2::2]:51820");
const auto remote = parse<Place>("", "[2001:db8:1::9]:40000");
constexpr std::uint8_t udp = 17;

struct Ends {
    Place source;
    Place destination;
};

/// A message of a dump, as ctnetlink writes it.
class Message {
  public:
    Message(const Ends& original, const Ends& reply, std::uint8_t protocol = udp,
            std::optional<std::uint32_t> status = IPS_SEEN_REPLY) {
        auto* header = mnl_nlmsg_put_header(bytes_.data());
        put_conntrack_header(header, Family::ipv6);
        put(header, CTA_TUPLE_ORIG, original, protocol);
        put(header, CTA_TUPLE_REPLY, reply, protocol);
        if (status) mnl_attr_put_u32(header, CTA_STATUS, htonl(*status));
        mnl_attr_put_u32(header, CTA_ID, htonl(7));
    }
    [[nodiscard]] const nlmsghdr* get() const {
        return static_cast<const nlmsghdr*>(static_cast<const void*>(bytes_.data()));
    }

  private:
    static void put(nlmsghdr* header, std::uint16_t type, const Ends& ends, std::uint8_t protocol) {
        auto* tuple = mnl_attr_nest_start(header, type);
        auto* addresses = mnl_attr_nest_start(header, CTA_TUPLE_IP);
        const auto put_address = [header](std::uint16_t which, const Address& address) {
            mnl_attr_put(header, which, address.bytes().size(), address.bytes().data());
        };
        put_address(CTA_IP_V6_SRC, ends.source.address);
        put_address(CTA_IP_V6_DST, ends.destination.address);
        mnl_attr_nest_end(header, addresses);
        auto* transport = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
        mnl_attr_put_u8(header, CTA_PROTO_NUM, protocol);
        mnl_attr_put_u16(header, CTA_PROTO_SRC_PORT, htons(ends.source.port.value()));
        mnl_attr_put_u16(header, CTA_PROTO_DST_PORT, htons(ends.destination.port.value()));
        mnl_attr_nest_end(header, transport);
        mnl_attr_nest_end(header, tuple);
    }
    alignas(nlmsghdr) std::array<char, 512> bytes_{};
};

TEST(Ipv6Flows, AreDecoded) {
    const auto flow = decode_flow<Ipv6Bits>(Message({host, remote}, {remote, host}).get());
    ASSERT_TRUE(flow);
    EXPECT_EQ(flow->id, 7U);
    EXPECT_EQ(flow->protocol, Protocol::udp);
    EXPECT_EQ(to_tracked(*flow), (TrackedFlow{host, remote, remote, host, true}));
    const Message silent({host, remote}, {remote, host}, udp, IPS_CONFIRMED);
    EXPECT_FALSE(decode_flow<Ipv6Bits>(silent.get())->seen_reply);
}

TEST(Ipv6Flows, OfOtherKindsAreLeftOut) {
    constexpr std::uint8_t icmpv6 = 58;
    EXPECT_FALSE(decode_flow<Ipv6Bits>(Message({host, remote}, {remote, host}, icmpv6).get()));
    EXPECT_FALSE(
        decode_flow<Ipv6Bits>(Message({host, remote}, {remote, host}, udp, std::nullopt).get()));
    const Ends ipv4{parse<Place>("", "192.168.2.2:7"), parse<Place>("", "192.0.2.9:7")};
    EXPECT_FALSE(decode_flow<Ipv6Bits>(Message(ipv4, ipv4).get()));
}

Ipv6Flow flow(const Place& source, const Place& destination, bool answered) {
    const auto end = [](const Place& place) {
        return FlowEndOf<Ipv6Bits>{to_bits<Ipv6Bits>(place.address), place.port.value()};
    };
    return {1,
            Protocol::udp,
            {end(source), end(destination)},
            {end(destination), end(source)},
            answered};
}

SettleOrder order(SetDifference<Pinhole> pinholes) {
    SettleOrder result;
    result.pinholes = std::move(pinholes);
    return result;
}

TEST(PinholeWatchTest, FindsWhomTheHostHasSentTo) {
    const Pinhole pinhole{Protocol::udp, host.address, host.port};
    PinholeWatch watch;
    EXPECT_TRUE(watch.empty());
    EXPECT_FALSE(watch.contact_of(flow(host, remote, true)));
    watch.follow(order({{}, {pinhole}}));
    const SeenContact contact{{host.address, Protocol::udp, host.port}, host.port, remote.address};
    EXPECT_THAT(watch.contact_of(flow(host, remote, false)), Optional(contact));
    EXPECT_THAT(watch.contact_of(flow(remote, host, true)), Optional(contact));
    EXPECT_FALSE(watch.contact_of(flow(remote, host, false))) << "the host has sent nothing";
    EXPECT_FALSE(watch.contact_of(flow({host.address, remote.port}, remote, true)));
    EXPECT_FALSE(watch.contact_of(flow({remote.address, host.port}, host, false)));
    // Another table sends it elsewhere.
    auto redirected = flow(host, remote, true);
    const auto elsewhere = parse<Address>("", "2001:db8:77::1");
    redirected.reply.source = {to_bits<Ipv6Bits>(elsewhere), 53};
    EXPECT_EQ(watch.contact_of(redirected)->remote, elsewhere);
    auto tcp = flow(host, remote, true);
    tcp.protocol = Protocol::tcp;
    EXPECT_FALSE(watch.contact_of(tcp));
    auto with_lan = order({});
    with_lan.scope.ipv6_networks = {parse<Network>("", "2001:db8:1::/64")};
    watch.follow(with_lan);
    EXPECT_FALSE(watch.contact_of(flow(host, remote, true))) << "it is a neighbour";
    watch.follow(order({{pinhole}, {}}));
    EXPECT_TRUE(watch.empty());
}

// What was there before the rules could judge it is judged with its next packet.
TEST(PinholeWatchTest, FindsWhatCameInBefore) {
    const Pinhole pinhole{Protocol::udp, host.address, host.port};
    auto open = pinhole;
    open.filtering = Filtering::endpoint_independent;
    const auto unasked = flow(remote, host, false);
    const auto is_unjudged = [&](const SettleOrder& order, const Ipv6Flow& flow) {
        PinholeWatch watch;
        watch.follow(order);
        return watch.is_unjudged(flow);
    };
    EXPECT_TRUE(is_unjudged(order({{}, {pinhole}}), unasked));
    EXPECT_FALSE(is_unjudged(order({{}, {pinhole}}), flow(remote, host, true)));
    EXPECT_FALSE(is_unjudged(order({{}, {pinhole}}), flow(host, remote, false)));
    EXPECT_FALSE(is_unjudged(order({{}, {open}}), unasked)) << "it lets everybody in";
    EXPECT_FALSE(is_unjudged(order({{open}, {pinhole}}), unasked)) << "its filtering has changed";
    PinholeWatch watch;
    watch.follow(order({{}, {open}}));
    watch.follow(order({{open}, {pinhole}}));
    EXPECT_FALSE(watch.is_unjudged(unasked)) << "everybody was let in before";
    auto strict = pinhole;
    strict.filtering = Filtering::address_and_port_dependent;
    PinholeWatch both;
    both.follow(order({{}, {pinhole}}));
    both.follow(order({{pinhole}, {strict}}));
    EXPECT_TRUE(both.is_unjudged(unasked)) << "it has never been there without a rule";
    auto look = order({{}, {pinhole}});
    look.look = true;
    EXPECT_FALSE(is_unjudged(look, unasked));
    look.gap = true;
    EXPECT_FALSE(is_unjudged(look, unasked)) << "only something else has changed";
    look.pinholes_were_away = true;
    EXPECT_TRUE(is_unjudged(look, unasked)) << "the rules were away";
    look.scope.ipv6_networks = {parse<Network>("", "2001:db8:1::/64")};
    EXPECT_FALSE(is_unjudged(look, unasked)) << "it is a neighbour";
}

}  // namespace
}  // namespace porthole::nft
