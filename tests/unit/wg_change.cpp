// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "random_wireguard.hpp"
#include "wg/change.hpp"

namespace porthole::wg {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const auto key_a = PublicKey({1});
const auto key_b = PublicKey({2});

Network network(std::string_view text) { return parse<Network>("network", text); }

PeerEndpoint endpoint(std::string_view text) { return {parse<Place>("endpoint", text)}; }

WireGuardDevice of(std::vector<WireGuardPeer> peers) { return {.peers = std::move(peers)}; }

/// What the kernel makes of a change, by the rules of set_peer() in its netlink.c.
class ModelKernel {
  public:
    explicit ModelKernel(WireGuardDevice device) : device_(std::move(device)) {}

    void take(const DeviceChange& change) {
        if (change.private_key) {
            device_.private_key = change.private_key;
            if (*change.private_key == PrivateKey::none()) device_.private_key.reset();
        }
        if (change.listen_port) device_.listen_port = *change.listen_port;
        if (change.fwmark) device_.fwmark = *change.fwmark;
        for (const auto& peer : change.peers) take(peer);
        std::ranges::sort(device_.peers, {}, &WireGuardPeer::public_key);
    }
    [[nodiscard]] const WireGuardDevice& device() const { return device_; }
    /// Peers that were there all the time.
    [[nodiscard]] const std::set<PublicKey>& removed() const { return removed_; }

  private:
    void take(const PeerChange& change) {
        auto& peers = device_.peers;
        auto peer = std::ranges::find(peers, change.public_key, &WireGuardPeer::public_key);
        if (change.remove) {
            if (peer != peers.end()) peers.erase(peer);
            removed_.insert(change.public_key);
            return;
        }
        if (peer == peers.end()) {
            if (change.update_only) return;
            peer = peers.insert(peers.end(), WireGuardPeer{.public_key = change.public_key});
        }
        if (change.replace_allowed_ips) peer->allowed_ips.clear();
        if (change.preshared_key) {
            peer->preshared_key = change.preshared_key;
            if (*change.preshared_key == PresharedKey::none()) peer->preshared_key.reset();
        }
        if (change.endpoint) peer->endpoint = change.endpoint;
        if (change.keepalive) peer->keepalive = *change.keepalive;
        for (const auto& allowed : change.allowed_ips) {
            for (auto& other : peers) std::erase(other.allowed_ips, allowed);
            peer->allowed_ips.push_back(allowed);
        }
        std::ranges::sort(peer->allowed_ips);
    }

    WireGuardDevice device_;
    std::set<PublicKey> removed_;
};

TEST(WireGuardChange, IsNothingBetweenEquals) {
    random_wireguard::Random random(1);
    for (int i = 0; i < 100; ++i) {
        const auto device = random_wireguard::device(random, 10);
        EXPECT_TRUE(difference(device, device).empty());
    }
}

TEST(WireGuardChange, LeadsFromAnyConfigurationToAnyOther) {
    random_wireguard::Random random(2);
    auto from = random_wireguard::device(random, 10);
    for (int i = 0; i < 1'000; ++i) {
        const auto to = random_wireguard::one_in(random, 10)
                            ? random_wireguard::device(random, 10)
                            : random_wireguard::neighbour(random, from);
        ModelKernel kernel(from);
        kernel.take(difference(from, to));
        ASSERT_EQ(kernel.device(), to) << "step " << i;
        for (const auto& peer : to.peers) {
            const auto old =
                std::ranges::find(from.peers, peer.public_key, &WireGuardPeer::public_key);
            const bool had_to_go = old != from.peers.end() && old->endpoint && !peer.endpoint;
            ASSERT_EQ(kernel.removed().contains(peer.public_key), had_to_go) << "step " << i;
        }
        from = to;
    }
}

TEST(WireGuardChange, SaysNothingOfPeersThatStay) {
    const auto from = of({{.public_key = key_a, .keepalive = Keepalive(5)}, {.public_key = key_b}});
    auto to = from;
    to.peers[1].keepalive = Keepalive(25);
    EXPECT_THAT(difference(from, to).peers,
                ElementsAre(PeerChange{
                    .public_key = key_b, .update_only = true, .keepalive = Keepalive(25)}));
}

TEST(WireGuardChange, AddsAllowedIpsWithoutTakingTheOthersAway) {
    const auto one = network("10.0.0.0/24");
    const auto two = network("10.0.1.0/24");
    const auto from = of({{.public_key = key_a, .allowed_ips = {one}}});
    const auto to = of({{.public_key = key_a, .allowed_ips = {one, two}}});
    EXPECT_THAT(
        difference(from, to).peers,
        ElementsAre(PeerChange{.public_key = key_a, .update_only = true, .allowed_ips = {two}}));
    EXPECT_THAT(difference(to, from).peers, ElementsAre(PeerChange{.public_key = key_a,
                                                                   .update_only = true,
                                                                   .replace_allowed_ips = true,
                                                                   .allowed_ips = {one}}));
}

TEST(WireGuardChange, MakesAPeerAnewThatIsToLoseItsEndpoint) {
    const auto from = of({{.public_key = key_a, .endpoint = endpoint("192.0.2.1:1")}});
    const auto to = of({{.public_key = key_a}});
    const auto changes = difference(from, to).peers;
    ASSERT_THAT(changes, SizeIs(2));
    EXPECT_TRUE(changes[0].remove);
    EXPECT_FALSE(changes[1].remove || changes[1].update_only);
}

TEST(WireGuardChange, TakesAPresharedKeyAwayByZeros) {
    const auto from = of({{.public_key = key_a, .preshared_key = PresharedKey::generate()}});
    const auto changes = difference(from, of({{.public_key = key_a}})).peers;
    ASSERT_THAT(changes, SizeIs(1));
    EXPECT_EQ(changes[0].preshared_key, PresharedKey::none());
}

TEST(WireGuardChange, LeavesThePortThatTheKernelHasChosen) {
    EXPECT_TRUE(difference({.listen_port = 40'000}, {.listen_port = 0}).empty());
    EXPECT_EQ(difference({.listen_port = 40'000}, {.listen_port = 51'820}).listen_port, 51'820);
}

}  // namespace
}  // namespace porthole::wg
