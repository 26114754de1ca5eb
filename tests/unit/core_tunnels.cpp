// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <filesystem>
#include <map>
#include <set>

#include "core/secret_file.hpp"
#include "core/tunnels.hpp"
#include "gateway_fixture.hpp"
#include "random_wireguard.hpp"

namespace porthole {
namespace {

using namespace support;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

InterfaceName interface(std::string_view name) { return parse<InterfaceName>("interface", name); }
const auto wg0 = interface("wg0");

/// Interfaces as the kernel would have them. A call fails where a test wants it to.
class ModelBackend : public TunnelBackend {
  public:
    struct Interface {
        WireGuardDevice device;
        std::vector<InterfaceAddress> addresses;
        std::vector<Network> routes;
        bool up = false;
        bool operator==(const Interface&) const = default;
    };

    std::optional<WireGuardState> read(const InterfaceName& name) override {
        const auto found = interfaces.find(name);
        if (found == interfaces.end()) return std::nullopt;
        WireGuardState state{found->second.device, {}};
        for (const auto& peer : state.device.peers) {
            state.activity.push_back({.public_key = peer.public_key});
            if (activity && activity->public_key == peer.public_key) {
                state.activity.back() = *activity;
            }
        }
        return state;
    }
    void create(const InterfaceName& name) override {
        take();
        if (!interfaces.emplace(name, Interface{}).second) throw KernelFailure("make", EEXIST, "");
        unfinished_.insert(name);
    }
    void finish(const InterfaceName& name) override {
        take();
        unfinished_.erase(name);
    }
    std::vector<InterfaceName> unfinished() override {
        return {unfinished_.begin(), unfinished_.end()};
    }
    void remove(const InterfaceName& name) override {
        take();
        if (interfaces.erase(name) == 0) throw KernelFailure("remove", ENODEV, "");
        unfinished_.erase(name);
    }
    void configure(const InterfaceName& name, const WireGuardDevice& from,
                   const WireGuardDevice& to) override {
        take();
        EXPECT_EQ(at(name).device, from);
        at(name).device = to;
    }
    void change_peer(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                     const std::optional<WireGuardPeer>& to, bool say_endpoint) override {
        take();
        if (say_endpoint && to) said = to->endpoint;
        replace(name, from, to);
    }
    void take_peer_back(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                        const std::optional<WireGuardPeer>& to) override {
        take();
        replace(name, to, from);
    }
    void replace(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                 const std::optional<WireGuardPeer>& to) {
        auto& peers = at(name).device.peers;
        if (from) {
            EXPECT_EQ(std::erase(peers, *from), 1U);
        }
        if (to) peers.push_back(*to);
        std::ranges::sort(peers, {}, &WireGuardPeer::public_key);
    }
    void connect(const InterfaceName& name, const TunnelLink& link,
                 const std::vector<WireGuardPeer>& /*peers*/) override {
        take();
        auto& interface = at(name);
        interface.addresses = link.addresses;
        interface.routes = link.routes;
        interface.up = true;
    }
    void fit_mtu(const InterfaceName& /*name*/, const TunnelLink& /*link*/,
                 const WireGuardPeer& /*peer*/) override {
        take();
    }
    void change_routes(const InterfaceName& name, const TunnelLink& /*link*/,
                       const std::vector<Network>& gone,
                       const std::vector<Network>& come) override {
        take();
        auto& routes = at(name).routes;
        for (const auto& route : gone) EXPECT_EQ(std::erase(routes, route), 1U);
        routes.insert(routes.end(), come.begin(), come.end());
        std::ranges::sort(routes);
    }

    Interface& at(const InterfaceName& name) {
        const auto found = interfaces.find(name);
        if (found == interfaces.end()) throw KernelFailure("find", ENODEV, "");
        return found->second;
    }

    std::map<InterfaceName, Interface> interfaces;
    std::optional<PeerActivity> activity;
    std::optional<PeerEndpoint> said;  ///< the last endpoint that was to be said anyhow
    int calls_before_failure = -1;     ///< that fail once; negative: none does

  private:
    std::set<InterfaceName> unfinished_;
    void take() {
        if (calls_before_failure-- == 0) throw KernelFailure("a call", EIO, "as the test wants");
    }
};

class TunnelsTest : public GatewayFixture {
  protected:
    void SetUp() override {
        GatewayFixture::SetUp();
        open({});
    }
    void TearDown() override {
        tunnels_.reset();
        GatewayFixture::TearDown();
    }

    void open(std::vector<Tunnel> stored, const std::string& unreadable = {}) {
        tunnels_.emplace(*gateway_, backend_, std::move(stored), [this] { return now_; });
        tunnels_->cannot_read(unreadable);
        tunnels_->start();
    }
    /// The service starts again, from what is on the disk.
    void restart() {
        tunnels_.reset();
        gateway_.reset();
        auto opened = Store::open(directory_.path());
        auto stored = std::move(opened.state.tunnels);
        const auto unreadable = std::move(opened.state.tunnels_unreadable);
        gateway_ = std::make_unique<Gateway>(Configuration(), std::move(opened), firewall_,
                                             settler_, [this] { return now_; });
        gateway_->start(home());
        open(std::move(stored), unreadable);
    }
    void expect_the_interfaces_are_the_tunnels() {
        ASSERT_EQ(backend_.interfaces.size(), tunnels_->all().size());
        std::vector<ProtocolPort> ports;
        for (const auto& [name, tunnel] : tunnels_->all()) {
            const auto link = link_of(tunnel.settings);
            const ModelBackend::Interface wanted{device_of(tunnel.settings), link.addresses,
                                                 link.routes, true};
            EXPECT_EQ(backend_.at(name), wanted);
            ports.push_back({Protocol::udp, *tunnel.settings.listen_port});
        }
        std::ranges::sort(ports);
        EXPECT_EQ(gateway_->status().own_ports, ports);
    }
    template <typename Action>
    static Refusal refusal_of(const Action& action) {
        try {
            action();
        } catch (const Refused& refused) {
            return refused.reason();
        }
        ADD_FAILURE() << "it was not refused";
        return Refusal::busy;
    }

    ModelBackend backend_;
    std::optional<Tunnels> tunnels_;
};

PublicKey new_key() { return PrivateKey::generate().public_key(); }

std::vector<Network> networks(std::initializer_list<std::string_view> texts) {
    std::vector<Network> result;
    for (const auto text : texts) result.push_back(parse<Network>("network", text));
    std::ranges::sort(result);
    return result;
}

TEST_F(TunnelsTest, HaveKeyAndPortMadeForThem) {
    const auto& tunnel = tunnels_->create(wg0, {});
    EXPECT_TRUE(tunnel.settings.private_key);
    EXPECT_EQ(tunnel.settings.listen_port, port(51820));
    EXPECT_EQ(tunnels_->create(interface("wg1"), {}).settings.listen_port, port(51821));
    expect_the_interfaces_are_the_tunnels();
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
    EXPECT_THAT(tunnels_->warnings(),
                testing::ElementsAre(HasSubstr("at gw.example.net:51820: this version")));
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

// It would take the gateway's own way to the peer, too.
TEST_F(TunnelsTest, RefuseADefaultRouteInTheMainTable) {
    tunnels_->create(wg0, {});
    for (const auto* everything : {"0.0.0.0/0", "::/0", "128.0.0.0/1"}) {
        const PeerChanges peer{.public_key = new_key(), .allowed_ips = networks({everything})};
        EXPECT_EQ(refusal_of([&] { tunnels_->set_peer(wg0, peer); }), Refusal::unsupported);
        TunnelSettings settings;
        settings.peers = {{.public_key = new_key(), .allowed_ips = networks({everything})}};
        const auto wg1 = interface("wg1");
        EXPECT_EQ(refusal_of([&] { tunnels_->create(wg1, settings); }), Refusal::unsupported);
        settings.table.choice = RouteTable::Choice::off;
        tunnels_->create(wg1, settings);
        EXPECT_THAT(backend_.at(wg1).routes, IsEmpty());
        tunnels_->remove(wg1);
        settings.table = {RouteTable::Choice::number, 254};
        EXPECT_EQ(refusal_of([&] { tunnels_->create(wg1, settings); }), Refusal::unsupported);
    }
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
    backend_.activity = PeerActivity{key, now_ - std::chrono::seconds(100), 1, 2};
    EXPECT_EQ(state(), "connected");
    EXPECT_EQ(tunnels_->peers(wg0)[0].sent_bytes, 2);
    backend_.activity->last_handshake -= std::chrono::seconds(100);
    EXPECT_EQ(state(), "handshaking");
    tunnels_->set_peer(wg0, {.public_key = key, .keepalive = Keepalive(0)});
    EXPECT_EQ(state(), "stale");
    backend_.activity->last_handshake = now_ + std::chrono::hours(1);  // the clock was set back
    EXPECT_EQ(state(), "connected");
}

// Whatever fails wherever: kernel, store and memory have all of a change or nothing of it.
TEST_F(TunnelsTest, AreAsTheyWereWhereverAChangeFails) {
    random_wireguard::Random random(1);
    std::vector<PublicKey> keys;
    for (int i = 0; i < 4; ++i) keys.push_back(new_key());
    int failures = 0;
    for (int i = 0; i < 400; ++i) {
        const auto name = interface(random_wireguard::one_in(random, 2) ? "wg0" : "wg1");
        const auto key = keys[random_wireguard::below(random, 4)];
        const auto before = tunnels_->all();
        const auto interfaces = backend_.interfaces;
        backend_.calls_before_failure = static_cast<int>(random_wireguard::below(random, 5)) - 1;
        try {
            switch (random_wireguard::below(random, 8)) {
                case 0:
                    tunnels_->remove(name);
                    break;
                case 1:
                    tunnels_->remove_peer(name, key);
                    break;
                case 2:
                case 3:
                    tunnels_->create(name, {});
                    break;
                default: {
                    std::set<Network> none;
                    const auto peer = random_wireguard::peer(random, none);
                    tunnels_->set_peer(name, {.public_key = key,
                                              .preshared_key = peer.preshared_key,
                                              .allowed_ips = peer.allowed_ips});
                }
            }
        } catch (const Error& error) {
            EXPECT_EQ(tunnels_->all(), before) << error.what();
            EXPECT_EQ(backend_.interfaces, interfaces) << error.what();
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
