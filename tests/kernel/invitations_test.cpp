// SPDX-License-Identifier: GPL-2.0-or-later
// Tunnels whose other side gets its configuration with them.
#include <gmock/gmock.h>

#include "lab/temporary_directory.hpp"
#include "two_gateways.hpp"

namespace porthole {
namespace {

using lab::UdpSocket;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using InvitationsTest = TwoGateways;

TEST_F(InvitationsTest, ConnectTwoSitesWithALineEachWay) {
    done(a, {"tunnel", "create", "wg0", "--addresses", "10.9.0.1/24"});
    const auto invitation = done(a, {"tunnel", "invite", "wg0", "--gateway", "--name", "site B"});
    const auto joined = done(b, {"tunnel", "join"}, invitation["line"].get<std::string>());
    done(a, {"tunnel", "join"}, joined["answer"].get<std::string>());
    EXPECT_TRUE(sites_connect());
    const auto peer = tunnel(a)["peers"][0];
    EXPECT_EQ(peer["name"], "site B");
    EXPECT_EQ(peer["state"], "connected");
    EXPECT_EQ(peer["preshared-key"], true);
    EXPECT_EQ(tunnel(b)["addresses"][0], "10.9.0.2/24");
    // Both lines have been used.
    EXPECT_THAT(refused(b, {"tunnel", "join"}, invitation["line"].get<std::string>()),
                HasSubstr("TunnelExists"));
    EXPECT_THAT(refused(a, {"tunnel", "join"}, "porthole-answer-1:AAAA"),
                AllOf(HasSubstr("InvalidArgument"), HasSubstr("cut or altered")));
}

// As people see it: what is to be passed on, alone, on standard output.
TEST_F(InvitationsTest, PrintTheLineThatIsToBePassedOn) {
    create_tunnels();
    const auto invited = a.ctl({"tunnel", "invite", "wg0", "--gateway"});
    EXPECT_EQ(invited.status, 0) << invited.errors;
    EXPECT_THAT(invited.output, testing::MatchesRegex("porthole-invitation-1:[-_A-Za-z0-9]*\n"));
    EXPECT_THAT(invited.errors, HasSubstr("tunnel join"));
}

TEST_F(InvitationsTest, GiveADeviceAFileThatWorks) {
    create_tunnels();
    lab::output_of(sites.gateway_a, {"nft", "insert", "rule", "ip", "stock", "input", "udp",
                                     "dport", "51820", "accept"});
    const auto answer = done(a, {"tunnel", "invite", "wg0", "--name", "laptop"});
    const auto file = answer["configuration"].get<std::string>();
    EXPECT_THAT(file, AllOf(HasSubstr("PrivateKey = "), HasSubstr("Address = 10.9.0.2/24"),
                            HasSubstr("Endpoint = 203.0.113.1:51820"),
                            HasSubstr("AllowedIPs = 10.9.0.0/24, 192.168.2.0/24"),
                            HasSubstr("PersistentKeepalive = 5")));
    const lab::TemporaryDirectory directory;
    lab::write_file(directory / "wg7.conf", file);
    lab::write_file(
        directory / "stripped.conf",
        lab::output_of(sites.outside, {"wg-quick", "strip", (directory / "wg7.conf").string()}));
    lab::add_link(sites.outside, "wg7", "wireguard");
    lab::output_of(sites.outside, {"wg", "setconf", "wg7", (directory / "stripped.conf").string()});
    lab::add_address(sites.outside, "wg7", "10.9.0.2/24");
    lab::output_of(sites.outside, {"ip", "link", "set", "wg7", "up"});
    lab::output_of(sites.outside, {"ip", "route", "add", "192.168.2.0/24", "dev", "wg7"});
    const UdpSocket laptop(sites.outside, 4000);
    EXPECT_TRUE(lab::comes_true([&] {
        return lab::exchange(laptop, a1, lab::at(lab::address::a1, 4000), lab::Duration(200)) ==
               lab::at("10.9.0.2", 4000);
    }));
    EXPECT_EQ(tunnel(a)["peers"][0]["name"], "laptop");

    // The gateway has all of it but the private key.
    const auto exported = done(
        a, {"tunnel", "export", "wg0", answer["public-key"].get<std::string>()})["configuration"];
    EXPECT_THAT(exported.get<std::string>(),
                AllOf(HasSubstr("PresharedKey = "), HasSubstr("Address = 10.9.0.2/24"),
                      Not(HasSubstr("PrivateKey"))));
}

TEST_F(InvitationsTest, RefuseWhatCannotWork) {
    create_tunnels();
    EXPECT_THAT(refused(a, {"tunnel", "invite", "wg7"}), HasSubstr("NoSuchTunnel"));
    EXPECT_THAT(refused(a, {"tunnel", "invite", "wg0", "--endpoint", "nowhere"}),
                AllOf(HasSubstr("InvalidArgument"), HasSubstr("endpoint \"nowhere\"")));
    EXPECT_THAT(refused(a, {"tunnel", "export", "wg0", key_of(b)}), HasSubstr("NoSuchPeer"));
    EXPECT_THAT(refused(a, {"tunnel", "join"}, "hello"),
                AllOf(HasSubstr("InvalidArgument"), HasSubstr("does not begin like one")));
    const auto line = done(a, {"tunnel", "invite", "wg0", "--gateway"})["line"].get<std::string>();
    EXPECT_THAT(refused(a, {"tunnel", "join"}, line),
                AllOf(HasSubstr("InvalidArgument"), HasSubstr("of tunnel wg0")));
    // Hosts would take each other for somebody else.
    EXPECT_THAT(refused(b, {"tunnel", "join"}, line),
                AllOf(HasSubstr("InvalidArgument"), HasSubstr("10.9.0.0/24")));
}

TEST_F(InvitationsTest, LeaveSessionsAloneWhereATunnelIsConfigured) {
    connect_sites();
    ASSERT_TRUE(sites_connect());
    const auto handshake = tunnel(a)["peers"][0]["last-handshake"];
    done(a,
         {"tunnel", "configure", "wg0", "--mtu", "1380", "--addresses", "10.9.0.1/24,10.8.0.1/24"});
    EXPECT_TRUE(sites_are_connected(lab::Duration(2'000)));
    EXPECT_EQ(tunnel(a)["peers"][0]["last-handshake"], handshake);
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"ip", "addr", "show", "wg0"}),
                AllOf(HasSubstr("mtu 1380"), HasSubstr("10.8.0.1/24")));
    done(a, {"tunnel", "configure", "wg0", "--listen-port", "51999"});
    EXPECT_EQ(tunnel(a)["listen-port"], 51999);
    EXPECT_THAT(lab::output_of(sites.gateway_a, {"wg", "show", "wg0", "listen-port"}), "51999\n");
    // The other gateway drops what comes from where it has not sent to.
    done(b, {"tunnel", "peer", "set", "wg0", key_of(a), "--endpoint", "203.0.113.1:51999"});
    EXPECT_TRUE(sites_connect());
    done(a, {"reserve", std::string(lab::address::a1), "udp", "51820"});
    EXPECT_THAT(refused(a, {"tunnel", "configure", "wg0", "--listen-port", "51820"}),
                AllOf(HasSubstr("PortTaken"), HasSubstr("192.168.2.2")));
    const UdpSocket other(sites.gateway_a, 51'998);
    EXPECT_THAT(refused(a, {"tunnel", "configure", "wg0", "--listen-port", "51998"}),
                AnyOf(HasSubstr("KernelFailed"), HasSubstr("PortTaken")));
    EXPECT_EQ(tunnel(a)["listen-port"], 51999);
    EXPECT_TRUE(sites_are_connected(lab::Duration(2'000)));
}

}  // namespace
}  // namespace porthole
