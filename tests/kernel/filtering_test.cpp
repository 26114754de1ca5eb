// SPDX-License-Identifier: GPL-2.0-or-later
// Who reaches the owner of a port unasked: the three filtering behaviours of RFC 4787 section 5,
// with real traffic.
#include <array>
#include <future>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "bus_client.hpp"
#include "input_policies.hpp"
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
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint16_t wireguard = 51820;
constexpr std::uint16_t external = 40001;
constexpr auto silence = std::chrono::milliseconds(100);
const auto shown = at(addresses::a_wan, external);
const std::string address_dependent = "address-dependent";
const std::string strict = "address-and-port-dependent";
const std::string open = "endpoint-independent";

class FilteringBehaviour : public testing::TestWithParam<lab::InputPolicy> {
  protected:
    FilteringBehaviour() {
        lab::masquerade(sites.gateway_a, GetParam());
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
    }

    std::uint64_t reserve(std::string_view host, const dbus::Dictionary& options = {},
                          const std::string& protocol = "udp") {
        auto all = options;
        all["external-port"] = sdbus::Variant(external);
        all["settle"] = sdbus::Variant(true);
        return std::get<0>(client->reserve(std::string(host), protocol, wireguard, all));
    }
    std::uint64_t reserve_with(const std::string& filtering) {
        return reserve(addresses::a1, {{"filtering", sdbus::Variant(filtering)}});
    }
    void change(std::uint64_t id, const std::string& filtering) {
        ASSERT_EQ(porthole.ctl({"change", std::to_string(id), "--filtering", filtering}).status, 0);
    }
    /// Whether what `from` sends to the external port reaches `host`.
    [[nodiscard]] static bool comes_in(const UdpSocket& from, const UdpSocket& host) {
        while (host.receive(lab::Duration(0))) {
        }
        from.send_to(shown, "inbound");
        const auto packet = host.receive("inbound", silence);
        return packet.has_value();
    }
    /// The same, tried until it is so: rules and contacts are put back by the service.
    [[nodiscard]] static bool comes_in_again(const UdpSocket& from, const UdpSocket& host) {
        return lab::comes_true([&] { return comes_in(from, host); });
    }
    [[nodiscard]] std::uint64_t counter(const std::string& name) {
        return client->status()
            .at("counters")
            .get<dbus::Dictionary>()
            .at(name)
            .get<std::uint64_t>();
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a, "[auto]\nenabled = false\n"};
    std::unique_ptr<BusClient> client;
    UdpSocket a1{sites.a1, wireguard};
    UdpSocket a2{sites.a2, wireguard};
    UdpSocket remote{sites.outside, wireguard};
    UdpSocket other_port{sites.outside, 40000};
    UdpSocket stranger{sites.gateway_b, wireguard};
};

TEST_P(FilteringBehaviour, AddressDependentIsTheDefaultAndLetsContactsInFromAnyPort) {
    EXPECT_EQ(std::get<5>(client->reserve(std::string(addresses::a1), "udp", wireguard,
                                          {{"external-port", sdbus::Variant(external)}})),
              address_dependent);
    EXPECT_FALSE(comes_in(other_port, a1)) << "before the host has sent anything";
    ASSERT_EQ(lab::exchange(a1, remote, at(addresses::outside, wireguard)), shown);
    EXPECT_TRUE(comes_in(other_port, a1));
    EXPECT_FALSE(comes_in(stranger, a1));
    // And the host's answers come from its port.
    a1.send_to(at(addresses::outside, 40000), "answer");
    const auto answer = other_port.receive("answer");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->source, shown);
}

TEST_P(FilteringBehaviour, AddressAndPortDependentLetsAnswersInOnly) {
    reserve_with(strict);
    ASSERT_EQ(lab::exchange(a1, remote, at(addresses::outside, wireguard)), shown);
    EXPECT_TRUE(comes_in(remote, a1));
    EXPECT_FALSE(comes_in(other_port, a1));
    EXPECT_FALSE(comes_in(stranger, a1));
    const auto contacts =
        lab::output_of(sites.gateway_a, {"nft", "list", "set", "inet", "porthole", "contacts"});
    EXPECT_THAT(contacts, testing::Not(testing::HasSubstr(std::string(addresses::outside))));
}

TEST_P(FilteringBehaviour, EndpointIndependentLetsEverybodyIn) {
    reserve_with(open);
    EXPECT_TRUE(comes_in(stranger, a1));
    a1.send_to(at(addresses::b_wan, wireguard), "answer");
    const auto answer = stranger.receive("answer");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->source, shown);
    EXPECT_TRUE(comes_in(remote, a1));
}

TEST_P(FilteringBehaviour, IsTheSameForTcp) {
    reserve(addresses::a1, {{"filtering", sdbus::Variant(open)}}, "tcp");
    const auto connects = [this](const lab::Namespace& from) {
        const TcpListener listener(sites.a1, wireguard);
        return TcpSocket::connect(from, lab::any(0), shown, silence).has_value();
    };
    EXPECT_TRUE(connects(sites.gateway_b));
    reserve(addresses::a1, {{"filtering", sdbus::Variant(address_dependent)}}, "tcp");
    EXPECT_FALSE(connects(sites.outside));
    const TcpListener elsewhere(sites.outside, 80);
    ASSERT_TRUE(TcpSocket::connect(sites.a1, lab::any(wireguard), at(addresses::outside, 80)));
    EXPECT_TRUE(connects(sites.outside));
}

// Each behaviour in force at once, and the flow that is alive neither moved nor stopped.
// Both hosts connect to each other at once (RFC 5382 REQ-2): gateway B drops what comes in before
// its own host has sent, as most gateways do.
TEST_P(FilteringBehaviour, TcpOpensSimultaneously) {
    constexpr lab::Duration limit{20'000};
    lab::masquerade(sites.gateway_b, lab::InputPolicy::drop);
    reserve(addresses::a1, {}, "tcp");
    auto opened = std::async(std::launch::async, [&] {
        return TcpSocket::connect(sites.b1, lab::any(wireguard), shown, limit);
    });
    const auto here =
        TcpSocket::connect(sites.a1, lab::any(wireguard), at(addresses::b_wan, wireguard), limit);
    const auto there = opened.get();
    ASSERT_TRUE(here && there);
    here->send("to B");
    EXPECT_EQ(there->receive(), "to B");
    there->send("to A");
    EXPECT_EQ(here->receive(), "to A");
}

TEST_P(FilteringBehaviour, ChangesWithoutTouchingLiveFlows) {
    const auto id = reserve_with(address_dependent);
    const auto live = [this] {
        const auto flows = lab::flows_from(sites.gateway_a, addresses::a1, wireguard);
        return flows.size() == 1 ? flows[0].id : 0;
    };
    ASSERT_EQ(lab::exchange(a1, remote, at(addresses::outside, wireguard)), shown);
    const auto before = live();
    ASSERT_NE(before, 0U);
    struct Case {
        const std::string& filtering;
        bool other_port_comes_in;
        bool stranger_comes_in;
    };
    std::uint16_t fresh = 41000;  // what has come in once is a flow
    for (const auto& [filtering, contact_comes_in, stranger_comes_in] :
         {Case{strict, false, false}, Case{open, true, true}, Case{strict, false, false},
          Case{address_dependent, true, false}, Case{open, true, true},
          Case{address_dependent, true, false}}) {
        SCOPED_TRACE(filtering);
        change(id, filtering);
        const UdpSocket from_contact(sites.outside, ++fresh);
        const UdpSocket from_stranger(sites.gateway_b, fresh);
        EXPECT_EQ(comes_in(from_contact, a1), contact_comes_in);
        EXPECT_EQ(comes_in(from_stranger, a1), stranger_comes_in);
        EXPECT_EQ(lab::exchange(a1, remote, at(addresses::outside, wireguard)), shown);
        EXPECT_EQ(live(), before);
    }
}

// Whoever has been sent to from a port is not let in to its next owner.
TEST_P(FilteringBehaviour, ContactsBelongToTheirOwner) {
    const auto id = reserve(addresses::a1);
    ASSERT_EQ(lab::exchange(a1, remote, at(addresses::outside, wireguard)), shown);
    ASSERT_TRUE(comes_in(other_port, a1));
    ASSERT_EQ(lab::exchange(a2, stranger, at(addresses::b_wan, wireguard))->port, wireguard);
    client->release({id});
    reserve(addresses::a2);
    const UdpSocket fresh(sites.outside, 40002);
    for (const UdpSocket* const from :
         std::array<const UdpSocket*, 3>{&remote, &other_port, &fresh}) {
        EXPECT_FALSE(comes_in(*from, a2));
        from->send_to(shown, "inbound");
        EXPECT_FALSE(a1.receive("inbound", silence));
    }
    ASSERT_EQ(lab::exchange(a2, remote, at(addresses::outside, wireguard)), shown);
    EXPECT_TRUE(comes_in(fresh, a2));
}

// A flow that began before the reservation counts: its remote is a contact once it is settled.
TEST_P(FilteringBehaviour, LearnsContactsFromFlowsThatAreThere) {
    const auto id = reserve(addresses::a1);
    ASSERT_EQ(lab::exchange(a1, remote, at(addresses::outside, wireguard)), shown);
    client->release({id});
    ASSERT_EQ(lab::exchange(a1, remote, at(addresses::outside, wireguard)), shown);
    reserve(addresses::a1);
    EXPECT_TRUE(comes_in_again(other_port, a1));
    EXPECT_FALSE(comes_in(stranger, a1));
}

TEST_P(FilteringBehaviour, ContactsAreThereAgainAfterTheRulesWereRemoved) {
    reserve(addresses::a1);
    ASSERT_EQ(lab::exchange(a1, remote, at(addresses::outside, wireguard)), shown);
    lab::output_of(sites.gateway_a, {"nft", "delete", "table", "inet", "porthole"});
    EXPECT_TRUE(comes_in_again(other_port, a1));
    porthole.kill();
    porthole.start();
    const UdpSocket fresh(sites.outside, 40002);
    EXPECT_TRUE(comes_in_again(fresh, a1));
    EXPECT_FALSE(comes_in(stranger, a1));
}

// Where the remote has begun the flow and the owner has answered, both of them want it.
TEST_P(FilteringBehaviour, AFlowThatTheOwnerHasAnsweredMakesAContact) {
    const auto id = reserve_with(open);
    ASSERT_TRUE(comes_in(stranger, a1));
    change(id, address_dependent);
    const UdpSocket unanswered(sites.gateway_b, 40003);
    EXPECT_FALSE(comes_in(unanswered, a1)) << "the owner has sent nothing there";
    change(id, open);
    a1.send_to(at(addresses::b_wan, wireguard), "answer");
    ASSERT_TRUE(stranger.receive("answer"));
    change(id, address_dependent);
    EXPECT_TRUE(comes_in_again(unanswered, a1));
}

TEST_P(FilteringBehaviour, AReleaseEndsWhatCameIn) {
    const auto id = reserve_with(open);
    ASSERT_TRUE(comes_in(stranger, a1));
    ASSERT_TRUE(comes_in(remote, a1));
    client->release({id});
    const auto inbound = [this] {
        return lab::flows_from(sites.gateway_a, addresses::b_wan, wireguard).size() +
               lab::flows_from(sites.gateway_a, addresses::outside, wireguard).size();
    };
    EXPECT_TRUE(lab::comes_true([&] { return inbound() == 0; }));
    EXPECT_FALSE(comes_in(stranger, a1));
}

// What came in through an address that is gone would keep the owner's answers on that address.
TEST_P(FilteringBehaviour, FlowsThatCameInThroughAnAddressThatIsGoneEnd) {
    reserve_with(open);
    ASSERT_TRUE(comes_in(stranger, a1));
    const std::string other = "203.0.113.77";
    lab::delete_address(sites.gateway_a, "wan", std::string(addresses::a_wan) + "/24");
    lab::add_address(sites.gateway_a, "wan", other + "/24");
    lab::output_of(sites.gateway_a,
                   {"ip", "route", "replace", "default", "via", std::string(addresses::internet)});
    EXPECT_TRUE(lab::comes_true([&] {
        a1.send_to(at(addresses::b_wan, wireguard), "keepalive");
        const auto packet = stranger.receive("keepalive", silence);
        return packet && packet->source == at(other, external);
    }));
}

// A host that contacts everybody has its limit, and nobody else feels it.
TEST_P(FilteringBehaviour, AHostHasItsLimitOfContacts) {
    lab::output_of(sites.internet, {"ip", "route", "add", "blackhole", "198.18.0.0/16"});
    reserve(addresses::a1);
    client->reserve(std::string(addresses::a2), "udp", wireguard,
                    {{"external-port", sdbus::Variant(std::uint16_t{external + 1})}});
    constexpr unsigned remotes = 2000;
    for (unsigned i = 0; i < remotes; ++i) {
        a1.send_to(at(fmt::format("198.18.{}.{}", i / 250, i % 250 + 1), wireguard), "hello");
    }
    ASSERT_EQ(lab::exchange(a1, remote, at(addresses::outside, wireguard)), shown);
    const auto contacts =
        lab::command(sites.gateway_a, {"nft", "-j", "list", "set", "inet", "porthole", "contacts"});
    const auto elements = nlohmann::json::parse(contacts.output)["nftables"][1]["set"]["elem"];
    EXPECT_GE(elements.size(), 400U);
    EXPECT_LE(elements.size(), 500U);
    EXPECT_GE(counter("contacts-refused"), remotes - 500);
    // Its answers come in all the same.
    EXPECT_TRUE(comes_in(remote, a1));

    ASSERT_EQ(lab::exchange(a2, remote, at(addresses::outside, wireguard)),
              at(addresses::a_wan, external + 1));
    other_port.send_to(at(addresses::a_wan, external + 1), "inbound");
    EXPECT_TRUE(a2.receive("inbound"));
}

// Porthole decides first for contacts and for nobody else: a port forward still gets strangers.
TEST_P(FilteringBehaviour, LeavesStrangersToAPortForward) {
    lab::output_of(
        sites.gateway_a,
        {"nft", fmt::format("add table ip forwards; add chain ip forwards in {{ type nat "
                            "hook prerouting priority dstnat; }}; add rule ip forwards "
                            "in iifname wan udp dport {} dnat to {}:{}",
                            external, addresses::a2, wireguard)});
    reserve(addresses::a1);
    EXPECT_TRUE(comes_in(stranger, a2));
    ASSERT_EQ(lab::exchange(a1, remote, at(addresses::outside, wireguard)), shown);
    EXPECT_TRUE(comes_in(other_port, a1));
    EXPECT_TRUE(comes_in(stranger, a2));
}

INSTANTIATE_TEST_SUITE_P(Input, FilteringBehaviour, input_policies(), input_policy_name);

}  // namespace
}  // namespace porthole
