// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sodium.h>

#include "types/tunnel.hpp"

namespace porthole {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

template <typename Failure, typename Action>
std::string message_of(const Action& action) {
    try {
        action();
    } catch (const Failure& failure) {
        return failure.what();
    }
    return "nothing was thrown";
}

std::string revealed(const auto& key) {
    SecretText text;
    key.reveal(text);
    return std::string(text.view());
}

// RFC 7748 section 6.1, Alice's.
constexpr std::string_view private_text = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
constexpr std::string_view public_text = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

TEST(Keys, AgreeWithRfc7748) {
    const auto key = PrivateKey::read("key", private_text);
    EXPECT_EQ(to_text(key.public_key()), public_text);
    // The same with the bits cleared and set that do not count.
    EXPECT_EQ(revealed(key), "cAdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LGo=");
    EXPECT_EQ(key, PrivateKey::read("key", revealed(key)));
    EXPECT_EQ(parse<PublicKey>("key", public_text), key.public_key());
}

TEST(Keys, AreClampedAndDifferentWhenTheyAreMade) {
    const auto key = PrivateKey::generate();
    EXPECT_EQ(key.bytes().front() & 7U, 0U);
    EXPECT_EQ(key.bytes().back() & 0xC0U, 0x40U);
    EXPECT_NE(key, PrivateKey::generate());
    EXPECT_NE(PresharedKey::generate(), PresharedKey::generate());
    EXPECT_NE(PresharedKey::generate(), PresharedKey::none());
}

TEST(Keys, AreNeverRepeatedInAnError) {
    const auto broken = std::string(private_text).substr(1);
    EXPECT_THAT(message_of<InvalidArgument>([&] { PrivateKey::read("private-key", broken); }),
                AllOf(HasSubstr("private-key"), HasSubstr("32 bytes"), Not(HasSubstr(broken))));
    EXPECT_THAT(message_of<InvalidArgument>([&] { PresharedKey::read("preshared-key", broken); }),
                AllOf(HasSubstr("preshared-key"), Not(HasSubstr(broken))));
}

TEST(Keys, AreExactlyThirtyTwoBytesOfBase64) {
    for (const std::string_view text :
         {"", "=", "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo",
          "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCp=",  // bits behind the 32 bytes
          "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo= ",
          "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LC==",
          "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCoA",
          "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR2 LCo=",
          "AQAAAAAAAAAAAAAAAAAAAQ\xFF\xFF"
          "AAAAAAAAAAAAAAAAAAA="}) {
        EXPECT_FALSE(TextForm<PublicKey>::parse(text)) << text;
    }
}

// Whatever libsodium makes no agreement with, and nothing else.
TEST(Keys, OfLowOrderAreKnown) {
    const auto near_p = [](std::uint8_t least_byte) {
        PublicKey::Bytes bytes{};
        bytes.fill(0xFF);
        bytes.front() = least_byte;
        bytes.back() = 0x7F;
        return PublicKey(bytes);
    };
    std::vector<PublicKey> keys{
        parse<PublicKey>("key", "4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA="),
        parse<PublicKey>("key", "X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc="),
        PrivateKey::generate().public_key()};
    for (std::uint8_t i = 0; i < 20; ++i) keys.emplace_back(PublicKey::Bytes{i});
    for (unsigned i = 0xD0; i <= 0xFF; ++i) keys.push_back(near_p(static_cast<std::uint8_t>(i)));
    std::ptrdiff_t known = 0;
    for (const auto& key : keys) {
        for (const auto highest_bit : {0x00U, 0x80U}) {
            auto bytes = key.bytes();
            bytes.back() = static_cast<std::uint8_t>(bytes.back() ^ highest_bit);
            constexpr PublicKey::Bytes anybody{1};
            PublicKey::Bytes agreed{};
            const bool none = crypto_scalarmult(agreed.data(), anybody.data(), bytes.data()) != 0;
            EXPECT_EQ(PublicKey(bytes).is_low_order(), none) << to_text(PublicKey(bytes));
            known += none ? 1 : 0;
        }
    }
    EXPECT_EQ(known, 14);
}

TEST(Secrets, ShareTheirBytesAndAreWipedWithTheLast) {
    const auto* bytes = [] {
        const auto key = PresharedKey::generate();
        const auto copy = key;  // NOLINT(performance-unnecessary-copy-initialization)
        EXPECT_EQ(copy.bytes().data(), key.bytes().data());
        return key.bytes().data();
    }();
    // The slot is the next one to be given out, and zeros are what it has before.
    Secret([bytes](Secret::Bytes fresh) {
        EXPECT_EQ(fresh.data(), bytes);
        EXPECT_EQ(std::ranges::count(fresh, 0), Secret::size);
    });
}

TEST(Secrets, HaveRoomForThousands) {
    std::vector<PresharedKey> keys;
    for (int i = 0; i < 10'000; ++i) keys.push_back(PresharedKey::generate());
    for (std::size_t i = 1; i < keys.size(); ++i) ASSERT_NE(keys[i - 1], keys[i]);
}

TEST(SecretTexts, Grow) {
    SecretText text;
    std::string expected;
    for (int i = 0; i < 3'000; ++i) {
        const auto number = std::to_string(i);
        text.append(number);
        expected += number;
    }
    EXPECT_EQ(text.view(), expected);
}

WireGuardPeer peer(const PublicKey& key, std::vector<std::string_view> networks = {}) {
    WireGuardPeer peer{.public_key = key};
    for (const auto network : networks) {
        peer.allowed_ips.push_back(parse<Network>("network", network));
    }
    return peer;
}

TEST(WireGuardDevices, AreConsistentWithPeersOfTheirOwnNetworks) {
    const auto own = PrivateKey::generate();
    const auto a = PrivateKey::generate().public_key();
    const auto b = PrivateKey::generate().public_key();
    EXPECT_NO_THROW(
        require_consistent({own, 0, 0, {peer(a, {"10.0.0.0/8"}), peer(b, {"10.1.0.0/16"})}}));
}

TEST(WireGuardDevices, RefuseWhatTheKernelWouldTakeOtherwise) {
    const auto own = PrivateKey::generate();
    const auto refused = [&own](std::vector<WireGuardPeer> peers) {
        return message_of<InvalidArgument>([&] { require_consistent({own, 0, 0, peers}); });
    };
    const auto a = PrivateKey::generate().public_key();
    EXPECT_THAT(refused({peer(own.public_key())}),
                AllOf(HasSubstr("public-key"), HasSubstr(to_text(own.public_key())),
                      HasSubstr("interface's own")));
    EXPECT_THAT(refused({peer(a), peer(a)}), HasSubstr("no other peer"));
    EXPECT_THAT(refused({peer(PublicKey({1}))}), HasSubstr("handshake"));
}

TEST(WireGuardDevices, RefuseAnAllowedIpOfTwoPeersAndNameBoth) {
    const auto a = PublicKey({9});
    const auto b = PrivateKey::generate().public_key();
    try {
        require_consistent({{}, 0, 0, {peer(a, {"10.0.0.0/24"}), peer(b, {"10.0.0.0/24"})}});
        FAIL() << "it was taken";
    } catch (const Refused& refused) {
        EXPECT_EQ(refused.reason(), Refusal::allowed_ip_taken);
        EXPECT_THAT(refused.what(),
                    AllOf(HasSubstr("10.0.0.0/24"), HasSubstr(to_text(a)), HasSubstr(to_text(b))));
    }
}

TEST(EndpointSettings, AreAddressesOrNames) {
    for (const std::string_view text :
         {"203.0.113.9:51820", "[2001:db8::9]:51820", "gw.example.net:51820", "gw:1",
          "a-b_c.example.:65535", "[fe80::1%eth0]:51820"}) {
        const auto endpoint = parse<EndpointSetting>("endpoint", text);
        EXPECT_EQ(to_text(endpoint), text);
        EXPECT_EQ(std::holds_alternative<Place>(endpoint),
                  text.starts_with("203") || text.starts_with("[2001"));
    }
    for (const std::string_view text :
         {"", "gw", "gw:", ":51820", "gw:0", "gw:65536", "1.2.3:51820", "256.1.1.1:51820",
          "2001:db8::9:51820", "[gw]:51820", "[10.0.0.1]:51820", "a..b:1", ".a:1", "a b:1",
          "[fe80::1%]:1", "[fe80::1%a b]:1", "gw:51820x"}) {
        EXPECT_FALSE(TextForm<EndpointSetting>::parse(text)) << text;
    }
}

TEST(InterfaceAddresses, HaveAPrefixOrAreOfOneHost) {
    EXPECT_EQ(to_text(parse<InterfaceAddress>("address", "10.9.0.1/24")), "10.9.0.1/24");
    EXPECT_EQ(to_text(parse<InterfaceAddress>("address", "10.9.0.1")), "10.9.0.1/32");
    EXPECT_EQ(to_text(parse<InterfaceAddress>("address", "fd00::1")), "fd00::1/128");
    for (const std::string_view text : {"", "10.9.0.1/33", "fd00::/129", "10.9.0.1/", "x/8"}) {
        EXPECT_FALSE(TextForm<InterfaceAddress>::parse(text)) << text;
    }
}

TEST(RouteTables, AreChosenByWordOrNumber) {
    for (const std::string_view text : {"auto", "off", "1", "51820", "4294967295"}) {
        EXPECT_EQ(to_text(parse<RouteTable>("table", text)), text);
    }
    for (const std::string_view text : {"", "0", "main", "4294967296", "-1"}) {
        EXPECT_FALSE(TextForm<RouteTable>::parse(text)) << text;
    }
}

}  // namespace
}  // namespace porthole
