// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/invitation.hpp"

namespace porthole {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using testing::ThrowsMessage;

template <typename T>
T text(std::string_view value) {
    return parse<T>("value", value);
}

Ticket some_ticket() {
    return {.nonce = {1, 2, 3},
            .until = Time(std::chrono::seconds(1'800'000'000)),
            .addresses = {text<InterfaceAddress>("10.9.0.2/24"),
                          text<InterfaceAddress>("fd00:9::2/64")},
            .name = text<Comment>("Zweigstelle 2 = 100 % B\xC3\xBCro")};
}

Site some_site() {
    return {.key = PrivateKey::generate().public_key(),
            .endpoint = text<EndpointSetting>("gw.example.net:51820"),
            .networks = {text<Network>("10.9.0.1/32"), text<Network>("192.168.2.0/24")}};
}

Invitation some_invitation() { return {some_site(), PresharedKey::generate(), some_ticket()}; }

Answer some_answer() {
    Answer answer{some_site(), PrivateKey::generate().public_key(), some_ticket()};
    answer.tag = tag_of(answer, PresharedKey::generate());
    return answer;
}

TEST(InvitationLine, IsReadAsItWasWritten) {
    auto invitation = some_invitation();
    EXPECT_EQ(parse_invitation(encode(invitation).view()), invitation);
    invitation.site.endpoint.reset();
    invitation.site.networks.clear();
    invitation.ticket.name = {};
    EXPECT_EQ(parse_invitation(encode(invitation).view()), invitation);
    const auto answer = some_answer();
    EXPECT_EQ(parse_answer(encode(answer)), answer);
    EXPECT_EQ(parse_answer("\r\n  " + encode(answer) + " \n"), answer);
    EXPECT_TRUE(is_answer(" " + encode(answer)));
    EXPECT_FALSE(is_answer(encode(invitation).view()));
}

TEST(InvitationLine, IsOneWordOfAscii) {
    const auto line = encode(some_invitation());
    EXPECT_THAT(std::string(line.view()), StartsWith("porthole-invitation-1:"));
    for (const char c : line.view()) EXPECT_TRUE(c > ' ' && c < 127) << c;
}

TEST(InvitationLine, IsNotTakenIfAnythingOfItIsAnother) {
    const std::string line(encode(some_invitation()).view());
    for (std::size_t i = 0; i < line.size(); ++i) {
        auto altered = line;
        altered[i] = altered[i] == 'A' ? 'B' : 'A';
        EXPECT_THROW(parse_invitation(altered), InvalidArgument) << i;
        EXPECT_THROW(parse_invitation(line.substr(0, i)), InvalidArgument) << i;
    }
    EXPECT_THROW(parse_invitation(line + "A"), InvalidArgument);
    EXPECT_THROW(parse_invitation(encode(some_answer())), InvalidArgument);
}

TEST(InvitationLine, IsRefusedWithoutRepeatingIt) {
    const std::string line(encode(some_invitation()).view());
    const auto cut = line.substr(0, line.size() - 5);
    EXPECT_THAT([&] { parse_invitation(cut); },
                ThrowsMessage<InvalidArgument>(
                    AllOf(HasSubstr("cut or altered"), Not(HasSubstr(line.substr(30, 20))))));
    EXPECT_THAT([] { parse_invitation("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="); },
                ThrowsMessage<InvalidArgument>(
                    AllOf(HasSubstr("does not begin like one"), Not(HasSubstr("dwdt")))));
    EXPECT_THAT([&] { parse_invitation("porthole-invitation-1:" + std::string(40'000, 'A')); },
                ThrowsMessage<InvalidArgument>(HasSubstr("too long")));
}

// The gateway that invites keeps nothing, so what it gave away must come back as it was.
TEST(InvitationKey, IsOfOneTicketAndOneTunnel) {
    const auto key = PrivateKey::generate();
    const auto ticket = some_ticket();
    const auto preshared_key = preshared_key_of(key, ticket);
    EXPECT_EQ(preshared_key_of(key, ticket), preshared_key);
    EXPECT_NE(preshared_key_of(PrivateKey::generate(), ticket), preshared_key);
    auto other = ticket;
    other.until += std::chrono::seconds(1);
    EXPECT_NE(preshared_key_of(key, other), preshared_key);
    other = ticket;
    other.addresses.pop_back();
    EXPECT_NE(preshared_key_of(key, other), preshared_key);
    other = ticket;
    other.name = {};
    EXPECT_NE(preshared_key_of(key, other), preshared_key);
    other = ticket;
    ++other.nonce[15];
    EXPECT_NE(preshared_key_of(key, other), preshared_key);
}

TEST(InvitationTag, IsOfAllOfTheAnswer) {
    const auto preshared_key = PresharedKey::generate();
    const auto answer = some_answer();
    const auto tag = tag_of(answer, preshared_key);
    EXPECT_NE(tag_of(answer, PresharedKey::generate()), tag);
    auto other = answer;
    other.site.networks.pop_back();
    EXPECT_NE(tag_of(other, preshared_key), tag);
    other = answer;
    other.site.endpoint.reset();
    EXPECT_NE(tag_of(other, preshared_key), tag);
    other = answer;
    other.site.key = some_site().key;
    EXPECT_NE(tag_of(other, preshared_key), tag);
    other = answer;
    other.to = some_site().key;
    EXPECT_NE(tag_of(other, preshared_key), tag);
    other = answer;
    other.ticket.until += std::chrono::seconds(1);
    EXPECT_NE(tag_of(other, preshared_key), tag);
}

}  // namespace
}  // namespace porthole
