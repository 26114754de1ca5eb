// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/invitations.hpp"
#include "tunnels_fixture.hpp"

namespace porthole {
namespace {

using namespace support;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::ThrowsMessage;

template <typename T>
T text(std::string_view value) {
    return parse<T>("value", value);
}

/// The line as somebody else's gateway would answer it.
std::string answer_of(std::string_view line, const Site& site) {
    const auto invitation = parse_invitation(line);
    Answer answer{site, invitation.site.key, invitation.ticket};
    answer.tag = tag_of(answer, invitation.preshared_key);
    return encode(answer);
}

class InvitationsTest : public TunnelsFixture {
  protected:
    void SetUp() override {
        TunnelsFixture::SetUp();
        invitations_.emplace(*tunnels_, *gateway_, [this] { return now_; });
    }
    void create() { tunnels_->create(wg0, {.addresses = {text<InterfaceAddress>("10.9.0.1/24")}}); }
    SecretText invite_gateway(std::string_view name = "branch") {
        return invitations_->invite_gateway(wg0, {.name = text<Comment>(name)}, {},
                                            Invitations::usual_lifetime);
    }
    [[nodiscard]] Joined join(std::string_view line) {
        return invitations_->join(line, std::nullopt, {});
    }
    static Site branch() {
        return {.key = PrivateKey::generate().public_key(),
                .endpoint = text<EndpointSetting>("198.51.100.7:51820"),
                .networks = {text<Network>("192.168.77.0/24")}};
    }
    [[nodiscard]] const std::vector<PeerSettings>& peers() const {
        return tunnels_->find(wg0).settings.peers;
    }

    std::optional<Invitations> invitations_;
};

TEST_F(InvitationsTest, GiveADeviceEverything) {
    create();
    const auto theirs = invitations_->invite(wg0, {.name = text<Comment>("laptop")}, {});
    ASSERT_THAT(peers(), SizeIs(1));
    const auto& peer = peers()[0];
    EXPECT_EQ(peer.public_key, theirs.private_key->public_key());
    EXPECT_EQ(peer.name.text(), "laptop");
    EXPECT_THAT(peer.allowed_ips, ElementsAre(text<Network>("10.9.0.2/32")));
    EXPECT_THAT(theirs.addresses, ElementsAre(text<InterfaceAddress>("10.9.0.2/24")));
    ASSERT_THAT(theirs.peers, SizeIs(1));
    EXPECT_EQ(theirs.peers[0].public_key, tunnels_->find(wg0).settings.private_key->public_key());
    EXPECT_EQ(theirs.peers[0].preshared_key, peer.preshared_key);
    EXPECT_TRUE(peer.preshared_key);
    EXPECT_EQ(to_text(*theirs.peers[0].endpoint), "203.0.113.2:51820");
    EXPECT_THAT(theirs.peers[0].allowed_ips,
                ElementsAre(text<Network>("10.9.0.0/24"), text<Network>("192.168.2.0/24")));
    EXPECT_EQ(theirs.peers[0].keepalive, Keepalive(5));
    // The same again, but for what only the device has.
    auto exported = invitations_->exported(wg0, peer.public_key, {});
    EXPECT_FALSE(exported.private_key);
    exported.private_key = theirs.private_key;
    EXPECT_EQ(exported, theirs);
}

TEST_F(InvitationsTest, GiveAwayNoAddressThatSomebodyHas) {
    create();
    const auto next = [this] {
        return to_text(invitations_->invite(wg0, {}, {}).addresses.at(0).address);
    };
    EXPECT_EQ(next(), "10.9.0.2");
    tunnels_->set_peer(wg0, {.public_key = branch().key,
                             .allowed_ips = std::vector{text<Network>("10.9.0.4/30")}});
    EXPECT_EQ(next(), "10.9.0.3");
    EXPECT_EQ(next(), "10.9.0.8");
    // Nor one that a gateway may still take.
    EXPECT_EQ(to_text(parse_invitation(invite_gateway().view()).ticket.addresses.at(0)),
              "10.9.0.9/24");
    EXPECT_EQ(next(), "10.9.0.10");
    now_ += Invitations::usual_lifetime + std::chrono::seconds(1);
    EXPECT_EQ(next(), "10.9.0.9");
    tunnels_->remove(wg0);
    tunnels_->create(wg0, {.addresses = {text<InterfaceAddress>("10.9.0.1/30"),
                                         text<InterfaceAddress>("fd00:9::1/64")}});
    const auto both = invitations_->invite(wg0, {}, {}).addresses;
    EXPECT_THAT(both, ElementsAre(text<InterfaceAddress>("10.9.0.2/30"),
                                  text<InterfaceAddress>("fd00:9::2/64")));
    EXPECT_EQ(refusal_of([&] { invitations_->invite(wg0, {}, {}); }), Refusal::limit_exceeded);
    EXPECT_THAT(peers(), SizeIs(1));
}

TEST_F(InvitationsTest, ConnectWithAGatewayThatAnswers) {
    create();
    const auto line = invite_gateway();
    const auto invitation = parse_invitation(line.view());
    EXPECT_THAT(invitation.site.networks,
                ElementsAre(text<Network>("10.9.0.1/32"), text<Network>("192.168.2.0/24")));
    EXPECT_EQ(to_text(*invitation.site.endpoint), "203.0.113.2:51820");
    EXPECT_THAT(peers(), IsEmpty());
    // Nothing is kept, so a restart does not matter.
    restart();
    invitations_.emplace(*tunnels_, *gateway_, [this] { return now_; });
    const auto site = branch();
    const auto answer = answer_of(line.view(), site);
    const auto joined = join(answer);
    EXPECT_EQ(joined.tunnel, wg0);
    EXPECT_FALSE(joined.answer);
    ASSERT_THAT(peers(), SizeIs(1));
    EXPECT_EQ(peers()[0].public_key, site.key);
    EXPECT_EQ(peers()[0].name.text(), "branch");
    EXPECT_EQ(peers()[0].preshared_key, invitation.preshared_key);
    EXPECT_EQ(peers()[0].endpoint, site.endpoint);
    EXPECT_EQ(peers()[0].keepalive, Keepalive(5));
    EXPECT_THAT(peers()[0].allowed_ips,
                ElementsAre(text<Network>("10.9.0.2/32"), text<Network>("192.168.77.0/24")));
    // Once more changes nothing; from another one, the place is taken.
    const auto before = peers();
    (void)join(answer);
    EXPECT_EQ(peers(), before);
    auto late = branch();
    late.networks = {text<Network>("192.168.78.0/24")};
    EXPECT_EQ(refusal_of([&] { (void)join(answer_of(line.view(), late)); }),
              Refusal::allowed_ip_taken);
}

TEST_F(InvitationsTest, AreTakenByMakingATunnel) {
    tunnels_->create(wg0, {});
    const Ticket ticket{.until = now_ + std::chrono::hours(1),
                        .addresses = {text<InterfaceAddress>("10.8.0.7/24")}};
    const auto key = PrivateKey::generate();
    const Invitation invitation{
        {.key = key.public_key(),
         .endpoint = text<EndpointSetting>("198.51.100.7:51820"),
         .networks = {text<Network>("10.8.0.1/32"), text<Network>("192.168.77.0/24")}},
        preshared_key_of(key, ticket),
        ticket};
    const auto line = encode(invitation);
    const auto joined = join(line.view());
    EXPECT_EQ(joined.tunnel, interface("wg1"));
    const auto& made = tunnels_->find(joined.tunnel).settings;
    EXPECT_EQ(made.addresses, ticket.addresses);
    ASSERT_THAT(made.peers, SizeIs(1));
    EXPECT_EQ(made.peers[0].public_key, key.public_key());
    EXPECT_EQ(made.peers[0].preshared_key, invitation.preshared_key);
    EXPECT_EQ(made.peers[0].endpoint, invitation.site.endpoint);
    EXPECT_EQ(made.peers[0].allowed_ips, invitation.site.networks);
    const auto answer = parse_answer(joined.answer.value());
    EXPECT_EQ(answer.tag, tag_of(answer, invitation.preshared_key));
    EXPECT_EQ(answer.to, key.public_key());
    EXPECT_EQ(answer.ticket, ticket);
    EXPECT_EQ(answer.site.key, made.private_key->public_key());
    EXPECT_EQ(to_text(*answer.site.endpoint), "203.0.113.2:" + to_text(*made.listen_port));
    EXPECT_THAT(answer.site.networks, ElementsAre(text<Network>("192.168.2.0/24")));
    EXPECT_EQ(refusal_of([&] { (void)join(line.view()); }), Refusal::tunnel_exists);
}

TEST_F(InvitationsTest, RefuseLinesThatAreNotForThem) {
    create();
    const auto line = invite_gateway();
    const auto refused = [this](const std::string& answer, const char* why) {
        EXPECT_THAT([&] { (void)join(answer); }, ThrowsMessage<InvalidArgument>(HasSubstr(why)));
        EXPECT_THAT(peers(), IsEmpty());
    };
    // Somebody without the invitation, who knows what is public of it.
    auto forged = parse_answer(answer_of(line.view(), branch()));
    forged.tag = tag_of(forged, PresharedKey::generate());
    refused(encode(forged), "expected the answer to an invitation of tunnel wg0");
    // Somebody who wants more than was given.
    const auto invitation = parse_invitation(line.view());
    auto greedy = parse_answer(answer_of(line.view(), branch()));
    greedy.ticket.until += std::chrono::hours(1000);
    greedy.tag = tag_of(greedy, invitation.preshared_key);
    refused(encode(greedy), "expected the answer to an invitation of tunnel wg0");
    auto neighbour = branch();
    neighbour.networks = {text<Network>("192.168.0.0/16")};
    refused(answer_of(line.view(), neighbour), "192.168.0.0/16 of the other side overlaps");
    auto stranger = parse_answer(answer_of(line.view(), branch()));
    stranger.to = branch().key;
    EXPECT_EQ(refusal_of([&] { (void)join(encode(stranger)); }), Refusal::no_such_tunnel);
    now_ += Invitations::usual_lifetime + std::chrono::seconds(1);
    refused(answer_of(line.view(), branch()), "could be taken until");
}

TEST_F(InvitationsTest, NeedAWayToOneOfTheTwo) {
    create();
    auto nowhere = branch();
    nowhere.endpoint.reset();
    (void)join(answer_of(invite_gateway().view(), nowhere));  // it comes to us
    EXPECT_FALSE(peers()[0].endpoint);

    // Behind another NAT, nobody knows where this one is.
    auto behind_nat = home();
    for (auto& address : behind_nat.addresses) {
        if (to_text(address.address) == "203.0.113.2") {
            address.address = text<Address>("10.99.0.2");
        }
    }
    gateway_->interfaces_changed(behind_nat);
    const auto needs_a_way = ThrowsMessage<InvalidArgument>(HasSubstr("endpoint is missing"));
    EXPECT_THAT([&] { invitations_->invite(wg0, {}, {}); }, needs_a_way);
    const auto line = invite_gateway("other");
    EXPECT_FALSE(parse_invitation(line.view()).site.endpoint);
    auto other = branch();
    other.networks = {text<Network>("192.168.78.0/24")};
    (void)join(answer_of(line.view(), other));  // we come to it
    Invitation nowhere_either{.site = {.key = branch().key},
                              .preshared_key = PresharedKey::generate(),
                              .ticket = {.until = now_ + std::chrono::hours(1)}};
    EXPECT_THAT([&] { (void)join(encode(nowhere_either).view()); }, needs_a_way);
    EXPECT_THAT(tunnels_->all(), SizeIs(1));
    // Unless somebody says it.
    (void)invitations_->join(encode(nowhere_either).view(), std::nullopt,
                             {.endpoint = text<EndpointSetting>("gw.example.net:51821")});
    EXPECT_THAT(tunnels_->all(), SizeIs(2));
}

TEST_F(InvitationsTest, GiveNobodyThePlaceOfAnother) {
    tunnels_->create(wg0, {.addresses = {text<InterfaceAddress>("10.9.0.1/32")}});
    EXPECT_EQ(refusal_of([&] { invitations_->invite(wg0, {}, {}); }), Refusal::limit_exceeded);
    tunnels_->configure(wg0, {.addresses = std::vector{text<InterfaceAddress>("10.9.0.1/24")}});
    const auto invite = [this](std::string_view address) {
        return [this, address] {
            invitations_->invite(wg0, {.addresses = std::vector{text<InterfaceAddress>(address)}},
                                 {});
        };
    };
    const auto taken = ThrowsMessage<InvalidArgument>(HasSubstr("that nobody has in tunnel wg0"));
    EXPECT_THAT(invite("10.9.0.1/24"), taken);
    EXPECT_NO_THROW(invite("10.9.0.7/24")());
    EXPECT_THAT(invite("10.9.0.7/24"), taken);
    EXPECT_NO_THROW(invite_gateway());
    EXPECT_THAT(invite("10.9.0.2/24"), taken);
}

TEST_F(InvitationsTest, ChangeNoPeerThatIsThere) {
    create();
    const auto victim = branch();
    tunnels_->set_peer(wg0, {.public_key = victim.key, .endpoint = victim.endpoint});
    auto site = branch();
    site.key = victim.key;
    const auto before = peers();
    EXPECT_THAT([&] { (void)join(answer_of(invite_gateway().view(), site)); },
                ThrowsMessage<InvalidArgument>(HasSubstr("has the peer " + to_text(victim.key))));
    EXPECT_EQ(peers(), before);
    // What has been set since stays.
    const auto line = answer_of(invite_gateway().view(), branch());
    const auto peer = join(line).peer;
    tunnels_->set_peer(wg0, {.public_key = peer, .name = text<Comment>("renamed")});
    const auto changed = peers();
    (void)join(line);
    EXPECT_EQ(peers(), changed);
    // Part of another's network would be another's.
    auto part = branch();
    part.networks = {text<Network>("192.168.77.128/25")};
    EXPECT_THAT([&] { (void)join(answer_of(invite_gateway().view(), part)); },
                ThrowsMessage<InvalidArgument>(HasSubstr("192.168.77.128/25")));
}

TEST_F(InvitationsTest, MakeNoSecondInterfaceInANetwork) {
    create();
    const Invitation invitation{.site = {.key = branch().key,
                                         .endpoint = branch().endpoint,
                                         .networks = {text<Network>("192.168.77.0/24")}},
                                .preshared_key = PresharedKey::generate(),
                                .ticket = {.until = now_ + std::chrono::hours(1),
                                           .addresses = {text<InterfaceAddress>("10.9.0.2/24")}}};
    EXPECT_THAT([&] { (void)join(encode(invitation).view()); },
                ThrowsMessage<InvalidArgument>(HasSubstr("10.9.0.0/24 of the other side")));
    auto lan = invitation;
    lan.ticket.addresses = {text<InterfaceAddress>("192.168.2.9/28")};
    EXPECT_THAT([&] { (void)join(encode(lan).view()); },
                ThrowsMessage<InvalidArgument>(HasSubstr("192.168.2.0/28 of the other side")));
    EXPECT_THAT([&] { (void)join(invite_gateway().view()); },
                ThrowsMessage<InvalidArgument>(HasSubstr("an invitation of tunnel wg0")));
    EXPECT_THAT(tunnels_->all(), SizeIs(1));
}

}  // namespace
}  // namespace porthole
