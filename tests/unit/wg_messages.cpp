// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/wireguard.h>

#include "netlink/generic.hpp"
#include "netlink_script.hpp"
#include "random_wireguard.hpp"
#include "wg/messages.hpp"

namespace porthole::wg {
namespace {

using namespace netlink::script;
using testing::Each;
using testing::Gt;
using testing::Le;
using testing::SizeIs;

constexpr std::uint16_t family = 29;
const auto wg0 = parse<InterfaceName>("interface", "wg0");

// What the kernel takes for a configuration has the form of what it gives: the decoder reads both.
WireGuardState decoded(const std::vector<netlink::FinalizedBatch>& messages) {
    DeviceDecoder decoder;
    for (const auto& message : messages) {
        for (const auto* each : messages_of(message.bytes())) EXPECT_TRUE(decoder.take(each));
    }
    return std::move(decoder).finish();
}

std::vector<netlink::FinalizedBatch> encoded(const WireGuardDevice& device) {
    return encode(family, wg0, difference({}, device));
}

std::vector<std::size_t> sizes(const std::vector<netlink::FinalizedBatch>& messages) {
    std::vector<std::size_t> result;
    for (const auto& message : messages) result.push_back(message.bytes().size());
    return result;
}

TEST(WireGuardMessages, SayWhatIsToBeConfigured) {
    random_wireguard::Random random(1);
    for (int i = 0; i < 500; ++i) {
        const auto device = random_wireguard::device(random, 20);
        const auto messages = encoded(device);
        ASSERT_EQ(decoded(messages).device, device);
        EXPECT_THAT(messages, SizeIs(1));
    }
}

TEST(WireGuardMessages, AreSplitForThousandsOfPeers) {
    random_wireguard::Random random(2);
    WireGuardDevice device;
    std::set<Network> taken;
    for (int i = 0; i < 10'000; ++i) device.peers.push_back(random_wireguard::peer(random, taken));
    std::ranges::sort(device.peers, {}, &WireGuardPeer::public_key);
    const auto messages = encoded(device);
    EXPECT_THAT(messages, SizeIs(Gt(10)));
    EXPECT_THAT(sizes(messages), Each(Le(64UL * 1024)));
    EXPECT_EQ(decoded(messages).device, device);
}

TEST(WireGuardMessages, AreSplitWithinAPeerOfThousandsOfAllowedIps) {
    WireGuardDevice device;
    for (std::uint8_t i = 1; i < 4; ++i) {
        WireGuardPeer peer{.public_key = PublicKey({i}), .keepalive = Keepalive(i)};
        for (std::uint32_t k = 0; k < 5'000; ++k) {
            const auto address = Address::v4((std::uint32_t{i} << 24U) + (k << 8U));
            peer.allowed_ips.push_back(*Network::from(address, 24));
        }
        device.peers.push_back(std::move(peer));
    }
    const auto messages = encoded(device);
    EXPECT_THAT(messages, SizeIs(Gt(3)));
    EXPECT_THAT(sizes(messages), Each(Le(64UL * 1024)));
    EXPECT_EQ(decoded(messages).device, device);
}

// A peer that goes on must not lose again what the message before has given it, nor come back if
// somebody has removed it meanwhile.
TEST(WireGuardMessages, SayTheFlagsOfAPeerThatGoesOnOnce) {
    WireGuardPeer from{.public_key = PublicKey({1})};
    WireGuardPeer to = from;
    from.allowed_ips.push_back(*Network::from(Address::v4(0x09000000), 32));
    for (std::uint32_t k = 0; k < 3'000; ++k) {
        to.allowed_ips.push_back(*Network::from(Address::v4(0x0A000000 + k), 32));
    }
    const auto messages = encode(family, wg0, difference({.peers = {from}}, {.peers = {to}}));
    ASSERT_THAT(messages, SizeIs(Gt(1)));
    std::vector<std::uint32_t> flags;
    for (const auto& message : messages) {
        const auto* header = messages_of(message.bytes()).front();
        const auto peers = netlink::Attributes::of(header, netlink::generic_header_bytes)
                               ->nested(WGDEVICE_A_PEERS);
        peers->for_each_nested([&flags](const netlink::Attributes& peer) {
            flags.push_back(peer.u32(WGPEER_A_FLAGS).value_or(0));
            return true;
        });
    }
    EXPECT_EQ(flags.front(), WGPEER_F_UPDATE_ONLY | WGPEER_F_REPLACE_ALLOWEDIPS);
    flags.erase(flags.begin());
    EXPECT_THAT(flags, Each(WGPEER_F_UPDATE_ONLY));
}

TEST(WireGuardMessages, OfThePortAndNothingElseHaveNoPeers) {
    const auto messages = encode(family, wg0, {.listen_port = 51'820});
    ASSERT_THAT(messages, SizeIs(1));
    const auto* message = messages_of(messages[0].bytes()).front();
    const auto attributes = netlink::Attributes::of(message, netlink::generic_header_bytes);
    EXPECT_EQ(attributes->u16(WGDEVICE_A_LISTEN_PORT), 51'820);
    EXPECT_FALSE(attributes->payload(WGDEVICE_A_PEERS));
    EXPECT_FALSE(attributes->payload(WGDEVICE_A_PRIVATE_KEY));
}

TEST(WireGuardMessages, TellWhatTheKernelHasSeenOfAPeer) {
    const std::array<std::int64_t, 2> time{1'700'000'000, 5};
    const auto part = message(family, 0, 1, [&](nlmsghdr* made) {
        netlink::put_generic_header(made, WG_CMD_GET_DEVICE, WG_GENL_VERSION);
        auto* peers = mnl_attr_nest_start(made, WGDEVICE_A_PEERS);
        auto* peer = mnl_attr_nest_start(made, 0);
        const PublicKey::Bytes key{7};
        mnl_attr_put(made, WGPEER_A_PUBLIC_KEY, key.size(), key.data());
        mnl_attr_put(made, WGPEER_A_LAST_HANDSHAKE_TIME, sizeof time, time.data());
        mnl_attr_put_u64(made, WGPEER_A_RX_BYTES, 11);
        mnl_attr_put_u64(made, WGPEER_A_TX_BYTES, 12);
        mnl_attr_nest_end(made, peer);
        mnl_attr_nest_end(made, peers);
    });
    DeviceDecoder decoder;
    ASSERT_TRUE(decoder.take(header(part)));
    const auto state = std::move(decoder).finish();
    ASSERT_THAT(state.activity, SizeIs(1));
    EXPECT_EQ(state.activity[0].last_handshake.time_since_epoch(),
              std::chrono::seconds(1'700'000'000) + std::chrono::nanoseconds(5));
    EXPECT_EQ(state.activity[0].received_bytes, 11);
    EXPECT_EQ(state.activity[0].sent_bytes, 12);
    EXPECT_EQ(state.device.peers[0].public_key, PublicKey({7}));
}

// The address sanitizer sees whatever is read beyond the end.
TEST(WireGuardMessages, MayBeCutAnywhere) {
    random_wireguard::Random random(3);
    const auto device = random_wireguard::device(random, 3);
    const auto messages = encoded(device);
    const Bytes whole(messages[0].bytes().begin(), messages[0].bytes().end());
    for (std::size_t length = sizeof(nlmsghdr); length < whole.size(); ++length) {
        DeviceDecoder decoder;
        decoder.take(header(cut(whole, length)));
        (void)std::move(decoder).finish();
    }
}

}  // namespace
}  // namespace porthole::wg
