// SPDX-License-Identifier: GPL-2.0-or-later
// Several addresses on one WAN: reservations that are bound to one of them, each with a port space
// of its own.
#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bus_client.hpp"
#include "lab/conntrack.hpp"
#include "lab/deadline.hpp"
#include "lab/links.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::TcpListener;
using lab::TcpSocket;
using lab::UdpSocket;
using testing::HasSubstr;

constexpr std::uint16_t wireguard = 51820;
constexpr std::uint16_t first_of_pool = 61440;
constexpr auto silence = lab::Duration(100);
const std::string primary(addresses::a_wan);
const std::string second = "203.0.113.81";
const std::string third = "203.0.113.82";
const std::string a1_address(addresses::a1);
const std::string a2_address(addresses::a2);
const auto remote_end = at(addresses::outside, wireguard);

class FixedAddress : public testing::Test {
  protected:
    FixedAddress() {
        lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
        lab::add_address(sites.gateway_a, "wan", second + "/24");
        lab::add_address(sites.gateway_a, "wan", third + "/24");
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
    }

    dbus::Row reserve(const std::string& host, const std::string& address, std::uint16_t external,
                      const std::string& protocol = "udp", const std::string& filtering = "") {
        dbus::Dictionary options{{"external-address", sdbus::Variant(address)},
                                 {"external-port", sdbus::Variant(external)},
                                 {"settle", sdbus::Variant(true)}};
        if (!filtering.empty()) options["filtering"] = sdbus::Variant(filtering);
        return client->reserve(host, protocol, wireguard, options);
    }
    std::string state_of(const std::string& host) {
        const auto rows = std::get<0>(client->list({{"host", sdbus::Variant(host)}}));
        return rows.size() == 1 ? std::get<7>(rows[0]) : "";
    }
    bool leaves_from_the_pool(const UdpSocket& host) const {
        const auto shown = lab::exchange(host, remote, remote_end);
        return shown && shown->address == at(primary, 0).address && shown->port >= first_of_pool;
    }
    bool comes_into(const std::string& host, const std::string& state) {
        return lab::comes_true([&] { return state_of(host) == state; });
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a, "[auto]\nenabled = false\n"};
    std::unique_ptr<BusClient> client;
    UdpSocket a1{sites.a1, wireguard};
    UdpSocket a2{sites.a2, wireguard};
    UdpSocket remote{sites.outside, wireguard};
};

TEST_F(FixedAddress, TwoHostsHaveOnePortOnTwoAddresses) {
    const auto row = reserve(a1_address, second, wireguard);
    EXPECT_EQ(std::get<11>(row).at("external-address").get<std::string>(), second);
    reserve(a2_address, third, wireguard);
    for (int i = 0; i < 20; ++i) {
        ASSERT_EQ(lab::exchange(a1, remote, remote_end), at(second, wireguard)) << i;
        ASSERT_EQ(lab::exchange(a2, remote, remote_end), at(third, wireguard)) << i;
    }
    // Everything else of theirs leaves as before.
    const UdpSocket other(sites.a1, 7000);
    EXPECT_EQ(lab::exchange(other, remote, remote_end), at(primary, 7000));
}

// Which address masquerading takes is not for us to say: it may be the one.
TEST_F(FixedAddress, AnUnreservedHostOnThePortLeavesFromThePoolAndLosesNothing) {
    for (const auto& address : {second, primary}) {
        const auto id = std::get<0>(reserve(a1_address, address, wireguard));
        ASSERT_EQ(lab::exchange(a1, remote, remote_end), at(address, wireguard));
        EXPECT_TRUE(leaves_from_the_pool(a2));
        EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(address, wireguard));
        const auto explained = porthole.ctl(
            {"explain", a2_address, "udp", "51820", std::string(addresses::outside) + ":7"});
        EXPECT_THAT(explained.output, HasSubstr("@bound-ports")) << explained.errors;
        client->release({id});
        lab::output_of(sites.gateway_a, {"conntrack", "-F"});
    }
    EXPECT_EQ(lab::exchange(a2, remote, remote_end), at(primary, wireguard));
}

// Whatever others translate: nobody shows an address and port that are somebody's.
TEST_F(FixedAddress, NobodyElseGetsOutThere) {
    reserve(a1_address, second, wireguard);
    lab::output_of(sites.gateway_a,
                   {"nft", "insert rule ip stock postrouting ip saddr " + a2_address +
                               " udp sport 7000 oifname wan snat to " + second + ":51820"});
    const UdpSocket other(sites.a2, 7000);
    const auto leaves = [&]() -> std::optional<lab::SocketAddress> {
        other.send_to(remote_end, "taken");
        const auto packet = remote.receive("taken", silence);
        return packet ? std::optional(packet->source) : std::nullopt;
    };
    EXPECT_FALSE(leaves());  // the guard's; the next try comes from the pool
    const auto shown = leaves();
    ASSERT_TRUE(shown);
    EXPECT_GE(shown->port, first_of_pool);
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(second, wireguard));
}

TEST_F(FixedAddress, LetsInWhomItsOwnerHasContactedAndOnlyThere) {
    reserve(a1_address, second, wireguard);
    reserve(a2_address, third, wireguard);
    ASSERT_TRUE(lab::exchange(a1, remote, remote_end));
    const UdpSocket same_host(sites.outside, 7000);
    same_host.send_to(at(second, wireguard), "contact");
    EXPECT_TRUE(a1.receive("contact"));
    // The neighbour's contact is none of this one's, nor is a stranger.
    same_host.send_to(at(third, wireguard), "contact of another");
    const UdpSocket stranger(sites.gateway_b, wireguard);
    stranger.send_to(at(second, wireguard), "stranger");
    EXPECT_FALSE(a2.receive(silence));
    EXPECT_FALSE(a1.receive(silence));
    // Who knocks does not take the port.
    EXPECT_EQ(lab::exchange(a1, stranger, at(addresses::b_wan, wireguard)), at(second, wireguard));
}

// Contacts belong to their owner: whoever has the place next is not reached by them.
TEST_F(FixedAddress, LeavesNoContactsToItsNextOwner) {
    client->reserve(a2_address, "udp", 7001, {{"external-address", sdbus::Variant(third)}});
    const auto id = std::get<0>(reserve(a1_address, second, wireguard));
    ASSERT_TRUE(lab::exchange(a1, remote, remote_end));
    const UdpSocket same_host(sites.outside, 7000);
    same_host.send_to(at(second, wireguard), "contact");
    ASSERT_TRUE(a1.receive("contact"));
    client->release({id});
    reserve(a2_address, second, wireguard);
    const UdpSocket once_more(sites.outside, 7002);
    once_more.send_to(at(second, wireguard), "contact of another");
    EXPECT_FALSE(a2.receive(silence));
    ASSERT_TRUE(lab::exchange(a2, remote, remote_end));
    once_more.send_to(at(second, wireguard), "contact");
    EXPECT_TRUE(a2.receive("contact"));
}

TEST_F(FixedAddress, HasTheOtherFilteringBehaviours) {
    reserve(a1_address, second, wireguard, "udp", "endpoint-independent");
    reserve(a2_address, third, wireguard, "udp", "address-and-port-dependent");
    ASSERT_TRUE(lab::exchange(a2, remote, remote_end));
    const UdpSocket stranger(sites.gateway_b, wireguard);
    stranger.send_to(at(second, wireguard), "welcome");
    EXPECT_TRUE(a1.receive("welcome"));
    const UdpSocket same_host(sites.outside, 7000);
    same_host.send_to(at(third, wireguard), "another port");
    EXPECT_FALSE(a2.receive(silence));
}

// The gateway's own service on another address of the WAN has nothing to do with it.
TEST_F(FixedAddress, LeavesTheOtherAddressesAlone) {
    reserve(a1_address, second, wireguard);
    const UdpSocket stranger(sites.gateway_b, wireguard);
    const UdpSocket service(sites.gateway_a, at(third, wireguard));
    EXPECT_TRUE(lab::exchange(stranger, service, at(third, wireguard)));
}

TEST_F(FixedAddress, CarriesTcp) {
    reserve(a1_address, second, wireguard, "tcp");
    const TcpListener listener(sites.outside, 80);
    const auto connection =
        TcpSocket::connect(sites.a1, lab::any(wireguard), at(addresses::outside, 80));
    ASSERT_TRUE(connection);
    const auto accepted = listener.accept();
    ASSERT_TRUE(accepted);
    EXPECT_EQ(accepted->remote(), at(second, wireguard));
    connection->send("through");
    EXPECT_EQ(accepted->receive(), "through");
}

TEST_F(FixedAddress, NeighboursMeetAtTheirAddressesOutside) {
    reserve(a1_address, second, wireguard);
    reserve(a2_address, third, wireguard);
    EXPECT_EQ(lab::exchange(a1, a2, at(third, wireguard)), at(second, wireguard));
    lab::output_of(sites.gateway_a, {"conntrack", "-F"});
    EXPECT_EQ(lab::exchange(a2, a1, at(second, wireguard)), at(third, wireguard));
    // Nobody is shown as the one who is called.
    const UdpSocket other(sites.a2, 7000);
    EXPECT_EQ(lab::exchange(other, a1, at(second, wireguard)), at(second, 7000));
}

// Who has its port outside under another number keeps that, whatever the one inside is to others.
TEST_F(FixedAddress, AnOwnerOnAnyAddressShowsItsOwnPortToNeighboursToo) {
    reserve(a1_address, second, wireguard);
    reserve(a2_address, "any", 51821);
    EXPECT_EQ(lab::exchange(a2, a1, at(second, wireguard)), at(second, 51821));
    const auto before = lab::flows_from(sites.gateway_a, a2_address, wireguard);
    reserve(a1_address, second, wireguard);  // settled once more
    const auto after = lab::flows_from(sites.gateway_a, a2_address, wireguard);
    ASSERT_EQ(after.size(), 1U);
    EXPECT_EQ(after[0].id, before.at(0).id);
}

TEST_F(FixedAddress, MovesFlowsThatWereOnAnotherAddress) {
    ASSERT_EQ(lab::exchange(a1, remote, remote_end), at(primary, wireguard));
    const auto id = std::get<0>(reserve(a1_address, second, wireguard));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(second, wireguard));
    client->change(id, {{"external-address", sdbus::Variant(third)}},
                   {{"settle", sdbus::Variant(true)}});
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(third, wireguard));
    client->change(id, {{"external-address", sdbus::Variant(std::string("any"))}},
                   {{"settle", sdbus::Variant(true)}});
    // What is alive is on one of all addresses already.
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(third, wireguard));
    lab::output_of(sites.gateway_a, {"conntrack", "-F"});
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(primary, wireguard));
}

// Source NAT to an address does not end with the address: packets would go nowhere for ever.
TEST_F(FixedAddress, NothingStaysWithAnAddressThatIsGone) {
    reserve(a1_address, second, wireguard);
    reserve(a2_address, third, wireguard);
    ASSERT_EQ(lab::exchange(a1, remote, remote_end), at(second, wireguard));
    ASSERT_EQ(lab::exchange(a2, remote, remote_end), at(third, wireguard));
    const auto kept = lab::flows_from(sites.gateway_a, a2_address, wireguard);
    const auto generation = std::get<2>(client->list());

    lab::delete_address(sites.gateway_a, "wan", second + "/24");
    ASSERT_TRUE(comes_into(a1_address, "waiting"));
    EXPECT_TRUE(lab::comes_true(
        [&] { return lab::flows_from(sites.gateway_a, a1_address, wireguard).empty(); }));
    // While it waits, it leaves like anybody who has not the port; and is left alone then.
    EXPECT_TRUE(leaves_from_the_pool(a1));
    const auto warnings = client->status().at("warnings").get<std::vector<std::string>>();
    EXPECT_THAT(warnings, testing::Contains(HasSubstr(second)));
    const auto interim = lab::flows_from(sites.gateway_a, a1_address, wireguard);
    reserve(a2_address, third, wireguard);  // settled behind whatever was ordered before
    EXPECT_EQ(lab::flows_from(sites.gateway_a, a1_address, wireguard).at(0).id, interim.at(0).id);
    // Who waits may go on asking for what it has.
    EXPECT_EQ(std::get<7>(client->reserve(a1_address, "udp", wireguard,
                                          {{"external-address", sdbus::Variant(second)}})),
              "waiting");
    // Its place is kept for it.
    const auto [name, message] = error_of([&] {
        client->reserve(a2_address, "udp", 7000, {{"external-port", wireguard}});
    });
    EXPECT_THAT(name, HasSubstr("PortTaken"));

    lab::add_address(sites.gateway_a, "wan", second + "/24");
    ASSERT_TRUE(comes_into(a1_address, "active"));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(second, wireguard));
    const auto now = lab::flows_from(sites.gateway_a, a2_address, wireguard);
    ASSERT_EQ(now.size(), 1U);
    EXPECT_EQ(now[0].id, kept.at(0).id);
    EXPECT_EQ(std::get<2>(client->list()), generation) << "states alone make no generation";
}

TEST_F(FixedAddress, NothingStaysOfAReleasedOneEither) {
    const auto id = std::get<0>(reserve(a1_address, second, wireguard));
    ASSERT_EQ(lab::exchange(a1, remote, remote_end), at(second, wireguard));
    client->release({id});
    lab::delete_address(sites.gateway_a, "wan", second + "/24");
    EXPECT_TRUE(lab::comes_true(
        [&] { return lab::flows_from(sites.gateway_a, a1_address, wireguard).empty(); }));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(primary, wireguard));
}

// The address has moved to a server behind the gateway: that one's packets are its own.
TEST_F(FixedAddress, AServerMayHaveTheAddressWhileItIsWaitedFor) {
    const auto routed = sites.add_routed_host();
    lab::write_file(porthole.configuration_file(),
                    "[auto]\nenabled = false\n[[reservation]]\nhost = \"" + a1_address +
                        "\"\nprotocol = \"udp\"\nport = 51820\nexternal-address = \"" +
                        std::string(addresses::routed) + "\"\n");
    client->reload();
    ASSERT_EQ(state_of(a1_address), "waiting");
    const UdpSocket server(routed, wireguard);
    for (int i = 0; i < 3; ++i) {
        const UdpSocket other(sites.outside, static_cast<std::uint16_t>(7000 + i));
        EXPECT_EQ(lab::exchange(server, other,
                                at(addresses::outside, static_cast<std::uint16_t>(7000 + i))),
                  at(addresses::routed, wireguard));
    }
}

TEST_F(FixedAddress, SaysThatTheGatewayItselfIsNotReachedThere) {
    reserve(a1_address, second, wireguard);
    const UdpSocket service(sites.gateway_a, wireguard);
    EXPECT_TRUE(lab::comes_true([&] {
        const auto warnings = client->status().at("warnings").get<std::vector<std::string>>();
        return std::ranges::any_of(warnings, [](const std::string& warning) {
            return warning.find("nobody gets there at " + second) != std::string::npos;
        });
    }));
}

TEST_F(FixedAddress, NothingStaysWithAnAddressThatWentWhileTheServiceWasOff) {
    reserve(a1_address, second, wireguard);
    ASSERT_EQ(lab::exchange(a1, remote, remote_end), at(second, wireguard));
    const UdpSocket caller(sites.outside, 7000);
    ASSERT_TRUE(lab::exchange(caller, a1, at(second, wireguard)));
    client.reset();
    porthole.kill();
    lab::delete_address(sites.gateway_a, "wan", second + "/24");
    porthole.start();
    client = std::make_unique<BusClient>(porthole);
    EXPECT_EQ(state_of(a1_address), "waiting");
    const auto ended = [this](std::string_view host, std::uint16_t port) {
        return lab::comes_true(
            [&] { return lab::flows_from(sites.gateway_a, host, port).empty(); });
    };
    EXPECT_TRUE(ended(a1_address, wireguard));
    EXPECT_TRUE(ended(addresses::outside, 7000)) << "that others have begun";
    EXPECT_TRUE(leaves_from_the_pool(a1));
}

TEST_F(FixedAddress, OutlivesTheServiceAndTheTable) {
    reserve(a1_address, second, wireguard);
    client.reset();
    porthole.restart();
    client = std::make_unique<BusClient>(porthole);
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(second, wireguard));
    const auto before = lab::table_of(sites.gateway_a);
    lab::output_of(sites.gateway_a, {"nft", "delete table inet porthole"});
    EXPECT_TRUE(lab::comes_true([&] { return lab::table_of(sites.gateway_a) == before; }));
    // A live flow keeps its contact over that.
    const UdpSocket same_host(sites.outside, 7000);
    EXPECT_TRUE(lab::comes_true([&] {
        same_host.send_to(at(second, wireguard), "contact");
        return a1.receive("contact", silence).has_value();
    }));
}

TEST_F(FixedAddress, TheLastOneTakesItsRulesWithIt) {
    const auto without = lab::table_of(sites.gateway_a);
    const auto id = std::get<0>(reserve(a1_address, second, wireguard));
    EXPECT_NE(lab::table_of(sites.gateway_a), without);
    client->release({id});
    EXPECT_EQ(lab::table_of(sites.gateway_a), without);
}

TEST_F(FixedAddress, RefusesWhatCannotBe) {
    const auto error = [&](const std::string& host, const std::string& address) {
        return error_of([&] { reserve(host, address, wireguard); });
    };
    const auto [name, message] = error(a1_address, "203.0.113.99");
    EXPECT_THAT(name, HasSubstr("InvalidArgument"));
    for (const auto& word :
         {std::string("external-address"), std::string("203.0.113.99"), primary, second, third}) {
        EXPECT_THAT(message, HasSubstr(word));
    }
    EXPECT_THAT(error(a1_address, "second").first, HasSubstr("InvalidArgument"));
    EXPECT_THAT(error(a1_address, "2001:db8::1").first, HasSubstr("InvalidArgument"));
    reserve(a1_address, second, wireguard);
    const auto [taken, owner] = error(a2_address, second);
    EXPECT_THAT(taken, HasSubstr("PortTaken"));
    EXPECT_THAT(owner, HasSubstr(a1_address));
    // Who has it on any address has it on all.
    EXPECT_THAT(error(a2_address, "any").first, HasSubstr("PortTaken"));
    EXPECT_EQ(std::get<1>(client->list()), 1U);
}

TEST_F(FixedAddress, DoesWhatTheReadmeSays) {
    for (const auto& arguments : std::vector<std::vector<std::string>>{
             {"reserve", a1_address, "udp", "51820", "--comment", "laptop"},
             {"reserve", a2_address, "udp", "51820", "--on-conflict", "next"},
             {"change", "1", "--external-address", second},
             {"reserve", a2_address, "udp", "51820", "--external-port", "51820",
              "--external-address", third}}) {
        const auto result = porthole.ctl(arguments);
        ASSERT_EQ(result.status, 0) << result.errors;
    }
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(second, wireguard));
    EXPECT_EQ(lab::exchange(a2, remote, remote_end), at(third, wireguard));
}

TEST_F(FixedAddress, ComesFromTheConfigurationAndShowsOnTheCommandLine) {
    lab::write_file(
        porthole.configuration_file(),
        "[auto]\nenabled = false\n"
        "[[reservation]]\nhost = \"" +
            a1_address + "\"\nprotocol = \"udp\"\nport = 51820\nexternal-address = \"" + second +
            "\"\n"
            "[[reservation]]\nhost = \"" +
            a2_address +
            "\"\nprotocol = \"udp\"\nport = 51820\nexternal-address = \"203.0.113.90\"\n");
    client->reload();
    EXPECT_EQ(state_of(a2_address), "waiting");
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(second, wireguard));
    const auto listed = porthole.ctl({"list"});
    EXPECT_THAT(listed.output, HasSubstr(second + ":51820"));
    const auto explained = porthole.ctl({"explain", a1_address, "udp", "51820", "192.0.2.200:1"});
    EXPECT_THAT(explained.output, HasSubstr(second + ":51820")) << explained.errors;
    const auto changed =
        porthole.ctl({"reserve", a1_address, "tcp", "22", "--external-address", third});
    EXPECT_EQ(changed.status, 0) << changed.errors;
    lab::add_address(sites.gateway_a, "wan", "203.0.113.90/24");
    EXPECT_TRUE(comes_into(a2_address, "active"));
    EXPECT_EQ(lab::exchange(a2, remote, remote_end), at("203.0.113.90", wireguard));
}

}  // namespace
}  // namespace porthole
