// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dbus/names.hpp"
#include "dbus/tunnel_requests.hpp"

namespace porthole::dbus {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using testing::ThrowsMessage;

using Text = std::string;
using Texts = std::vector<std::string>;

TEST(DBusTunnel, TakesEverySetting) {
    const auto call =
        parse_create("wg0",
                     {{"private-key", Text("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=")},
                      {"listen-port", std::uint16_t{51821}},
                      {"addresses", Texts{"10.9.0.1/24", "fd00::1/64"}},
                      {"mtu", std::uint32_t{1400}},
                      {"fwmark", std::uint32_t{7}},
                      {"table", Text("off")},
                      {"metric", std::uint32_t{5}}},
                     {});
    EXPECT_EQ(to_text(call.name), "wg0");
    EXPECT_EQ(to_text(call.settings.private_key->public_key()),
              "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
    EXPECT_EQ(call.settings.listen_port, Port::from(51821));
    EXPECT_EQ(to_text(call.settings.addresses.at(1)), "fd00::1/64");
    EXPECT_EQ(call.settings.mtu, 1400U);
    EXPECT_EQ(call.settings.fwmark, 7U);
    EXPECT_EQ(to_text(call.settings.table), "off");
    EXPECT_EQ(call.settings.metric, 5U);
    EXPECT_EQ(parse_create("wg0", {}, {}).settings, TunnelSettings());
}

TEST(DBusTunnel, NamesTheSettingThatIsWrong) {
    const auto create = [](const Dictionary& settings) { parse_create("wg0", settings, {}); };
    EXPECT_THAT([] { parse_create("wg 0", {}, {}); },
                ThrowsMessage<InvalidArgument>(StartsWith("invalid name \"wg 0\"")));
    EXPECT_THAT(
        [&] {
            create({{"listen-port", std::uint16_t{0}}});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("invalid listen-port \"0\"")));
    EXPECT_THAT(
        [&] {
            create({{"addresses", Texts{"10.9.0.1/33"}}});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("invalid addresses \"10.9.0.1/33\"")));
    EXPECT_THAT(
        [&] {
            create({{"mtu", std::uint32_t{65456}}});
        },
        ThrowsMessage<InvalidArgument>(HasSubstr("expected bytes from 576 to 65455")));
    EXPECT_THAT(
        [&] {
            create({{"private-key", Text("secret")}});
        },
        ThrowsMessage<InvalidArgument>(
            AllOf(StartsWith("invalid private-key: expected"), testing::Not(HasSubstr("secret")))));
    EXPECT_THAT(
        [&] {
            create({{"peers", Text("")}});
        },
        ThrowsMessage<InvalidArgument>(
            StartsWith("invalid peers: expected a value of D-Bus type")));
    EXPECT_THAT(
        [] {
            parse_create("wg0", {}, {{"mtu", std::uint32_t{1400}}});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("unknown key \"mtu\"")));
}

constexpr auto peer_key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

TEST(DBusTunnel, TakesOfAPeerWhatIsGiven) {
    const auto nothing = parse_peer({{"public-key", Text(peer_key)}}, {});
    EXPECT_EQ(to_text(nothing.public_key), peer_key);
    EXPECT_FALSE(nothing.name || nothing.preshared_key || nothing.endpoint || nothing.keepalive ||
                 nothing.allowed_ips);
    const auto all = parse_peer({{"public-key", Text(peer_key)},
                                 {"name", Text("laptop")},
                                 {"preshared-key", Text(peer_key)},
                                 {"endpoint", Text("gw.example.net:51820")},
                                 {"keepalive", std::uint16_t{25}},
                                 {"allowed-ips", Texts{"10.9.0.3/32", "10.9.0.2/32"}}},
                                {});
    EXPECT_EQ(all.name->text(), "laptop");
    EXPECT_TRUE(all.preshared_key->has_value());
    EXPECT_EQ(to_text(**all.endpoint), "gw.example.net:51820");
    EXPECT_EQ(all.keepalive, Keepalive(25));
    EXPECT_EQ(to_text(all.allowed_ips->front()), "10.9.0.2/32");  // sorted
    const auto none = parse_peer({{"public-key", Text(peer_key)},
                                  {"preshared-key", Text()},
                                  {"endpoint", Text()},
                                  {"allowed-ips", Texts()}},
                                 {});
    EXPECT_TRUE(none.preshared_key && !none.preshared_key->has_value());
    EXPECT_TRUE(none.endpoint && !none.endpoint->has_value());
    EXPECT_TRUE(none.allowed_ips && none.allowed_ips->empty());
}

TEST(DBusTunnel, NamesWhatIsWrongWithAPeer) {
    EXPECT_THAT([] { parse_peer({}, {}); },
                ThrowsMessage<InvalidArgument>(HasSubstr("public-key is missing")));
    const auto peer = [](const char* key, const sdbus::Variant& value) {
        parse_peer({{"public-key", Text(peer_key)}, {key, value}}, {});
    };
    EXPECT_THAT([&] { peer("endpoint", Text("gw")); },
                ThrowsMessage<InvalidArgument>(StartsWith("invalid endpoint \"gw\": expected")));
    EXPECT_THAT([&] { peer("allowed-ips", Texts{"10.9.0.1/24"}); },
                ThrowsMessage<InvalidArgument>(StartsWith("invalid allowed-ips \"10.9.0.1/24\"")));
    EXPECT_THAT([&] { peer("keepalive", std::uint32_t{5}); },
                ThrowsMessage<InvalidArgument>(HasSubstr("D-Bus type \"q\"")));
    EXPECT_THAT([] { parse_peer_key("x", {}); },
                ThrowsMessage<InvalidArgument>(StartsWith("invalid public-key \"x\"")));
}

TEST(DBusTunnel, HasAPathThatEveryNameFitsInto) {
    EXPECT_EQ(escaped("wg0"), "wg0");
    EXPECT_EQ(escaped("0wg-a.b"), "_30wg_2da_2eb");
    EXPECT_EQ(escaped("\xC3\xA4"), "_c3_a4");
}

TEST(DBusTunnel, IsCreatedWithItsPeers) {
    const std::vector<Dictionary> peers{{{"public-key", Text(peer_key)}, {"name", Text("b")}}};
    const auto call = parse_create("wg0", {{"peers", peers}}, {});
    ASSERT_EQ(call.settings.peers.size(), 1U);
    EXPECT_EQ(call.settings.peers[0].name.text(), "b");
    EXPECT_EQ(call.settings.peers[0].keepalive, Keepalive(5));
    const std::vector<Dictionary> wrong{{{"public-key", Text(peer_key)}},
                                        {{"public-key", Text("x")}}};
    const auto create = [&wrong] { parse_create("wg0", {{"peers", wrong}}, {}); };
    EXPECT_THAT(create,
                ThrowsMessage<InvalidArgument>(StartsWith("peers[1]: invalid public-key \"x\"")));
}

TEST(DBusTunnel, IsConfiguredWithWhatIsGiven) {
    const auto nothing = parse_configure({}, {});
    EXPECT_FALSE(nothing.private_key || nothing.listen_port || nothing.addresses || nothing.mtu ||
                 nothing.fwmark || nothing.table || nothing.metric);
    const auto path = parse_configure({{"mtu", std::uint32_t{0}}}, {});
    EXPECT_TRUE(path.mtu && !path.mtu->has_value());
    EXPECT_EQ(parse_configure({{"mtu", std::uint32_t{1400}}}, {}).mtu, std::optional(1400U));
    EXPECT_THAT(
        [] {
            parse_configure({{"peers", std::vector<Dictionary>()}}, {});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("unknown key \"peers\"")));
}

TEST(DBusTunnel, InvitesDevicesAndGateways) {
    const auto device = parse_invite("wg0", {{"name", Text("laptop")},
                                             {"addresses", Texts{"10.9.0.7/24"}},
                                             {"endpoint", Text("gw.example.net:51820")},
                                             {"allowed-ips", Texts{"0.0.0.0/0"}},
                                             {"dns", Texts{"10.9.0.1"}}});
    EXPECT_FALSE(device.gateway);
    EXPECT_EQ(device.guest.name.text(), "laptop");
    EXPECT_EQ(to_text(device.guest.addresses->at(0)), "10.9.0.7/24");
    EXPECT_EQ(to_text(*device.side.endpoint), "gw.example.net:51820");
    EXPECT_EQ(to_text(device.side.allowed_ips->at(0)), "0.0.0.0/0");
    EXPECT_EQ(device.side.dns, Texts{"10.9.0.1"});

    const auto gateway = parse_invite("wg0", {{"gateway", true},
                                              {"networks", Texts{"192.168.2.0/24"}},
                                              {"lifetime", std::uint32_t{60}}});
    EXPECT_TRUE(gateway.gateway);
    EXPECT_EQ(to_text(gateway.site.networks->at(0)), "192.168.2.0/24");
    EXPECT_EQ(gateway.lifetime, std::chrono::seconds(60));
    EXPECT_EQ(parse_invite("wg0", {{"gateway", true}}).lifetime, Invitations::usual_lifetime);

    EXPECT_THAT(
        [] {
            parse_invite("wg0", {{"gateway", true}, {"dns", Texts()}});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("unknown key \"dns\"")));
    EXPECT_THAT(
        [] {
            parse_invite("wg0", {{"networks", Texts()}});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("unknown key \"networks\"")));
    for (const auto seconds : {std::uint32_t{0}, std::uint32_t{30 * 24 * 3600 + 1}}) {
        EXPECT_THAT(
            [&] {
                parse_invite("wg0", {{"gateway", true}, {"lifetime", seconds}});
            },
            ThrowsMessage<InvalidArgument>(
                AllOf(StartsWith("invalid lifetime"), HasSubstr("from 1 to 2592000"))));
    }
}

}  // namespace
}  // namespace porthole::dbus
