// SPDX-License-Identifier: GPL-2.0-or-later
// IPv6 hosts keep their addresses and ports; who outside may send to a reserved port of theirs
// unasked is what its filtering says (RFC 4787 section 5, RFC 6092).
#include <array>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "bus_client.hpp"
#include "lab/conntrack.hpp"
#include "lab/deadline.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
namespace addresses6 = lab::address6;
using lab::at;
using lab::TcpListener;
using lab::TcpSocket;
using lab::UdpSocket;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint16_t wireguard = 51820;
constexpr std::uint16_t unreserved = 51000;
constexpr auto silence = std::chrono::milliseconds(100);
const std::string a1_address(addresses6::a1);
const std::string a2_address(addresses6::a2);
const auto owned = at(addresses6::a1, wireguard);
const auto remote_end = at(addresses6::outside, wireguard);
const std::string address_dependent = "address-dependent";
const std::string strict = "address-and-port-dependent";
const std::string open = "endpoint-independent";

lab::SocketAddress any6(std::uint16_t port) { return at("::", port); }

class Pinholes : public testing::Test {
  protected:
    explicit Pinholes(std::string_view configuration = "[auto]\nenabled = false\n")
        : porthole(sites.gateway_a, configuration) {
        sites.add_ipv6();
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
    }
    std::uint64_t reserve(const std::string& host, const std::string& filtering,
                          const std::string& protocol = "udp") {
        return std::get<0>(client->reserve(
            host, protocol, wireguard,
            {{"filtering", sdbus::Variant(filtering)}, {"settle", sdbus::Variant(true)}}));
    }
    void change(std::uint64_t id, const std::string& filtering) {
        ASSERT_EQ(porthole.ctl({"change", std::to_string(id), "--filtering", filtering}).status, 0);
    }
    /// Whether what `from` sends to `destination` reaches `host`.
    [[nodiscard]] static bool comes_in(const UdpSocket& from, const UdpSocket& host,
                                       const lab::SocketAddress& destination = owned) {
        while (host.receive(lab::Duration(0))) {
        }
        from.send_to(destination, "inbound");
        return host.receive("inbound", silence).has_value();
    }
    [[nodiscard]] static bool comes_in_again(const UdpSocket& from, const UdpSocket& host) {
        return lab::comes_true([&] { return comes_in(from, host); });
    }
    /// Both ways, and the host shows its own address and port.
    [[nodiscard]] bool reaches_the_remote() const {
        return lab::exchange(a1, remote, remote_end) == owned;
    }
    [[nodiscard]] std::uint64_t counter(const std::string& name) const {
        return client->status()
            .at("counters")
            .get<dbus::Dictionary>()
            .at(name)
            .get<std::uint64_t>();
    }
    [[nodiscard]] std::string table() const {
        return lab::output_of(sites.gateway_a, {"nft", "list", "table", "inet", "porthole"});
    }

    lab::TwoSites sites;
    lab::Porthole porthole;
    std::unique_ptr<BusClient> client;
    UdpSocket a1{sites.a1, any6(wireguard)};
    UdpSocket a2{sites.a2, any6(wireguard)};
    UdpSocket remote{sites.outside, any6(wireguard)};
    UdpSocket other_port{sites.outside, any6(40000)};
    UdpSocket stranger{sites.gateway_b, any6(wireguard)};
};

TEST_F(Pinholes, AddressDependentIsTheDefaultAndLetsContactsInFromAnyPort) {
    EXPECT_TRUE(comes_in(other_port, a1)) << "what nobody has reserved is not our business";
    const auto row = client->reserve(a1_address, "udp", wireguard);
    EXPECT_EQ(row.get<4>(), wireguard);
    EXPECT_EQ(row.get<5>(), address_dependent);
    EXPECT_EQ(row.get<11>().at("family").get<std::string>(), "ipv6");
    const UdpSocket fresh(sites.outside, any6(40001));
    EXPECT_FALSE(comes_in(fresh, a1)) << "before the host has sent anything";
    EXPECT_GE(counter("unsolicited"), 1U);
    ASSERT_TRUE(reaches_the_remote());
    EXPECT_TRUE(comes_in(fresh, a1));
    EXPECT_FALSE(comes_in(stranger, a1));
    // Its contacts are of this port and of this host only.
    EXPECT_TRUE(lab::comes_true([&] {
        const auto rows = std::get<0>(client->list());
        return rows.size() == 1 && rows[0].get<7>() == "active";
    }));
}

TEST_F(Pinholes, AddressAndPortDependentLetsAnswersInOnly) {
    reserve(a1_address, strict);
    ASSERT_TRUE(reaches_the_remote());
    EXPECT_TRUE(comes_in(remote, a1));
    EXPECT_FALSE(comes_in(other_port, a1));
    EXPECT_FALSE(comes_in(stranger, a1));
    const auto contacts = lab::output_of(
        sites.gateway_a, {"nft", "list", "set", "inet", "porthole", "pinhole-contacts"});
    EXPECT_THAT(contacts, testing::Not(HasSubstr(std::string(addresses6::outside))));
}

TEST_F(Pinholes, EndpointIndependentLetsEverybodyIn) {
    reserve(a1_address, open);
    EXPECT_TRUE(comes_in(stranger, a1));
    a1.send_to(at(addresses6::b_wan, wireguard), "answer");
    ASSERT_TRUE(stranger.receive("answer"));
    EXPECT_TRUE(comes_in(remote, a1));
}

TEST_F(Pinholes, AreTheSameForTcp) {
    reserve(a1_address, open, "tcp");
    const auto connects = [this](const lab::Namespace& from) {
        const TcpListener listener(sites.a1, any6(wireguard));
        return TcpSocket::connect(from, any6(0), owned, silence).has_value();
    };
    EXPECT_TRUE(connects(sites.gateway_b));
    reserve(a1_address, address_dependent, "tcp");
    EXPECT_FALSE(connects(sites.outside));
    const TcpListener elsewhere(sites.outside, any6(80));
    ASSERT_TRUE(TcpSocket::connect(sites.a1, any6(wireguard), at(addresses6::outside, 80)));
    EXPECT_TRUE(connects(sites.outside));
}

TEST_F(Pinholes, LeaveEverythingElseAlone) {
    reserve(a1_address, strict);
    const UdpSocket other_service(sites.a1, any6(unreserved));
    EXPECT_TRUE(comes_in(stranger, other_service, at(addresses6::a1, unreserved)));
    EXPECT_TRUE(comes_in(stranger, a2, at(addresses6::a2, wireguard))) << "another host's";
    EXPECT_FALSE(comes_in(stranger, a1));
    // The other protocol, the gateway itself, neighbours, and hosts behind other interfaces.
    const TcpListener listener(sites.a1, any6(wireguard));
    EXPECT_TRUE(TcpSocket::connect(sites.gateway_b, any6(0), owned, silence));
    const UdpSocket gateway(sites.gateway_a, any6(wireguard));
    EXPECT_TRUE(comes_in(stranger, gateway, at(addresses6::a_wan, wireguard)));
    EXPECT_TRUE(comes_in(a2, a1));
    const UdpSocket of_gateway(sites.gateway_a, any6(0));
    EXPECT_TRUE(comes_in(of_gateway, a1));
}

// Nobody's port is in anybody's way: each host has all of them, and IPv4 has others.
TEST_F(Pinholes, HostsShareAPort) {
    lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
    const auto first = reserve(a1_address, address_dependent);
    const auto second = reserve(a2_address, open);
    const auto ipv4 = reserve(std::string(addresses::a1), address_dependent);
    ASSERT_TRUE(reaches_the_remote());
    EXPECT_TRUE(comes_in(other_port, a1));
    EXPECT_FALSE(comes_in(stranger, a1));
    EXPECT_TRUE(comes_in(stranger, a2, at(addresses6::a2, wireguard)));
    const UdpSocket host(sites.a1, unreserved);
    const UdpSocket there(sites.outside, 1234);
    EXPECT_TRUE(lab::exchange(host, there, at(addresses::outside, 1234)));

    const auto found = porthole.ctl({"release", "udp:51820"});
    EXPECT_EQ(found.status, 1);
    for (const auto& text : {a1_address, a2_address, std::string(addresses::a1)}) {
        EXPECT_THAT(found.errors, HasSubstr(text));
    }
    EXPECT_EQ(std::get<1>(client->list()), 3U);
    client->release({first, second, ipv4});
    EXPECT_TRUE(comes_in(stranger, a1)) << "it is nobody's any more";
}

// A first pinhole and a last one are no reason to make the table anew: live flows would lose their
// timeouts, and remotes would not be known any more.
TEST_F(Pinholes, ComeAndGoWithoutANewTable) {
    lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
    reserve(std::string(addresses::a1), address_dependent);
    const auto ipv4_remote = at("::ffff:203.0.113.9", wireguard);  // of the same sockets
    const auto ipv4_shown = at("::ffff:203.0.113.1", wireguard);
    ASSERT_EQ(lab::exchange(a1, remote, ipv4_remote), ipv4_shown);
    lab::output_of(sites.gateway_a, {"conntrack", "-D", "-p", "udp"});
    const auto handles = [this] {
        return lab::output_of(sites.gateway_a,
                              {"nft", "-a", "list", "chain", "inet", "porthole", "guard"});
    };
    const auto before = handles();
    const auto id = reserve(a1_address, address_dependent);
    EXPECT_TRUE(comes_in(other_port, a1, ipv4_shown)) << "it is still a contact";
    client->release({id});
    EXPECT_EQ(handles(), before);
    EXPECT_EQ(
        client->status().at("counters").get<dbus::Dictionary>().at("rebuilds").get<std::uint64_t>(),
        0U);
}

// Somebody on the WAN's link may send as a host inside: his own answers must not let him in.
TEST_F(Pinholes, NobodyOutsideSendsAsTheHost) {
    reserve(a1_address, address_dependent);
    lab::output_of(sites.internet,
                   {"ip", "addr", "add", a1_address + "/128", "dev", "lo", "nodad"});
    lab::output_of(sites.internet,
                   {"ip", "-6", "route", "add", std::string(addresses6::b_wan) + "/128", "via",
                    std::string(addresses6::a_wan)});
    const UdpSocket forger(sites.internet, owned);
    const auto before = counter("unsolicited");
    forger.send_to(at(addresses6::b_wan, wireguard), "forged");
    EXPECT_FALSE(stranger.receive("forged", silence));
    EXPECT_GT(counter("unsolicited"), before);
    EXPECT_FALSE(comes_in(stranger, a1));
    // Nor by way of another host's, which lets everybody in.
    reserve(a2_address, open);
    const auto a2_end = at(addresses6::a2, wireguard);
    for (const auto& host : {a1_address, a2_address}) {
        lab::output_of(sites.internet, {"ip", "-6", "route", "replace", host + "/128", "via",
                                        std::string(addresses6::a_wan), "dev", "wan"});
    }
    forger.send_to(a2_end, "forged");
    EXPECT_FALSE(a2.receive("forged", silence));
    lab::output_of(sites.internet,
                   {"ip", "addr", "add", a2_address + "/128", "dev", "lo", "nodad"});
    lab::output_of(sites.internet,
                   {"ip", "addr", "del", a1_address + "/128", "dev", "lo", "nodad"});
    const UdpSocket answer(sites.internet, a2_end);
    answer.send_to(owned, "forged");
    EXPECT_FALSE(a1.receive("forged", silence));
}

TEST_F(Pinholes, SayWhereTheyDoNotFilter) {
    const auto warnings = [this] {
        return client->status().at("warnings").get<std::vector<std::string>>();
    };
    lab::output_of(sites.gateway_a, {"ip", "tuntap", "add", "he6", "mode", "tun"});
    lab::output_of(sites.gateway_a, {"ip", "link", "set", "he6", "up"});
    lab::output_of(sites.gateway_a,
                   {"ip", "-6", "route", "add", "default", "dev", "he6", "metric", "9"});
    sites.gateway_a.set_sysctl("net/ipv6/conf/all/forwarding", "0");
    EXPECT_THAT(warnings(), testing::Not(Contains(HasSubstr("IPv6")))) << "nobody is concerned";
    reserve(a1_address, address_dependent);
    EXPECT_TRUE(lab::comes_true([&] {
        return testing::Value(warnings(),
                              Contains(HasSubstr("comes in through he6 is not filtered")));
    }));
    EXPECT_TRUE(lab::comes_true(
        [&] { return testing::Value(warnings(), Contains(HasSubstr("conf.all.forwarding"))); },
        lab::Duration(15'000)));
}

TEST_F(Pinholes, ChangeWithoutTouchingLiveFlows) {
    const auto id = reserve(a1_address, address_dependent);
    ASSERT_TRUE(reaches_the_remote());
    const auto live = [this] {
        const auto flows = lab::flows_from(sites.gateway_a, addresses6::a1, wireguard);
        return flows.size() == 1 ? flows[0].id : 0;
    };
    const auto before = live();
    ASSERT_NE(before, 0U);
    struct Case {
        const std::string& filtering;
        bool contact_comes_in;
        bool stranger_comes_in;
    };
    std::uint16_t port = 41000;  // what has come in once is a flow
    for (const auto& [filtering, contact_comes_in, stranger_comes_in] :
         {Case{strict, false, false}, Case{open, true, true}, Case{strict, false, false},
          Case{address_dependent, true, false}, Case{open, true, true},
          Case{address_dependent, true, false}}) {
        SCOPED_TRACE(filtering);
        change(id, filtering);
        const UdpSocket from_contact(sites.outside, any6(++port));
        const UdpSocket from_stranger(sites.gateway_b, any6(port));
        EXPECT_EQ(comes_in(from_contact, a1), contact_comes_in);
        EXPECT_EQ(comes_in(from_stranger, a1), stranger_comes_in);
        EXPECT_TRUE(reaches_the_remote());
        EXPECT_EQ(live(), before);
    }
}

TEST_F(Pinholes, LearnContactsFromFlowsThatAreThere) {
    ASSERT_TRUE(reaches_the_remote());
    reserve(a1_address, address_dependent);
    EXPECT_TRUE(comes_in_again(other_port, a1));
    EXPECT_FALSE(comes_in(stranger, a1));
}

// A stranger that was there first, and keeps sending, stays outside all the same.
TEST_F(Pinholes, EndWhatCameInBeforeThem) {
    ASSERT_TRUE(comes_in(stranger, a1));
    ASSERT_FALSE(lab::flows_from(sites.gateway_a, addresses6::b_wan, wireguard).empty());
    reserve(a1_address, address_dependent);
    EXPECT_FALSE(comes_in(stranger, a1));
    EXPECT_TRUE(lab::flows_from(sites.gateway_a, addresses6::b_wan, wireguard).empty());
    lab::output_of(sites.gateway_a, {"nft", "flush", "ruleset"});
    EXPECT_TRUE(lab::comes_true([&] { return !comes_in(stranger, a1); }));
    EXPECT_TRUE(lab::comes_true(
        [&] { return lab::flows_from(sites.gateway_a, addresses6::b_wan, wireguard).empty(); }));
}

TEST_F(Pinholes, AFlowThatTheHostHasAnsweredMakesAContact) {
    const auto id = reserve(a1_address, open);
    ASSERT_TRUE(comes_in(stranger, a1));
    change(id, address_dependent);
    const UdpSocket unanswered(sites.gateway_b, any6(40003));
    EXPECT_FALSE(comes_in(unanswered, a1)) << "the host has sent nothing there";
    change(id, open);
    a1.send_to(at(addresses6::b_wan, wireguard), "answer");
    ASSERT_TRUE(stranger.receive("answer"));
    change(id, address_dependent);
    EXPECT_TRUE(lab::comes_true([&] {
        change(id, strict);  // each change has the flows looked at
        change(id, address_dependent);
        return comes_in(unanswered, a1);
    }));
}

TEST_F(Pinholes, ContactsAreThereAgainAfterTheRulesWereRemoved) {
    reserve(a1_address, address_dependent);
    ASSERT_TRUE(reaches_the_remote());
    lab::output_of(sites.gateway_a, {"nft", "delete", "table", "inet", "porthole"});
    ASSERT_TRUE(lab::comes_true([&] { return !comes_in(stranger, a1); })) << "the rules are back";
    EXPECT_TRUE(comes_in_again(other_port, a1));
    porthole.kill();
    const UdpSocket fresh_stranger(sites.gateway_b, any6(40002));
    EXPECT_FALSE(comes_in(fresh_stranger, a1)) << "the rules stay";
    porthole.start();
    const UdpSocket fresh(sites.outside, any6(40002));
    EXPECT_TRUE(comes_in_again(fresh, a1));
    EXPECT_FALSE(comes_in(fresh_stranger, a1));
}

TEST_F(Pinholes, AHostHasItsLimitOfContacts) {
    lab::output_of(sites.internet, {"ip", "-6", "route", "add", "blackhole", "2001:db8:99::/48"});
    reserve(a1_address, address_dependent);
    reserve(a2_address, address_dependent);
    constexpr unsigned remotes = 2000;
    for (unsigned i = 0; i < remotes; ++i) {
        a1.send_to(at(fmt::format("2001:db8:99::{:x}", i + 1), wireguard), "hello");
    }
    ASSERT_TRUE(reaches_the_remote());
    const auto contacts = lab::command(
        sites.gateway_a, {"nft", "-j", "list", "set", "inet", "porthole", "pinhole-contacts"});
    const auto elements = nlohmann::json::parse(contacts.output)["nftables"][1]["set"]["elem"];
    EXPECT_GE(elements.size(), 400U);
    EXPECT_LE(elements.size(), 500U);
    EXPECT_GE(counter("contacts-refused"), remotes - 500);
    EXPECT_TRUE(comes_in(remote, a1)) << "its answers come in all the same";
    ASSERT_EQ(lab::exchange(a2, remote, remote_end), at(addresses6::a2, wireguard));
    EXPECT_TRUE(comes_in(other_port, a2, at(addresses6::a2, wireguard)));
}

// Both behind gateways that let nobody in who was not sent to: each one's packets look like answers
// to the other's.
TEST_F(Pinholes, TwoStrictGatewaysLetBothHostsConnect) {
    lab::Porthole other(sites.gateway_b, "[auto]\nenabled = false\n");
    other.start();
    ASSERT_EQ(
        other.ctl({"reserve", std::string(addresses6::b1), "udp", "51820", "--filtering", strict})
            .status,
        0);
    reserve(a1_address, strict);
    const UdpSocket b1(sites.b1, any6(wireguard));
    const auto there = at(addresses6::b1, wireguard);
    EXPECT_FALSE(comes_in(a1, b1, there));
    EXPECT_TRUE(comes_in(b1, a1)) << "an answer to what was dropped over there";
    EXPECT_TRUE(comes_in(a1, b1, there));
}

TEST_F(Pinholes, KeepUdpFlowsForFiveMinutes) {
    reserve(a1_address, open);
    const auto left = [this](std::string_view who, std::uint16_t port) {
        const auto flows = lab::flows_from(sites.gateway_a, who, port);
        return flows.size() == 1 ? flows[0].timeout : 0;
    };
    a1.send_to(remote_end, "not answered");
    ASSERT_TRUE(remote.receive());
    EXPECT_GT(left(addresses6::a1, wireguard), 290U);
    ASSERT_TRUE(comes_in(stranger, a1));
    EXPECT_GT(left(addresses6::b_wan, wireguard), 290U);
    const UdpSocket other(sites.a1, any6(unreserved));
    other.send_to(remote_end, "not reserved");
    ASSERT_TRUE(remote.receive("not reserved"));
    EXPECT_LE(left(addresses6::a1, unreserved), 120U);
}

// What another firewall drops stays dropped; the conflict says which one, and what opens it.
TEST_F(Pinholes, SayWhichFirewallStopsThem) {
    lab::output_of(sites.gateway_a, {"nft", "-f", "-"},
                   {.input = "table inet theirs { chain forward { type filter hook forward "
                             "priority filter; policy drop; ct state established,related "
                             "accept; iifname != wan accept; }; }"});
    reserve(a1_address, open);
    EXPECT_FALSE(comes_in(stranger, a1));
    const auto stopped = [&] {
        auto rows = client->conflicts();
        std::erase_if(rows,
                      [](const auto& row) { return row.template get<1>() != "foreign-firewall"; });
        return rows;
    };
    // The gateway's own ports make it look at all flows: no need to wait for its minute.
    std::vector<UdpSocket> own;
    const auto look_until = [&](const auto& true_then) {
        return lab::comes_true([&] {
            own.emplace_back(sites.gateway_a, static_cast<std::uint16_t>(7100 + own.size()));
            return lab::comes_true(true_then, lab::Duration(4000));
        });
    };
    ASSERT_TRUE(look_until([&] { return !stopped().empty(); }));
    const auto row = stopped().at(0);
    EXPECT_EQ(row.get<4>(), wireguard);
    EXPECT_EQ(row.get<8>().at("owner").get<std::string>(), a1_address);
    EXPECT_EQ(row.get<8>().at("other").get<std::string>(), "the chain inet theirs forward");
    EXPECT_THAT(client->status().at("warnings").get<std::vector<std::string>>(),
                Contains(HasSubstr("inet theirs forward")));
    const auto command = row.get<8>().at("command").get<std::string>();
    lab::output_of(sites.gateway_a, {"sh", "-c", command});
    EXPECT_TRUE(comes_in(stranger, a1)) << command;
    EXPECT_TRUE(look_until([&] { return stopped().empty(); }));
}

TEST_F(Pinholes, ExplainSaysWhatBecomesOfAPacket) {
    const auto explain = [this](std::uint16_t port) {
        const auto answer = porthole.ctl({"--json", "explain", a1_address, "udp",
                                          std::to_string(port), lab::to_text(remote_end)});
        return nlohmann::json::parse(answer.output);
    };
    EXPECT_EQ(explain(wireguard)["verdict"], "left-to-others");
    const auto id = reserve(a1_address, address_dependent);
    const auto answer = explain(wireguard);
    EXPECT_EQ(answer["verdict"], "reserved");
    EXPECT_EQ(answer["interface"], "wan");
    EXPECT_EQ(answer["external-port"], wireguard);
    EXPECT_EQ(answer["reservation"], id);
    EXPECT_THAT(table(), HasSubstr(answer["rule"].get<std::string>()));
    ASSERT_TRUE(reaches_the_remote());
    const auto flow = explain(wireguard);
    EXPECT_EQ(flow["verdict"], "follows-flow");
    EXPECT_EQ(flow["external-port"], wireguard);
    EXPECT_EQ(flow["flow"]["source"], lab::to_text(owned));
    const auto mixed = porthole.ctl({"explain", a1_address, "udp", "51820", "192.0.2.1:51820"});
    EXPECT_EQ(mixed.status, 1);
    EXPECT_THAT(mixed.errors, HasSubstr("192.0.2.1:51820"));
}

TEST_F(Pinholes, RefuseWhatCannotBe) {
    const auto refused = [this](const std::string& host, const dbus::Dictionary& options = {}) {
        return error_of([&] { client->reserve(host, "udp", wireguard, options); }).second;
    };
    EXPECT_THAT(refused(a1_address, {{"external-port", sdbus::Variant(std::uint16_t{51821})}}),
                HasSubstr("external-port"));
    EXPECT_THAT(refused("2001:db8:77::1"), HasSubstr("2001:db8:2::/64"));
    EXPECT_THAT(refused("2001:db8:2::"), HasSubstr("network"));
    EXPECT_THAT(refused("fe80::1"), HasSubstr("2001:db8:2::/64"));
    EXPECT_THAT(refused(std::string(addresses6::a_lan)), HasSubstr("gateway"));
    const auto id = reserve(a1_address, strict);
    EXPECT_THAT(error_of([&] {
                    client->change(id, {{"external-port", sdbus::Variant(std::uint16_t{51821})}});
                }).second,
                HasSubstr("51820"));
    EXPECT_EQ(std::get<1>(client->list()), 1U);
}

// A host that is known by its MAC address has its port with all its addresses, and the new ones
// that it makes up for itself.
TEST_F(Pinholes, FollowHosts) {
    constexpr auto mac = "02:00:5e:10:00:01";
    constexpr auto temporary = "2001:db8:2::abcd";
    lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
    lab::output_of(sites.a1, {"ip", "link", "set", "eth0", "address", mac});
    lab::output_of(sites.a1, {"ip", "route", "replace", "default", "via", "192.168.2.1"});
    const auto ipv4_remote = at("::ffff:203.0.113.9", wireguard);  // of the same sockets
    ASSERT_TRUE(lab::comes_true([&] { return reaches_the_remote(); }));
    ASSERT_TRUE(lab::exchange(a1, remote, ipv4_remote));
    const auto id = client
                        ->reserve(mac, "udp", wireguard,
                                  {{"external-port", sdbus::Variant(std::uint16_t{40001})}})
                        .get<0>();
    const auto addresses_of_row = [&] {
        const auto extras = std::get<0>(client->list()).at(0).get<11>();
        const auto found = extras.find("ipv6-addresses");
        return found != extras.end() ? found->second.get<std::vector<std::string>>()
                                     : std::vector<std::string>();
    };
    ASSERT_TRUE(lab::comes_true([&] {
        return testing::Value(addresses_of_row(), Contains(a1_address));
    })) << porthole.log();
    EXPECT_TRUE(lab::comes_true(
        [&] { return lab::exchange(a1, remote, ipv4_remote) == at("::ffff:203.0.113.1", 40001); }));
    ASSERT_TRUE(reaches_the_remote()) << "with its own port";
    EXPECT_TRUE(comes_in_again(other_port, a1));
    EXPECT_FALSE(comes_in(stranger, a1));

    const auto edit_address = [this](const char* command, std::string_view which) {
        lab::output_of(sites.a1,
                       {"ip", "addr", command, std::string(which) + "/64", "dev", "eth0", "nodad"});
    };
    edit_address("add", temporary);
    edit_address("del", a1_address);
    lab::output_of(sites.gateway_a, {"ip", "neigh", "flush", "to", a1_address});
    const auto at_temporary = at(temporary, wireguard);
    ASSERT_EQ(lab::exchange(a1, remote, remote_end), at_temporary);
    ASSERT_TRUE(
        lab::comes_true([&] { return testing::Value(addresses_of_row(), Contains(temporary)); }));
    EXPECT_THAT(addresses_of_row(), Contains(a1_address)) << "it may come back";
    EXPECT_TRUE(lab::comes_true([&] { return comes_in(other_port, a1, at_temporary); }));
    EXPECT_FALSE(comes_in(stranger, a1, at_temporary));

    // The rules are right at once when it starts again, whoever has been asked.
    porthole.kill();
    lab::output_of(sites.gateway_a, {"ip", "neigh", "flush", "all"});
    porthole.start();
    EXPECT_FALSE(comes_in(stranger, a1, at_temporary));
    client = std::make_unique<BusClient>(porthole);
    EXPECT_THAT(addresses_of_row(), Contains(temporary));
    client->release({id});
    EXPECT_TRUE(comes_in(stranger, a1, at_temporary));
}

class ConfiguredPinholes : public Pinholes {
  protected:
    ConfiguredPinholes()
        : Pinholes(
              "[auto]\nenabled = false\n[nat]\nipv6 = \"pinholes\"\n[[reservation]]\n"
              "host = \"2001:db8:2::2\"\nprotocol = \"udp\"\nport = 51820\n") {}
};

TEST_F(ConfiguredPinholes, LeaveTheGatewaysOwnAddressesAlone) {
    const auto with = [this](std::string_view host) {
        std::ofstream(porthole.configuration_file(), std::ios::app)
            << "[[reservation]]\nhost = \"" << host << "\"\nprotocol = \"udp\"\nport = 5353\n";
    };
    with(addresses6::a_wan);
    EXPECT_THAT(error_of([&] { client->reload(); }).second,
                HasSubstr("reservation[1]: invalid host \"2001:db8:1::1\""));
    porthole.restart();
    client = std::make_unique<BusClient>(porthole);
    EXPECT_EQ(std::get<1>(client->list()), 1U);
    const UdpSocket service(sites.gateway_a, any6(5353));
    EXPECT_TRUE(comes_in(stranger, service, at(addresses6::a_wan, 5353)));
    EXPECT_THAT(client->status().at("warnings").get<std::vector<std::string>>(),
                Contains(HasSubstr("2001:db8:1::1")));
}

TEST_F(ConfiguredPinholes, AreInForce) {
    EXPECT_FALSE(comes_in(stranger, a1));
    ASSERT_TRUE(reaches_the_remote());
    EXPECT_TRUE(comes_in(other_port, a1));
    EXPECT_EQ(std::get<0>(client->list()).at(0).get<6>(), "static");
    EXPECT_THAT(client->status().at("warnings").get<std::vector<std::string>>(),
                testing::Not(Contains(HasSubstr(a1_address))));
}

}  // namespace
}  // namespace porthole
