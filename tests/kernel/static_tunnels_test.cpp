// SPDX-License-Identifier: GPL-2.0-or-later
// The gateway's own WireGuard tunnels, as its configuration file has them.
#include <csignal>
#include <filesystem>

#include <fmt/format.h>

#include "bus_client.hpp"
#include "core/secret_file.hpp"
#include "lab/temporary_directory.hpp"
#include "tunnel_sites.hpp"
#include "types/key.hpp"

namespace porthole {
namespace {

namespace fs = std::filesystem;
using lab::UdpSocket;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

class StaticTunnelsTest : public TunnelSites {
  protected:
    void SetUp() override {
        TunnelSites::SetUp();
        if (IsSkipped()) return;
        write_key(a, "wg0.key", key_a);
        write_key(b, "wg0.key", key_b);
        lab::write_file(a.configuration_file(), file_of_a);
        lab::write_file(b.configuration_file(), file_of_b);
        a.start();
        b.start();
    }

    template <typename Key>
    static void write_key(const lab::Porthole& gateway, const char* file, const Key& key) {
        SecretText text;
        key.reveal(text);
        text.append("\n");
        write_secret_file(gateway.state_directory() / file, text.view());
    }
    static std::string tunnel_of(std::string_view name, std::string_view address,
                                 int port = 51'820) {
        return fmt::format("[[tunnel]]\nname = \"{}\"\nlisten-port = {}\naddresses = [\"{}/24\"]\n",
                           name, port, address);
    }
    static std::string peer_of(const PublicKey& key, std::string_view rest) {
        return fmt::format("[[tunnel.peer]]\npublic-key = \"{}\"\n{}", to_text(key), rest);
    }
    /// What Reload() says of a file for gateway A.
    std::string reload_a(std::string_view file) {
        lab::write_file(a.configuration_file(), file);
        const auto [name, message] = error_of([this] { BusClient(a).reload(); });
        return name + ": " + message;
    }
    /// Bytes from B that A has got: from 0 again with a new session.
    [[nodiscard]] std::uint64_t received_from_b() const {
        const auto shown = tunnel(a);
        for (const auto& peer : shown["peers"]) {
            if (peer["public-key"] != to_text(key_b.public_key())) continue;
            return peer["received"].get<std::uint64_t>();
        }
        ADD_FAILURE() << "B is no peer of A";
        return 0;
    }
    /// The same, once the sites are connected: far more than a handshake takes.
    [[nodiscard]] std::uint64_t received_when_connected() const {
        EXPECT_TRUE(sites_connect());
        for (int i = 0; i < 20; ++i) EXPECT_TRUE(sites_are_connected(lab::Duration(2'000)));
        return received_from_b();
    }
    std::vector<std::string> warnings_of_a() {
        return BusClient(a).status()["warnings"].get<std::vector<std::string>>();
    }
    [[nodiscard]] std::string links_of_a() const {
        return lab::output_of(sites.gateway_a, {"ip", "link"});
    }

    PrivateKey key_a = PrivateKey::generate();
    PrivateKey key_b = PrivateKey::generate();
    const std::string peer_b = peer_of(key_b.public_key(),
                                       "name = \"site B\"\nendpoint = \"203.0.113.2:51820\"\n"
                                       "allowed-ips = [\"10.9.0.2/32\", \"192.168.3.0/24\"]\n");
    const std::string file_of_a = tunnel_of("wg0", "10.9.0.1") + peer_b;
    const std::string file_of_b = tunnel_of("wg0", "10.9.0.2") +
                                  peer_of(key_a.public_key(),
                                          "endpoint = \"203.0.113.1:51820\"\n"
                                          "allowed-ips = [\"10.9.0.1/32\", \"192.168.2.0/24\"]\n");
};

TEST_F(StaticTunnelsTest, ConnectTwoSitesThroughDroppingGateways) {
    EXPECT_TRUE(sites_connect());
    const auto shown = tunnel(a);
    EXPECT_EQ(shown["origin"], "static");
    EXPECT_EQ(shown["public-key"], to_text(key_a.public_key()));
    EXPECT_EQ(shown["peers"][0]["name"], "site B");
    EXPECT_EQ(shown["peers"][0]["keepalive"], 5);
    EXPECT_THAT(a.ctl({"tunnel", "show"}).output, HasSubstr("  static\n"));
    done(a, {"tunnel", "create", "wg7"});
    EXPECT_EQ(done(a, {"tunnel", "show", "wg7"})["tunnels"][0]["origin"], "api");
}

TEST_F(StaticTunnelsTest, KeepTheSessionsOfOthersWhenAPeerComes) {
    const auto before = received_when_connected();
    const auto somebody = PrivateKey::generate().public_key();
    const auto preshared_key = PresharedKey::generate();
    write_key(a, "c.psk", preshared_key);
    lab::write_file(a.configuration_file(),
                    file_of_a + peer_of(somebody,
                                        "allowed-ips = [\"10.77.0.0/16\"]\n"
                                        "preshared-key-file = \"c.psk\"\n"));
    BusClient(a).reload();
    EXPECT_EQ(tunnel(a)["peers"].size(), 2U);
    EXPECT_GE(received_from_b(), before);
    EXPECT_TRUE(sites_are_connected(lab::Duration(2'000)));
    SecretText text;
    preshared_key.reveal(text);
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"wg", "show", "wg0", "preshared-keys"}),
                HasSubstr(std::string(text.view())));
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"ip", "route"}),
                HasSubstr("10.77.0.0/16 dev wg0"));
}

TEST_F(StaticTunnelsTest, KeepTheirSessionsWhenTheServiceStarts) {
    const auto before = received_when_connected();
    a.restart();
    EXPECT_GE(received_from_b(), before);
    EXPECT_TRUE(sites_are_connected(lab::Duration(2'000)));
}

TEST_F(StaticTunnelsTest, AreReadOnly) {
    const auto is_refused =
        AllOf(HasSubstr("ReadOnly: tunnel wg0"), HasSubstr("[[tunnel]] with name = \"wg0\""));
    const auto key = to_text(key_b.public_key());
    EXPECT_THAT(refused(a, {"tunnel", "delete", "wg0"}), is_refused);
    EXPECT_THAT(refused(a, {"tunnel", "peer", "set", "wg0", key, "--keepalive", "7"}), is_refused);
    EXPECT_THAT(refused(a, {"tunnel", "peer", "remove", "wg0", key}), is_refused);
    EXPECT_EQ(tunnel(a)["peers"][0]["keepalive"], 5);
}

TEST_F(StaticTunnelsTest, AreRefusedWithTheWholeFile) {
    const auto received = received_when_connected();
    const auto before = tunnel(a);
    const auto table = lab::table_of(sites.gateway_a);
    const std::string more =
        "[[reservation]]\nhost = \"192.168.2.2\"\nprotocol = \"udp\"\nport = 4001\n";
    const auto changed = more + tunnel_of("wg0", "10.9.0.77") + peer_b;
    EXPECT_THAT(reload_a(changed + peer_b + tunnel_of("wg1", "10.8.0.1")),
                AllOf(HasSubstr("InvalidArgument"), HasSubstr("tunnel[0].peer[1].public-key"),
                      HasSubstr("tunnel[1].listen-port")));
    EXPECT_THAT(reload_a(changed + peer_of(key_a.public_key(), "")),
                AllOf(HasSubstr("InvalidArgument: [[tunnel]] wg0: "), HasSubstr("own")));
    EXPECT_THAT(reload_a(changed + peer_of(PrivateKey::generate().public_key(),
                                           "preshared-key-file = \"none.psk\"\n")),
                AllOf(HasSubstr("InvalidArgument"),
                      HasSubstr("tunnel[0].peer[1].preshared-key-file \"none.psk\"")));
    EXPECT_EQ(lab::table_of(sites.gateway_a), table);
    // Nobody has looked for it yet, so the kernel says it, when the interface goes up.
    const UdpSocket other(sites.gateway_a, 51'999);
    EXPECT_THAT(reload_a(changed + tunnel_of("wg1", "10.8.0.1", 51'999)),
                testing::AnyOf(HasSubstr("KernelFailed: set up wg1"), HasSubstr("PortTaken")));
    EXPECT_EQ(tunnel(a)["addresses"], before["addresses"]);
    EXPECT_GE(received_from_b(), received);
    EXPECT_THAT(lab::table_of(sites.gateway_a), Not(HasSubstr("4001")));
    EXPECT_THAT(links_of_a(), Not(HasSubstr("wg1")));
    EXPECT_FALSE(fs::exists(a.state_directory() / "wg1.key"));
    EXPECT_TRUE(sites_are_connected(lab::Duration(2'000)));
}

TEST_F(StaticTunnelsTest, KeepTheKeyThatWasMadeForThem) {
    lab::write_file(a.configuration_file(), tunnel_of("wg1", "10.8.0.1"));
    a.restart();
    EXPECT_THAT(links_of_a(), AllOf(HasSubstr("wg1"), Not(HasSubstr("wg0"))));
    const auto file = a.state_directory() / "wg1.key";
    EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
    const auto key = [this] {
        return done(a, {"tunnel", "show", "wg1"})["tunnels"][0]["public-key"];
    };
    const auto text = lab::read_file(file);
    EXPECT_EQ(lab::output_of(sites.gateway_a, {"wg", "show", "wg1", "private-key"}), text);
    const auto before = key();
    a.restart();
    EXPECT_EQ(key(), before);
    // The database is not needed for it.
    a.stop();
    lab::output_of(sites.gateway_a, {"ip", "link", "del", "wg1"});
    fs::remove(a.state_directory() / "porthole.db");
    a.start();
    EXPECT_EQ(key(), before);
    EXPECT_EQ(lab::read_file(file), text);
    EXPECT_THAT(a.log(), Not(HasSubstr(text.substr(0, 40))));
}

TEST_F(StaticTunnelsTest, FollowASignalToo) {
    // One that goes while it is shown is an error.
    const auto are_there = [this](std::size_t number) {
        return lab::comes_true([&] {
            const auto shown = a.ctl({"--json", "tunnel", "show"});
            return shown.status == 0 &&
                   nlohmann::json::parse(shown.output)["tunnels"].size() == number;
        });
    };
    lab::write_file(a.configuration_file(), file_of_a + tunnel_of("wg1", "10.8.0.1", 51'821));
    a.process()->signal(SIGHUP);
    EXPECT_TRUE(are_there(2));
    lab::write_file(a.configuration_file(), "");
    a.process()->signal(SIGHUP);
    EXPECT_TRUE(are_there(0));
    EXPECT_THAT(links_of_a(), Not(HasSubstr("wg")));
}

TEST_F(StaticTunnelsTest, NeverTakeOverAnotherOne) {
    done(a, {"tunnel", "create", "wg7"});
    const auto file = file_of_a + tunnel_of("wg7", "10.8.0.1", 51'900);
    EXPECT_THAT(reload_a(file), AllOf(HasSubstr("TunnelExists"), HasSubstr("wg7")));
    a.restart();
    EXPECT_THAT(warnings_of_a(), Contains(HasSubstr("[[tunnel]] wg7")));
    EXPECT_EQ(done(a, {"tunnel", "show", "wg7"})["tunnels"][0]["origin"], "api");
    EXPECT_TRUE(sites_connect());
}

}  // namespace
}  // namespace porthole
