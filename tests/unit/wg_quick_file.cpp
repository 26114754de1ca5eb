// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "random_wireguard.hpp"
#include "wg/quick_file.hpp"

namespace porthole::wg {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr std::string_view key_a = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
constexpr std::string_view key_b = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";
constexpr std::string_view secret = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";

std::string refusal(const std::string& text) {
    try {
        parse_quick_file(text);
    } catch (const InvalidArgument& error) {
        return error.what();
    }
    return "it was read";
}

std::string in_interface(std::string_view line) {
    return "[Interface]\n" + std::string(line) + "\n";
}

std::string in_peer(std::string_view line) {
    return "[Peer]\nPublicKey = " + std::string(key_a) + "\n" + std::string(line) + "\n";
}

TEST(QuickFiles, HaveEverythingThatWgQuickKnows) {
    const auto settings = parse_quick_file(
        "# of the gateway\n"
        "[Interface]\r\n"
        "Address = 10.9.0.1/24, fd00:9::1/64\n"
        "address=10.9.1.1\n"
        "  PRIVATEKEY =  dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=  # secret\n"
        "ListenPort = 51821\n"
        "FwMark = 0xca6c\n"
        "DNS = 192.0.2.53, example.net\n"
        "MTU = 1412\n"
        "Table = 1234\n"
        "SaveConfig = true\n"
        "\n"
        "[Peer]\n"
        "PublicKey = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n"
        "PresharedKey = dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n"
        "Endpoint = gw.example.net:51820\n"
        "AllowedIPs = 10.9.0.2, 192.168.7.9/24\n"
        "AllowedIPs = fd00:9::2/128\n"
        "PersistentKeepalive = 25\n"
        "[peer]\n"
        "PublicKey = 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\n"
        "AllowedIPs =\n"
        "PersistentKeepalive = off");
    EXPECT_EQ(settings.private_key, PrivateKey::read("key", secret));
    EXPECT_EQ(settings.listen_port, Port::constant<51821>());
    EXPECT_EQ(settings.fwmark, 0xCA6C);
    EXPECT_EQ(settings.mtu, 1412);
    EXPECT_EQ(to_text(settings.table), "1234");
    EXPECT_THAT(settings.dns, ElementsAre("192.0.2.53", "example.net"));
    std::vector<std::string> addresses;
    for (const auto& each : settings.addresses) addresses.push_back(to_text(each));
    EXPECT_THAT(addresses, ElementsAre("10.9.0.1/24", "fd00:9::1/64", "10.9.1.1/32"));
    ASSERT_THAT(settings.peers, SizeIs(2));
    EXPECT_EQ(to_text(settings.peers[1].public_key), key_b);  // sorted by their bytes
    EXPECT_THAT(settings.peers[1].allowed_ips, IsEmpty());
    EXPECT_EQ(settings.peers[1].keepalive, Keepalive(0));
    const auto& peer = settings.peers[0];
    EXPECT_EQ(to_text(peer.public_key), key_a);
    EXPECT_EQ(peer.preshared_key, PresharedKey::read("key", secret));
    EXPECT_EQ(to_text(*peer.endpoint), "gw.example.net:51820");
    EXPECT_EQ(peer.keepalive, Keepalive(25));
    std::vector<std::string> networks;
    for (const auto& each : peer.allowed_ips) networks.push_back(to_text(each));
    EXPECT_THAT(networks, ElementsAre("10.9.0.2/32", "192.168.7.0/24", "fd00:9::2/128"));
}

TEST(QuickFiles, MayBeEmpty) {
    EXPECT_EQ(parse_quick_file(""), TunnelSettings{});
    EXPECT_EQ(parse_quick_file("[Interface]\n"), TunnelSettings{});
    EXPECT_EQ(parse_quick_file(in_interface("ListenPort = 0\nFwMark = off\nTable = auto")),
              TunnelSettings{});
}

TEST(QuickFiles, AreReadBackAsTheyWereWritten) {
    random_wireguard::Random random(1);
    for (int i = 0; i < 300; ++i) {
        const auto device = random_wireguard::device(random, 8);
        TunnelSettings settings{.private_key = device.private_key,
                                .listen_port = Port::from(device.listen_port),
                                .fwmark = device.fwmark};
        if (random_wireguard::one_in(random, 2)) settings.mtu = 1'420;
        if (random_wireguard::one_in(random, 2)) settings.dns = {"192.0.2.53", "example.net"};
        if (random_wireguard::one_in(random, 2)) settings.table = {RouteTable::Choice::off, 0};
        settings.addresses = {{random_wireguard::address(random), 32}};
        for (const auto& peer : device.peers) {
            std::optional<EndpointSetting> endpoint;
            if (peer.endpoint) endpoint = peer.endpoint->place;
            if (random_wireguard::one_in(random, 4)) {
                endpoint = NamedPlace{"gw.example.net", random_wireguard::port(random)};
            }
            settings.peers.push_back({.public_key = peer.public_key,
                                      .preshared_key = peer.preshared_key,
                                      .endpoint = endpoint,
                                      .keepalive = peer.keepalive,
                                      .allowed_ips = peer.allowed_ips});
        }
        const auto text = format_quick_file(settings);
        ASSERT_EQ(parse_quick_file(text.view()), settings) << text.view();
    }
}

TEST(QuickFiles, AreRefusedWithEveryLineThatIsWrong) {
    EXPECT_EQ(refusal("[Interface]\nListenPort = 70000\n[Peer]\nEndpoint = x\n"),
              "line 2: invalid ListenPort \"70000\": expected a port from 1 to 65535\n"
              "line 4: invalid Endpoint \"x\": expected " +
                  std::string(TextForm<EndpointSetting>::allowed) +
                  "\nline 3: the peer has no PublicKey");
}

TEST(QuickFiles, WithCommandsAreRefusedAndTheCommandsListed) {
    const auto message = refusal(in_interface(
        "PreUp = touch /tmp/x\npostup = iptables -A FORWARD -i %i\nPreDown = a\nPostDown = b"));
    for (const auto* line : {"line 2: PreUp: commands are never run", "line 3: PostUp: commands",
                             "line 4: PreDown: commands", "line 5: PostDown: commands"}) {
        EXPECT_THAT(message, HasSubstr(line));
    }
}

TEST(QuickFiles, NameTheFieldTheValueAndWhatIsAllowed) {
    EXPECT_THAT(refusal(in_interface("Address = 10.0.0.1/33")),
                AllOf(HasSubstr("line 2: invalid Address \"10.0.0.1/33\": expected an address")));
    EXPECT_THAT(refusal(in_interface("MTU = 12")),
                HasSubstr("MTU \"12\": expected bytes from 576"));
    EXPECT_THAT(refusal(in_interface("Table = main")),
                HasSubstr("Table \"main\": expected \"auto\""));
    EXPECT_THAT(refusal(in_interface("FwMark = 0x1ffffffff")), HasSubstr("FwMark"));
    EXPECT_THAT(refusal(in_interface("DNS = a;b")), HasSubstr("DNS \"a;b\""));
    EXPECT_THAT(refusal(in_interface("SaveConfig = yes")), HasSubstr("SaveConfig \"yes\""));
    EXPECT_THAT(refusal(in_interface("MTU = 1400\nMTU = 1400")),
                HasSubstr("line 3: mtu: it is there twice"));
    EXPECT_THAT(refusal(in_interface("[Interface]")), HasSubstr("an [Interface] already"));
    EXPECT_THAT(refusal(in_peer("AllowedIPs = 10.0.0.0/8,")), HasSubstr("AllowedIPs \"\""));
    EXPECT_THAT(refusal(in_peer("PersistentKeepalive = 65536")),
                HasSubstr("PersistentKeepalive \"65536\": expected \"off\" or seconds"));
    EXPECT_THAT(refusal(in_peer("MTU = 1400")), HasSubstr("MTU: a key that is not known in this"));
    EXPECT_THAT(refusal(in_peer("") + in_peer("")),
                HasSubstr("line 4: the peer " + std::string(key_a) + " is there twice"));
    EXPECT_THAT(refusal("MTU = 1400"), HasSubstr("line 1: it is in no section"));
    EXPECT_THAT(refusal("[Peers]\nPublicKey = x\n"), "line 1: expected [Interface] or [Peer]");
    EXPECT_THAT(refusal(in_interface("MTU")), HasSubstr("a key, \"=\" and a value"));
}

TEST(QuickFiles, AreRefusedWithoutRepeatingASecret) {
    const auto half = std::string(secret.substr(0, 30));
    const auto rest = std::string(secret.substr(30));
    for (const auto& text :
         {in_interface("PrivateKey = " + half),
          in_interface("PrivateKey = \n" + std::string(secret)), in_interface(std::string(secret)),
          in_interface(half + " = x"), in_peer("PresharedKey = " + half),
          in_peer(std::string(secret)), "[Peer]\nPublicKey = " + half + "\n", std::string(secret),
          "[" + half + "]\n"}) {
        EXPECT_THAT(refusal(text),
                    AllOf(Not(HasSubstr(half)), Not(HasSubstr(rest)), HasSubstr("line")))
            << text;
    }
}

}  // namespace
}  // namespace porthole::wg
