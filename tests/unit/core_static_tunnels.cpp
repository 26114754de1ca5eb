// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "core/secret_file.hpp"
#include "core/static_tunnels.hpp"
#include "tunnels_fixture.hpp"

namespace porthole {
namespace {

namespace fs = std::filesystem;
using namespace support;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::ThrowsMessage;

std::string tunnel(std::string_view name, std::string_view rest = "") {
    return fmt::format("[[tunnel]]\nname = \"{}\"\n{}", name, rest);
}

std::string peer(const PublicKey& key, std::string_view rest = "") {
    return fmt::format("[[tunnel.peer]]\npublic-key = \"{}\"\n{}", to_text(key), rest);
}

std::string reservation(std::string_view host, int port) {
    return fmt::format("[[reservation]]\nhost = \"{}\"\nprotocol = \"udp\"\nport = {}\n", host,
                       port);
}

class StaticTunnelsTest : public TunnelsFixture {
  protected:
    void SetUp() override {
        TunnelsFixture::SetUp();
        static_.emplace(*gateway_, *tunnels_, directory_.path());
    }
    void TearDown() override {
        static_.reset();
        TunnelsFixture::TearDown();
    }

    /// The service starts again with this file.
    void start(const std::string& file) {
        const auto configuration = parse_configuration(file, "porthole.toml");
        static_.reset();
        restart(configuration);
        static_.emplace(*gateway_, *tunnels_, directory_.path());
        static_->start(configuration.tunnels);
    }
    void reload(const std::string& file) {
        static_->reload(parse_configuration(file, "porthole.toml"));
    }
    template <typename Key>
    Key write_key(std::string_view file) {
        auto key = Key::generate();
        SecretText text;
        key.reveal(text);
        text.append("\n");
        write_secret_file(directory_ / file, text.view());
        return key;
    }
    [[nodiscard]] PrivateKey key_in(std::string_view file) const {
        auto text = read_file(directory_ / file);
        text.pop_back();
        return PrivateKey::read("key", text);
    }
    [[nodiscard]] const TunnelSettings& settings(std::string_view name) const {
        return tunnels_->find(interface(name)).settings;
    }

    std::optional<StaticTunnels> static_;
};

TEST_F(StaticTunnelsTest, HaveKeyAndPortMadeForThemAndKeepThem) {
    const auto key = new_key();
    const auto file = tunnel("wg0", "addresses = [\"10.9.0.1/24\"]\n") +
                      peer(key, "allowed-ips = [\"10.9.0.2/32\"]\n");
    start(file);
    EXPECT_THAT(static_->warnings(), IsEmpty());
    EXPECT_EQ(tunnels_->find(wg0).origin, Origin::configured);
    EXPECT_EQ(settings("wg0").listen_port, port(51820));
    EXPECT_EQ(settings("wg0").private_key, key_in("wg0.key"));
    EXPECT_EQ(settings("wg0").peers.at(0).public_key, key);
    EXPECT_EQ(fs::status(directory_ / "wg0.key").permissions(),
              fs::perms::owner_read | fs::perms::owner_write);
    expect_the_interfaces_are_the_tunnels();
    const auto before = tunnels_->all();
    backend_.interfaces.clear();  // a reboot
    start(file);
    reload(file);
    EXPECT_EQ(tunnels_->all(), before);
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(StaticTunnelsTest, UseTheKeysThatAreThere) {
    const auto private_key = write_key<PrivateKey>("mine.key");
    const auto preshared_key = write_key<PresharedKey>("b.psk");
    start(tunnel("wg0", "private-key-file = \"mine.key\"\n") +
          peer(new_key(), "preshared-key-file = \"b.psk\"\n"));
    EXPECT_EQ(settings("wg0").private_key, private_key);
    EXPECT_EQ(settings("wg0").peers.at(0).preshared_key, preshared_key);
    const auto another = write_key<PrivateKey>("mine.key");
    reload(tunnel("wg0", "private-key-file = \"mine.key\"\n"));
    EXPECT_EQ(settings("wg0").private_key, another);
    EXPECT_THAT(settings("wg0").peers, IsEmpty());
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(StaticTunnelsTest, SayWhichKeyFileIsWrongAndNeverWhatIsInIt) {
    const auto secret = std::string("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo");
    write_file(directory_ / "wg0.key", secret);
    EXPECT_THAT([&] { reload(tunnel("wg0")); },
                ThrowsMessage<InvalidArgument>(
                    AllOf(HasSubstr("invalid tunnel[0].private-key-file \"wg0.key\": expected a "
                                    "WireGuard private key"),
                          Not(HasSubstr(secret.substr(0, 10))))));
    write_file(directory_ / "wg0.key", std::string(43, 'A') + "=\n");
    EXPECT_THAT([&] { reload(tunnel("wg0")); },
                ThrowsMessage<InvalidArgument>(HasSubstr("not all zeros")));
    fs::remove(directory_ / "wg0.key");
    fs::create_directory(directory_ / "wg0.key");
    EXPECT_THAT([&] { reload(tunnel("wg0")); },
                ThrowsMessage<StorageFailure>(
                    AllOf(HasSubstr("tunnel[0].private-key-file: read "), HasSubstr("directory"))));
    EXPECT_THAT([&] { reload(tunnel("wg0", "private-key-file = \"none/wg0.key\"\n")); },
                ThrowsMessage<StorageFailure>(HasSubstr("tunnel[0].private-key-file: write ")));
    EXPECT_THAT(
        [&] { reload(tunnel("wg1") + peer(new_key(), "preshared-key-file = \"b.psk\"\n")); },
        ThrowsMessage<InvalidArgument>(
            HasSubstr("tunnel[0].peer[0].preshared-key-file \"b.psk\": expected a file that is "
                      "there")));
    EXPECT_FALSE(fs::exists(directory_ / "wg1.key"));
    EXPECT_THAT(tunnels_->all(), IsEmpty());
}

TEST_F(StaticTunnelsTest, ChangeAsADifference) {
    const auto a = new_key();
    const auto b = new_key();
    const auto first = tunnel("wg0") + peer(a, "endpoint = \"192.0.2.1:51820\"\n");
    start(first);
    const PeerEndpoint learnt{parse<Place>("place", "192.0.2.99:7")};
    backend_.at(wg0).device.peers[0].endpoint = learnt;
    reload(first + peer(b));
    ASSERT_EQ(backend_.at(wg0).device.peers.size(), 2U);
    const auto endpoint_of = [this](const PublicKey& key) {
        return std::ranges::find(backend_.at(wg0).device.peers, key, &WireGuardPeer::public_key)
            ->endpoint;
    };
    EXPECT_EQ(endpoint_of(a), learnt);
    reload(tunnel("wg0") + peer(a, "endpoint = \"192.0.2.2:51820\"\n"));
    EXPECT_EQ(endpoint_of(a), PeerEndpoint{parse<Place>("place", "192.0.2.2:51820")});
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(StaticTunnelsTest, GoWhenTheyLeaveTheFile) {
    tunnels_->create(interface("wg7"), {});
    start(tunnel("wg0") + tunnel("wg1"));
    reload(tunnel("wg0"));
    EXPECT_EQ(tunnels_->all().size(), 2U);
    EXPECT_FALSE(tunnels_->all().contains(interface("wg1")));
    start("");
    EXPECT_EQ(tunnels_->all().size(), 1U);
    EXPECT_TRUE(tunnels_->all().contains(interface("wg7")));
    EXPECT_TRUE(fs::exists(directory_ / "wg0.key"));  // it is the same one when it comes back
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(StaticTunnelsTest, AreReadOnlyToEverybodyElse) {
    const auto key = new_key();
    start(tunnel("wg0") + peer(key));
    const auto before = tunnels_->all();
    const auto refused = is_refused(Refusal::read_only, "[[tunnel]] with name = \"wg0\"");
    EXPECT_THAT([&] { tunnels_->remove(wg0); }, refused);
    EXPECT_THAT([&] { tunnels_->replace(wg0, {}); }, refused);
    EXPECT_THAT([&] { tunnels_->set_peer(wg0, {.public_key = new_key()}); }, refused);
    EXPECT_THAT([&] { tunnels_->remove_peer(wg0, key); }, refused);
    EXPECT_EQ(tunnels_->all(), before);
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(StaticTunnelsTest, NeverTakeOverAnotherOne) {
    tunnels_->create(wg0, {});
    const auto before = tunnels_->all();
    EXPECT_THAT([&] { reload(tunnel("wg0")); },
                is_refused(Refusal::tunnel_exists, "[[tunnel]] wg0: there is a tunnel"));
    EXPECT_FALSE(fs::exists(directory_ / "wg0.key"));
    start(tunnel("wg0") + tunnel("wg1"));
    EXPECT_THAT(static_->warnings(), ElementsAre(HasSubstr("[[tunnel]] wg0: there is a tunnel")));
    EXPECT_EQ(tunnels_->find(wg0), before.at(wg0));
    EXPECT_EQ(tunnels_->find(interface("wg1")).origin, Origin::configured);
    reload(tunnel("wg1"));
    EXPECT_THAT(static_->warnings(), IsEmpty());
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(StaticTunnelsTest, AreInForceAtAStartAsFarAsTheyCanBeHad) {
    start(tunnel("wg0"));
    start(tunnel("wg0", "mtu = 1400\n") + peer(new_key(), "preshared-key-file = \"b.psk\"\n") +
          tunnel("wg1"));
    EXPECT_THAT(static_->warnings(),
                ElementsAre(HasSubstr("tunnel[0].peer[0].preshared-key-file \"b.psk\"")));
    EXPECT_EQ(settings("wg0").mtu, std::nullopt) << "it stays what it was";
    EXPECT_TRUE(tunnels_->all().contains(interface("wg1")));
    expect_the_interfaces_are_the_tunnels();
}

TEST_F(StaticTunnelsTest, TakePortsFromEachOtherAndFromHosts) {
    start(tunnel("wg0", "listen-port = 51900\n") + reservation("192.168.2.2", 51820));
    reload(tunnel("wg1", "listen-port = 51900\n") + tunnel("wg2") +
           tunnel("wg3", "listen-port = 51820\n"));
    EXPECT_FALSE(tunnels_->all().contains(wg0));
    EXPECT_EQ(settings("wg2").listen_port, port(51821));
    EXPECT_EQ(settings("wg3").listen_port, port(51820));
    EXPECT_EQ(gateway_->reservations().size(), 0U);
    expect_the_interfaces_are_the_tunnels();
}

// Whatever fails wherever: the old configuration holds, of reservations and tunnels.
TEST_F(StaticTunnelsTest, AreAsTheyWereWhereverAReloadFails) {
    const auto routed = peer(new_key(), "allowed-ips = [\"192.168.3.0/24\"]\n");
    const auto original = reservation("192.168.2.2", 51820) +
                          tunnel("wg0", "listen-port = 51900\n") + routed +
                          tunnel("wg1", "listen-port = 51901\n");
    const auto changed = reservation("192.168.2.2", 51821) + reservation("192.168.2.3", 7) +
                         tunnel("wg0", "listen-port = 51902\n") +
                         peer(new_key(), "allowed-ips = [\"192.168.3.0/24\"]\n") +
                         tunnel("wg2", "listen-port = 51901\n") + routed;
    int failures = 0;
    for (int calls = 0; backend_.calls_before_failure < 0; ++calls) {
        SCOPED_TRACE(calls);
        fs::remove(directory_ / "wg2.key");
        reload(original);
        reserve({.internal = endpoint("192.168.2.3", 7)});
        const auto before = tunnels_->all();
        const auto rows = gateway_->reservations();
        const auto interfaces = backend_.interfaces;
        backend_.calls_before_failure = calls;
        try {
            reload(changed);
        } catch (const KernelFailure&) {
            ++failures;
            EXPECT_EQ(tunnels_->all(), before);
            EXPECT_EQ(gateway_->reservations(), rows);
            EXPECT_EQ(backend_.interfaces, interfaces);
            EXPECT_FALSE(fs::exists(directory_ / "wg2.key"));
            expect_the_kernel_has_what_it_should();
        }
        expect_the_interfaces_are_the_tunnels();
    }
    EXPECT_GT(failures, 5);
    EXPECT_EQ(settings("wg2").listen_port, port(51901));
    EXPECT_EQ(gateway_->reservations().find(endpoint("192.168.2.3", 7))->origin,
              Origin::configured);
}

TEST_F(StaticTunnelsTest, AreNotChangedByAFileWhoseReservationsAreRefused) {
    start(tunnel("wg0"));
    reserve({.internal = endpoint("192.168.2.3", 7)});
    const auto before = tunnels_->all();
    EXPECT_THAT([&] { reload(reservation("192.168.2.2", 7) + tunnel("wg1")); },
                is_refused(Refusal::port_taken, "192.168.2.3"));
    EXPECT_EQ(tunnels_->all(), before);
    EXPECT_FALSE(fs::exists(directory_ / "wg1.key"));
}

}  // namespace
}  // namespace porthole
