// SPDX-License-Identifier: GPL-2.0-or-later
#include <filesystem>

#include "core/secret_file.hpp"
#include "random_wireguard.hpp"
#include "tunnels_fixture.hpp"
#include "types/limits.hpp"

namespace porthole {
namespace {

using namespace support;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

using TunnelsTest = TunnelsFixture;

TEST_F(TunnelsTest, HaveKeyAndPortMadeForThem) {
    const auto& tunnel = tunnels_->create(wg0, {});
    EXPECT_TRUE(tunnel.settings.private_key);
    EXPECT_EQ(tunnel.settings.listen_port, port(51820));
    EXPECT_EQ(tunnels_->create(interface("wg1"), {}).settings.listen_port, port(51821));
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(TunnelsTest, AreNoMoreThanTheirLimit) {
    for (std::size_t i = 0; i < most_tunnels; ++i) {
        tunnels_->create(interface("wg" + std::to_string(i)), {});
    }
    const auto one_more = [&] { tunnels_->create(interface("more"), {}); };
    EXPECT_EQ(refusal_of(one_more), Refusal::limit_exceeded);
    tunnels_->remove(interface("wg7"));
    EXPECT_NO_THROW(one_more());
}

TEST_F(TunnelsTest, HaveNoMoreOfAnythingThanItsLimit) {
    tunnels_->create(wg0, {});
    PeerChanges peer{.public_key = PrivateKey::generate().public_key()};
    peer.allowed_ips.emplace();
    for (std::size_t i = 0; i <= most_allowed_ips; ++i) {
        peer.allowed_ips->push_back(parse<Network>(
            "allowed-ips",
            "10." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".0/24"));
    }
    EXPECT_EQ(refusal_of([&] { tunnels_->set_peer(wg0, peer); }), Refusal::limit_exceeded);
    peer.allowed_ips->pop_back();
    EXPECT_NO_THROW(tunnels_->set_peer(wg0, peer));
    TunnelSettings settings;
    for (std::size_t i = 0; i <= most_tunnel_addresses; ++i) {
        settings.addresses.push_back(
            parse<InterfaceAddress>("addresses", "10.9.0." + std::to_string(i + 1) + "/24"));
    }
    EXPECT_EQ(refusal_of([&] { tunnels_->create(interface("wg1"), settings); }),
              Refusal::limit_exceeded);
}

TEST_F(TunnelsTest, KeepTheirPortFromHosts) {
    tunnels_->create(wg0, {.listen_port = port(51999)});
    EXPECT_EQ(refusal_of([&] { reserve({.internal = endpoint("192.168.2.2", 51999)}); }),
              Refusal::port_taken);
    tunnels_->remove(wg0);
    EXPECT_NO_THROW(reserve({.internal = endpoint("192.168.2.2", 51999)}));
    EXPECT_EQ(refusal_of([&] { tunnels_->create(wg0, {.listen_port = port(51999)}); }),
              Refusal::port_taken);
    EXPECT_THAT(tunnels_->all(), IsEmpty());
}

TEST_F(TunnelsTest, CanHaveThePortOfOneThatWasJustRemoved) {
    tunnels_->create(wg0, {});
    gateway_->own_ports_changed({{Protocol::udp, port(51820)}});  // as its socket was seen
    tunnels_->remove(wg0);
    EXPECT_NO_THROW(tunnels_->create(wg0, {.listen_port = port(51820)}));
    tunnels_->remove(wg0);
    gateway_->own_ports_changed({{Protocol::udp, port(51820)}});  // another program's
    EXPECT_EQ(refusal_of([&] { tunnels_->create(wg0, {.listen_port = port(51820)}); }),
              Refusal::port_taken);
    gateway_->own_ports_changed({});
}

TEST_F(TunnelsTest, AreWhatTheyWereAfterARestart) {
    TunnelSettings settings{.fwmark = 7,
                            .addresses = {parse<InterfaceAddress>("a", "10.9.0.1/24"),
                                          parse<InterfaceAddress>("a", "10.8.0.1/24")},
                            .mtu = 1400,
                            .dns = {"192.0.2.53", "example.net"},
                            .table = {RouteTable::Choice::number, 77},
                            .metric = 5};
    settings.peers = {{.public_key = new_key(),
                       .name = parse<Comment>("name", "laptop"),
                       .preshared_key = PresharedKey::generate(),
                       .endpoint = parse<EndpointSetting>("endpoint", "gw.example.net:51820"),
                       .keepalive = Keepalive(25),
                       .allowed_ips = networks({"10.9.0.2/32", "fd00::/64"})},
                      {.public_key = new_key()}};
    tunnels_->create(wg0, settings);
    const auto before = tunnels_->all();
    restart();
    EXPECT_EQ(tunnels_->all(), before);
    EXPECT_EQ(tunnels_->find(wg0).settings.addresses, settings.addresses);
    expect_the_interfaces_are_the_tunnels();
    backend_.interfaces.clear();  // a reboot
    restart();
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(TunnelsTest, LeaveNoInterfaceBehindThatACrashHasLeft) {
    tunnels_->create(wg0, {});
    backend_.create(interface("wg1"));
    restart();
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(TunnelsTest, KeepTheirInterfacesWhenTheDatabaseIsLost) {
    tunnels_->create(wg0, {});
    tunnels_->create(interface("wg1"), {});
    std::filesystem::remove(directory_.path() / "porthole.db");
    restart();
    restart();
    EXPECT_THAT(tunnels_->all(), IsEmpty());
    EXPECT_EQ(backend_.interfaces.size(), 2U);
    EXPECT_EQ(refusal_of([&] { tunnels_->create(wg0, {}); }), Refusal::tunnel_exists);
}

TEST_F(TunnelsTest, AreNotMadeWithAnotherKeyThanThoseThatAreStored) {
    tunnels_->create(wg0, {});
    const auto file = directory_.path() / "secrets.key";
    const auto aside = directory_.path() / "aside";
    std::filesystem::rename(file, aside);
    SecretText other;
    PresharedKey::generate().reveal(other);
    write_secret_file(file, other.view());
    backend_.interfaces.clear();
    restart();
    EXPECT_THAT(tunnels_->warnings(), testing::ElementsAre(HasSubstr("another key")));
    EXPECT_THROW(tunnels_->create(interface("wg1"), {}), StorageFailure);
    EXPECT_THROW(tunnels_->create(wg0, {}), StorageFailure);
    EXPECT_THAT(backend_.interfaces, IsEmpty());
    std::filesystem::rename(aside, file);
    restart();
    EXPECT_TRUE(tunnels_->all().contains(wg0));
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(TunnelsTest, HaveNamesThatTheKernelTakesAsTheyAre) {
    EXPECT_THROW(tunnels_->create(interface("wg%d"), {}), InvalidArgument);
    EXPECT_THAT(backend_.interfaces, IsEmpty());
}

TEST_F(TunnelsTest, CanBeMadeAgainAfterTheFirewallHasFailed) {
    firewall_.outcomes = {FailingFirewall::Outcome::failure};
    EXPECT_THROW(tunnels_->create(wg0, {.listen_port = port(51999)}), KernelFailure);
    firewall_.outcomes.clear();
    EXPECT_NO_THROW(tunnels_->create(wg0, {.listen_port = port(51999)}));
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(TunnelsTest, SayAnEndpointAgainThatMayHaveMoved) {
    tunnels_->create(wg0, {});
    const auto key = new_key();
    const auto endpoint = parse<EndpointSetting>("e", "192.0.2.1:51820");
    tunnels_->set_peer(wg0, {.public_key = key, .endpoint = endpoint});
    backend_.said.reset();
    tunnels_->set_peer(wg0, {.public_key = key, .keepalive = Keepalive(7)});
    EXPECT_EQ(backend_.said, std::nullopt);
    tunnels_->set_peer(wg0, {.public_key = key, .endpoint = endpoint});
    EXPECT_EQ(backend_.said, PeerEndpoint{std::get<Place>(endpoint)});
}

TEST_F(TunnelsTest, KeepTheirSessionWhenAPeerGetsANameForItsAddress) {
    tunnels_->create(wg0, {});
    const auto key = new_key();
    tunnels_->set_peer(
        wg0, {.public_key = key, .endpoint = parse<EndpointSetting>("e", "192.0.2.1:51820")});
    tunnels_->set_peer(
        wg0, {.public_key = key, .endpoint = parse<EndpointSetting>("e", "gw.example.net:51820")});
    EXPECT_TRUE(backend_.at(wg0).device.peers[0].endpoint);
}

TEST_F(TunnelsTest, KeepEndpointsThatWereLearntWhenTheServiceStarts) {
    tunnels_->create(wg0, {});
    const auto key = new_key();
    tunnels_->set_peer(
        wg0, {.public_key = key, .endpoint = parse<EndpointSetting>("e", "192.0.2.1:51820")});
    const PeerEndpoint learnt{parse<Place>("place", "192.0.2.99:7")};
    backend_.at(wg0).device.peers[0].endpoint = learnt;
    restart();
    EXPECT_EQ(backend_.at(wg0).device.peers[0].endpoint, learnt);
    EXPECT_EQ(tunnels_->peers(wg0)[0].endpoint, learnt.place);
}

TEST_F(TunnelsTest, ComeUpEvenIfOneOfThemCannot) {
    tunnels_->create(wg0, {});
    tunnels_->create(interface("wg1"), {});
    backend_.interfaces.clear();
    backend_.calls_before_failure = 1;
    restart();
    EXPECT_THAT(tunnels_->warnings(),
                testing::ElementsAre(HasSubstr("tunnel wg0 is not up: a call")));
    EXPECT_FALSE(tunnels_->is_up(wg0));
    EXPECT_TRUE(tunnels_->is_up(interface("wg1")));
    restart();
    EXPECT_THAT(tunnels_->warnings(), IsEmpty());
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(TunnelsTest, ChangeOneFieldOfAPeerAndKeepTheOthers) {
    tunnels_->create(wg0, {});
    const auto key = new_key();
    const auto secret = PresharedKey::generate();
    tunnels_->set_peer(wg0, {.public_key = key, .preshared_key = std::optional(secret)});
    EXPECT_EQ(tunnels_->find(wg0).settings.peers[0].keepalive, Keepalive(5));
    tunnels_->set_peer(wg0, {.public_key = key, .allowed_ips = networks({"10.0.0.0/8"})});
    tunnels_->set_peer(wg0, {.public_key = key, .keepalive = Keepalive(0)});
    const auto& peer = tunnels_->find(wg0).settings.peers[0];
    EXPECT_EQ(peer.preshared_key, secret);
    EXPECT_EQ(peer.allowed_ips, networks({"10.0.0.0/8"}));
    EXPECT_EQ(peer.keepalive, Keepalive(0));
    tunnels_->set_peer(wg0, {.public_key = key, .preshared_key = std::optional<PresharedKey>()});
    EXPECT_EQ(tunnels_->find(wg0).settings.peers[0].preshared_key, std::nullopt);
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(TunnelsTest, HaveRoutesToWhatIsNotTheirOwnNetwork) {
    tunnels_->create(wg0, {.addresses = {parse<InterfaceAddress>("a", "10.9.0.1/24")}});
    const auto key = new_key();
    tunnels_->set_peer(
        wg0, {.public_key = key, .allowed_ips = networks({"10.9.0.0/24", "192.168.3.0/24"})});
    EXPECT_EQ(backend_.at(wg0).routes, networks({"192.168.3.0/24"}));
    tunnels_->set_peer(wg0, {.public_key = key, .allowed_ips = networks({"192.168.4.0/24"})});
    EXPECT_EQ(backend_.at(wg0).routes, networks({"192.168.4.0/24"}));
    tunnels_->remove_peer(wg0, key);
    EXPECT_THAT(backend_.at(wg0).routes, IsEmpty());
}

TEST_F(TunnelsTest, HaveRoutesToTheirOwnNetworkWhereTheKernelMakesNone) {
    tunnels_->create(wg0, {.addresses = {parse<InterfaceAddress>("a", "10.9.0.1/24")},
                           .table = {RouteTable::Choice::number, 1000}});
    tunnels_->set_peer(wg0, {.public_key = new_key(), .allowed_ips = networks({"10.9.0.0/24"})});
    EXPECT_EQ(backend_.at(wg0).routes, networks({"10.9.0.0/24"}));
}

TEST_F(TunnelsTest, RefusePeersThatTheKernelWouldTakeOtherwise) {
    const auto& tunnel = tunnels_->create(wg0, {});
    const auto a = new_key();
    tunnels_->set_peer(wg0, {.public_key = a, .allowed_ips = networks({"10.0.0.0/8"})});
    EXPECT_THROW(tunnels_->set_peer(wg0, {.public_key = tunnel.settings.private_key->public_key()}),
                 InvalidArgument);
    EXPECT_THROW(tunnels_->set_peer(wg0, {.public_key = PublicKey({1})}), InvalidArgument);
    EXPECT_EQ(refusal_of([&] {
                  tunnels_->set_peer(
                      wg0, {.public_key = new_key(), .allowed_ips = networks({"10.0.0.0/8"})});
              }),
              Refusal::allowed_ip_taken);
    EXPECT_EQ(refusal_of([&] { tunnels_->remove_peer(wg0, new_key()); }), Refusal::no_such_peer);
    EXPECT_EQ(refusal_of([&] { tunnels_->remove(interface("wg7")); }), Refusal::no_such_tunnel);
    EXPECT_EQ(refusal_of([&] { tunnels_->create(wg0, {}); }), Refusal::tunnel_exists);
    backend_.interfaces[interface("wg7")] = {};
    EXPECT_EQ(refusal_of([&] { tunnels_->create(interface("wg7"), {}); }), Refusal::tunnel_exists);
    backend_.interfaces.erase(interface("wg7"));
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(TunnelsTest, HaveMarksOfTheirOwn) {
    const auto mark = tunnels_->create(wg0, {}).settings.fwmark;
    EXPECT_NE(mark, 0U);
    EXPECT_NE(tunnels_->create(interface("wg1"), {}).settings.fwmark, mark);
    EXPECT_EQ(tunnels_->create(interface("wg2"), {.fwmark = 7}).settings.fwmark, 7U);
    const auto before = tunnels_->all();
    restart();
    EXPECT_EQ(tunnels_->all(), before);
}

TEST_F(TunnelsTest, TakeEverythingWhileAPeerIsToHaveIt) {
    const TunnelSettings settings{.addresses = {parse<InterfaceAddress>("a", "10.9.0.1/24")}};
    const auto mark = tunnels_->create(wg0, settings).settings.fwmark;
    const auto key = new_key();
    const auto set = [&](std::initializer_list<std::string_view> allowed_ips) {
        tunnels_->set_peer(wg0, {.public_key = key, .allowed_ips = networks(allowed_ips)});
        expect_the_interfaces_are_the_tunnels();
    };
    set({"0.0.0.0/0", "10.7.0.0/16"});
    EXPECT_FALSE(backend_.rules.empty());
    EXPECT_EQ(link_of(tunnels_->find(wg0).settings).default_table, mark);
    const auto rules = backend_.rules;
    restart();
    EXPECT_EQ(backend_.rules, rules);
    backend_.rules.clear();  // a reboot
    restart();
    EXPECT_EQ(backend_.rules, rules);
    set({"10.7.0.0/16"});
    EXPECT_THAT(backend_.rules, IsEmpty());
    set({"0.0.0.0/0"});
    tunnels_->configure(wg0, {.fwmark = 9});
    expect_the_interfaces_are_the_tunnels();
    EXPECT_NE(backend_.rules, rules);
    tunnels_->configure(wg0, {.table = RouteTable{RouteTable::Choice::off, 0}});
    EXPECT_THAT(backend_.rules, IsEmpty());
    tunnels_->configure(wg0, {.fwmark = mark, .table = RouteTable{}});
    EXPECT_EQ(backend_.rules, rules);
    tunnels_->set_peers(wg0, {{.public_key = key}});
    EXPECT_THAT(backend_.rules, IsEmpty());
    set({"0.0.0.0/0"});
    tunnels_->remove_peer(wg0, key);
    EXPECT_THAT(backend_.rules, IsEmpty());
    set({"0.0.0.0/0", "::/0"});
    EXPECT_THAT(tunnels_->warnings(), testing::ElementsAre(HasSubstr("no IPv6 address")));
    tunnels_->remove(wg0);
    EXPECT_THAT(backend_.rules, IsEmpty());
    backend_.rules = rules;  // a crash has left them
    restart();
    EXPECT_THAT(backend_.rules, IsEmpty());
}

TEST_F(TunnelsTest, SayThatTheirRulesAreNotInForce) {
    TunnelSettings settings{.addresses = {parse<InterfaceAddress>("a", "10.9.0.1/24")}};
    settings.peers = {{.public_key = new_key(), .allowed_ips = networks({"0.0.0.0/0"})}};
    tunnels_->create(wg0, settings);
    backend_.calls_before_failure = 3;  // configure(), connect() and finish() come before
    restart();
    EXPECT_THAT(tunnels_->warnings(), testing::ElementsAre(HasSubstr("not in force: a call")));
    EXPECT_TRUE(tunnels_->is_up(wg0));
    restart();
    EXPECT_THAT(tunnels_->warnings(), IsEmpty());
}

// The rules of tunnels that are up, though nobody can read their keys.
TEST_F(TunnelsTest, KeepTheirRulesWhileTheyCannotBeRead) {
    TunnelSettings settings{.addresses = {parse<InterfaceAddress>("a", "10.9.0.1/24")}};
    settings.peers = {{.public_key = new_key(), .allowed_ips = networks({"0.0.0.0/0"})}};
    tunnels_->create(wg0, settings);
    const auto rules = backend_.rules;
    std::filesystem::rename(directory_.path() / "secrets.key", directory_.path() / "aside");
    restart();
    EXPECT_EQ(backend_.rules, rules);
    std::filesystem::rename(directory_.path() / "aside", directory_.path() / "secrets.key");
    restart();
    expect_the_interfaces_are_the_tunnels();
}

// It would take the gateway's own way to the peer, too.
TEST_F(TunnelsTest, RefuseADefaultRouteInTheMainTable) {
    tunnels_->create(wg0, {});
    const PeerChanges half{.public_key = new_key(), .allowed_ips = networks({"128.0.0.0/1"})};
    EXPECT_THROW(tunnels_->set_peer(wg0, half), InvalidArgument);
    TunnelSettings settings{.table = {RouteTable::Choice::number, 254}};
    settings.peers = {{.public_key = new_key(), .allowed_ips = networks({"0.0.0.0/0"})}};
    const auto wg1 = interface("wg1");
    EXPECT_THROW(tunnels_->create(wg1, settings), InvalidArgument);
    settings.table.choice = RouteTable::Choice::off;
    tunnels_->create(wg1, settings);
    EXPECT_THAT(backend_.at(wg1).routes, IsEmpty());
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(TunnelsTest, SayHowItStandsWithAPeer) {
    tunnels_->create(wg0, {});
    const auto key = new_key();
    const auto state = [&] { return to_text(tunnels_->peers(wg0)[0].state); };
    tunnels_->set_peer(wg0, {.public_key = key});
    EXPECT_EQ(state(), "never");
    tunnels_->set_peer(
        wg0, {.public_key = key, .endpoint = parse<EndpointSetting>("e", "192.0.2.1:51820")});
    EXPECT_EQ(state(), "handshaking");
    pass(std::chrono::seconds(100));
    backend_.activity = PeerActivity{key, now_ - std::chrono::seconds(100), 1, 2};
    EXPECT_EQ(state(), "connected");
    EXPECT_EQ(tunnels_->peers(wg0)[0].sent_bytes, 2);
    pass(std::chrono::seconds(100));
    EXPECT_EQ(state(), "handshaking");
    tunnels_->set_peer(wg0, {.public_key = key, .keepalive = Keepalive(0)});
    EXPECT_EQ(state(), "stale");
}

TEST_F(TunnelsTest, TellTheAgeOfAHandshakeWhateverBecomesOfTheClock) {
    tunnels_->create(wg0, {});
    const auto key = new_key();
    tunnels_->set_peer(wg0, {.public_key = key});
    const auto age = [&] { return tunnels_->peers(wg0)[0].handshake_age; };
    EXPECT_EQ(age(), std::nullopt);
    pass(std::chrono::seconds(10));
    backend_.activity = PeerActivity{key, now_ - std::chrono::seconds(7), 1, 2};
    EXPECT_EQ(age(), std::chrono::seconds(7));
    now_ -= std::chrono::hours(1);
    EXPECT_EQ(age(), std::chrono::seconds(7));
    now_ += std::chrono::hours(2);
    pass(std::chrono::seconds(10));
    EXPECT_EQ(age(), std::chrono::seconds(17));
    // Set again, behind a handshake that was not seen yet.
    backend_.activity->last_handshake = now_;
    now_ += std::chrono::hours(2);
    pass(std::chrono::seconds(5));
    EXPECT_EQ(age(), std::chrono::seconds(5));
    backend_.activity->last_handshake = now_ + std::chrono::hours(1);
    EXPECT_EQ(age(), std::chrono::seconds(0));
}

TEST_F(TunnelsTest, AreConfiguredAnewWithWhatIsGiven) {
    const auto key = new_key();
    tunnels_->create(wg0,
                     {.addresses = {parse<InterfaceAddress>("a", "10.9.0.1/24")},
                      .peers = {{.public_key = key, .allowed_ips = networks({"10.8.0.0/24"})}}});
    const auto before = tunnels_->find(wg0).settings;
    tunnels_->configure(wg0, {.listen_port = port(51999),
                              .addresses = std::vector{parse<InterfaceAddress>("a", "10.7.0.1/24")},
                              .fwmark = 7});
    auto wanted = before;
    wanted.listen_port = port(51999);
    wanted.addresses = {parse<InterfaceAddress>("a", "10.7.0.1/24")};
    wanted.fwmark = 7;
    EXPECT_EQ(tunnels_->find(wg0).settings, wanted);
    expect_the_interfaces_are_the_tunnels();
    EXPECT_NO_THROW(reserve({.internal = endpoint("192.168.2.2", 51820)}));
    EXPECT_EQ(refusal_of([&] { tunnels_->configure(wg0, {.listen_port = port(51820)}); }),
              Refusal::port_taken);
    restart();
    EXPECT_EQ(tunnels_->find(wg0).settings, wanted);
}

TEST_F(TunnelsTest, HaveThePeersThatAreSaidAndNoOthers) {
    const auto stays = new_key();
    const auto goes = new_key();
    const auto comes = new_key();
    const auto secret = PresharedKey::generate();
    tunnels_->create(wg0,
                     {.peers = {{.public_key = stays,
                                 .preshared_key = secret,
                                 .allowed_ips = networks({"10.8.0.0/24"})},
                                {.public_key = goes, .allowed_ips = networks({"10.7.0.0/24"})}}});
    // Where it is now is better than where it was said to be.
    const auto learnt = PeerEndpoint{*TextForm<Place>::parse("192.0.2.7:1")};
    for (auto& peer : backend_.at(wg0).device.peers) {
        if (peer.public_key == stays) peer.endpoint = learnt;
    }
    tunnels_->set_peers(wg0, {{.public_key = comes, .allowed_ips = networks({"10.7.0.0/24"})},
                              {.public_key = stays, .allowed_ips = networks({"10.6.0.0/24"})}});
    const auto& settings = tunnels_->find(wg0).settings;
    ASSERT_THAT(settings.peers, SizeIs(2));
    for (const auto& peer : settings.peers) {
        EXPECT_EQ(peer.preshared_key.has_value(), peer.public_key == stays);
        EXPECT_EQ(peer.keepalive, Keepalive(5));
    }
    const auto& there = backend_.at(wg0);
    for (const auto& peer : there.device.peers) {
        EXPECT_EQ(peer.endpoint.has_value(), peer.public_key == stays);
    }
    EXPECT_EQ(there.routes, networks({"10.6.0.0/24", "10.7.0.0/24"}));
    const auto before = tunnels_->all();
    EXPECT_EQ(refusal_of([&] {
                  tunnels_->set_peers(
                      wg0, {{.public_key = comes, .allowed_ips = networks({"10.7.0.0/24"})},
                            {.public_key = stays, .allowed_ips = networks({"10.7.0.0/24"})}});
              }),
              Refusal::allowed_ip_taken);
    EXPECT_THROW(tunnels_->set_peers(wg0, {{.public_key = comes}, {.public_key = comes}}),
                 InvalidArgument);
    EXPECT_EQ(tunnels_->all(), before);
}

TEST_F(TunnelsTest, MoveAPeerWhosePlaceIsSaidAnew) {
    const auto key = new_key();
    const auto place = [](const char* text) { return parse<EndpointSetting>("e", text); };
    tunnels_->create(wg0, {.peers = {{.public_key = key, .endpoint = place("192.0.2.1:1")}}});
    backend_.at(wg0).device.peers[0].endpoint =
        PeerEndpoint{*TextForm<Place>::parse("192.0.2.7:7")};
    tunnels_->set_peers(wg0, {{.public_key = key, .endpoint = place("192.0.2.2:2")}});
    EXPECT_EQ(to_text(backend_.at(wg0).device.peers[0].endpoint->place), "192.0.2.2:2");
    tunnels_->set_peers(wg0, {{.public_key = key}});
    EXPECT_FALSE(backend_.at(wg0).device.peers[0].endpoint);
}

// Whatever fails wherever: kernel, store and memory have all of a change or nothing of it.
TEST_F(TunnelsTest, AreAsTheyWereWhereverAChangeFails) {
    random_wireguard::Random random(1);
    std::vector<PublicKey> keys;
    for (int i = 0; i < 4; ++i) keys.push_back(new_key());
    const TunnelSettings settings{.addresses = {parse<InterfaceAddress>("a", "10.9.0.1/24"),
                                                parse<InterfaceAddress>("a", "fd00:9::1/64")}};
    int failures = 0;
    for (int i = 0; i < 400; ++i) {
        const auto name = interface(random_wireguard::one_in(random, 2) ? "wg0" : "wg1");
        const auto key = keys[random_wireguard::below(random, 4)];
        const auto before = tunnels_->all();
        const auto interfaces = backend_.interfaces;
        const auto rules = backend_.rules;
        backend_.calls_before_failure = static_cast<int>(random_wireguard::below(random, 5)) - 1;
        try {
            switch (random_wireguard::below(random, 10)) {
                case 0:
                    tunnels_->remove(name);
                    break;
                case 1:
                    tunnels_->remove_peer(name, key);
                    break;
                case 2:
                case 3:
                    tunnels_->create(name, settings);
                    break;
                case 4:
                    tunnels_->configure(name, {.fwmark = random_wireguard::below(random, 9)});
                    break;
                case 5:
                    tunnels_->set_peers(name, {{.public_key = key},
                                               {.public_key = keys[0], .keepalive = Keepalive(7)}});
                    break;
                default: {
                    std::set<Network> none;
                    auto peer = random_wireguard::peer(random, none);
                    if (random_wireguard::one_in(random, 3)) {
                        peer.allowed_ips = networks({"0.0.0.0/0"});
                    }
                    tunnels_->set_peer(name, {.public_key = key,
                                              .preshared_key = peer.preshared_key,
                                              .allowed_ips = peer.allowed_ips});
                }
            }
        } catch (const Error& error) {
            EXPECT_EQ(tunnels_->all(), before) << error.what();
            EXPECT_EQ(backend_.interfaces, interfaces) << error.what();
            EXPECT_EQ(backend_.rules, rules) << error.what();
            failures += dynamic_cast<const KernelFailure*>(&error) != nullptr ? 1 : 0;
        }
        backend_.calls_before_failure = -1;
        const auto after = tunnels_->all();
        expect_the_interfaces_are_the_tunnels();
        if (i % 10 != 0) continue;
        restart();
        ASSERT_EQ(tunnels_->all(), after) << "step " << i;
    }
    EXPECT_GT(failures, 50);
}

TEST_F(TunnelsTest, AreNotReadWithAnotherKeyThanTheyWereSealedWith) {
    tunnels_->create(wg0, {});
    tunnels_.reset();
    gateway_.reset();
    std::filesystem::remove(directory_ / "secrets.key");
    {
        auto opened = Store::open(directory_.path());
        EXPECT_THAT(opened.state.tunnels_unreadable,
                    AllOf(HasSubstr("secrets.key"), HasSubstr("missing")));
        EXPECT_THAT(opened.state.tunnels, IsEmpty());
        // A new key would lose them for good.
        const Tunnel another{interface("wg1"), {.private_key = PrivateKey::generate()}};
        auto transaction = opened.store.begin();
        EXPECT_THROW(transaction.write(another), StorageFailure);
    }
    EXPECT_FALSE(std::filesystem::exists(directory_ / "secrets.key"));
    start({});
}

}  // namespace
}  // namespace porthole
