// SPDX-License-Identifier: GPL-2.0-or-later
// Reservations of IPv6 hosts: what they are to the rows, to the perimeter and to the packet filter.
#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/desired_firewall.hpp"
#include "core/perimeter.hpp"
#include "core_support.hpp"

namespace porthole {
namespace {

using namespace support;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::ThrowsMessage;

const auto anna = endpoint("2001:db8:2::2", 51820);
const auto ben = endpoint("2001:db8:2::3", 51820);
const auto carl = endpoint("192.168.2.4", 51820);

ReservationId add(Reservations& reservations, const ReserveRequest& request,
                  Origin origin = Origin::api) {
    reservations.apply(reservations.reserve(request, origin, now));
    return reservations.find(request.internal)->id;
}

Pinhole pinhole(const Endpoint& internal, Filtering filtering = Filtering::address_dependent) {
    return {internal.protocol, std::get<Address>(internal.host), internal.port, filtering};
}

TEST(PinholeRows, HaveTheirOwnPortWhoeverElseHasIt) {
    Reservations reservations;
    const auto first = add(reservations, {.internal = anna});
    const auto second = add(reservations, {.internal = ben, .external_port = port(51820)});
    EXPECT_EQ(reservations.find(first)->external_port, port(51820));
    EXPECT_EQ(reservations.find(Protocol::udp, port(51820)), nullptr) << "on the WAN it is free";
    const auto third = add(reservations, {.internal = carl});
    ASSERT_NE(reservations.find(Protocol::udp, port(51820)), nullptr);
    EXPECT_EQ(reservations.find(Protocol::udp, port(51820))->id, third);

    const auto ids = [&](std::uint64_t number, Protocol protocol = Protocol::udp) {
        std::vector<ReservationId> found;
        for (const auto* row : reservations.all_outside({protocol, port(number)})) {
            found.push_back(row->id);
        }
        return found;
    };
    add(reservations, {.internal = endpoint("2001:db8:2::2", 51821)});
    add(reservations, {.internal = endpoint("2001:db8:2::2", 51820, Protocol::tcp)});
    add(reservations, {.internal = endpoint("02:00:5e:10:00:01", 51820), .external_port = port(7)});
    EXPECT_THAT(ids(51820), ElementsAre(third, first, second));
    EXPECT_THAT(ids(51821), SizeIs(1));
    EXPECT_THAT(ids(51819), IsEmpty());

    reservations.apply(reservations.release(std::array{first}));
    EXPECT_THAT(ids(51820), ElementsAre(third, second));
    EXPECT_TRUE(reservations.has_pinholes());
}

TEST(PinholeRows, MayBeInThePoolAndOnTheGatewaysOwnPorts) {
    Reservations reservations;
    reservations.set_own_ports({{Protocol::udp, port(51820)}});
    add(reservations, {.internal = anna});
    add(reservations, {.internal = endpoint("2001:db8:2::2", 65535)});
    EXPECT_EQ(reservations.size(), 2U);
}

TEST(PinholeRows, HaveNoOtherPortOutside) {
    Reservations reservations;
    const auto wrong = [&](const ReserveRequest& request) {
        return [&] { (void)reservations.reserve(request, Origin::api, now); };
    };
    EXPECT_THAT(wrong({.internal = anna, .external_port = port(51821)}),
                ThrowsMessage<InvalidArgument>(
                    AllOf(HasSubstr("external-port"), HasSubstr("51821"), HasSubstr("51820"))));
    EXPECT_THAT(
        wrong({.internal = anna, .external_port = port(51821), .on_conflict = OnConflict::next}),
        ThrowsMessage<InvalidArgument>(HasSubstr("external-port")));
    const auto id = add(reservations, {.internal = anna});
    EXPECT_THAT([&] { (void)reservations.change(id, {.external_port = port(51821)}, now); },
                ThrowsMessage<InvalidArgument>(HasSubstr("external-port")));
    EXPECT_TRUE(reservations.change(id, {.external_port = port(51820)}, now).empty());
}

TEST(PinholeRows, AreLoadedAsTheyWereStored) {
    Reservations reservations;
    add(reservations, {.internal = anna});
    add(reservations, {.internal = ben, .filtering = Filtering::endpoint_independent});
    add(reservations, {.internal = carl});
    std::vector<Reservation> rows;
    for (const auto& [id, row] : reservations.rows()) rows.push_back(row);
    EXPECT_EQ(Reservations(rows, reservations.next_id()), reservations);
    rows[0].external_port = port(7);  // while it was translated
    Reservations loaded(rows, reservations.next_id());
    loaded.apply(loaded.follow_perimeter());
    EXPECT_EQ(loaded, reservations);
}

TEST(PinholeRows, AreNoMappings) {
    Reservations reservations;
    add(reservations, {.internal = anna, .filtering = Filtering::endpoint_independent});
    add(reservations, {.internal = ben});
    add(reservations, {.internal = carl});
    const auto firewall = desired_firewall({}, reservations);
    EXPECT_THAT(firewall.mappings, SizeIs(1));
    EXPECT_THAT(firewall.pinholes,
                ElementsAre(pinhole(anna, Filtering::endpoint_independent), pinhole(ben)));
    EXPECT_EQ(judging_firewall({}, reservations).pinholes, firewall.pinholes);

    const auto change = reservations.change(
        reservations.find(ben)->id, {.filtering = Filtering::address_and_port_dependent}, now);
    const auto way = firewall_difference(change);
    EXPECT_THAT(way.mappings.added, IsEmpty());
    EXPECT_THAT(way.pinholes.removed, ElementsAre(pinhole(ben)));
    EXPECT_THAT(way.pinholes.added,
                ElementsAre(pinhole(ben, Filtering::address_and_port_dependent)));
    EXPECT_FALSE(way.empty());
    EXPECT_EQ(way, difference(firewall, desired_firewall({}, reservations, change)));
    EXPECT_EQ(way.inverse().pinholes.added, way.pinholes.removed);
}

TEST(PinholeRows, OfAConfigurationAreRefusedOneByOne) {
    const Reservations reservations;
    const std::array wanted{ReserveRequest{.internal = anna}, ReserveRequest{.internal = ben}};
    const auto configured = reservations.configure(wanted, now, [](const HostKey& host) {
        if (host == anna.host) throw InvalidArgument("host", to_text(host), "somebody else");
    });
    EXPECT_THAT(configured.refused,
                ElementsAre(AllOf(HasSubstr("reservation[0]: "), HasSubstr("2001:db8:2::2"))));
    ASSERT_THAT(configured.difference.after, SizeIs(1));
    EXPECT_EQ(configured.difference.after[0].internal, ben);
}

Perimeter perimeter() {
    InterfaceSnapshot snapshot;
    const auto add_link = [&](int index, std::string_view name,
                              std::initializer_list<std::string_view> addresses) {
        snapshot.links.push_back(
            {index, parse<InterfaceName>("", name), LinkLayer::ethernet, "", true});
        for (const auto address : addresses) {
            snapshot.addresses.push_back({index, parse<Address>("", address), 64});
        }
    };
    add_link(2, "wan", {"2001:db8:1::1", "fe80::1"});
    add_link(3, "lan", {"fd00:2::1", "2001:db8:2::1", "fe80::1"});
    add_link(4, "other", {"2001:db8:4::1"});
    snapshot.default_routes.push_back({2, Family::ipv6, 0});
    return choose_perimeter({}, snapshot);
}

TEST(PinholePerimeter, KnowsTheNetworksOfTheLans) {
    EXPECT_EQ(perimeter().scope.ipv6_networks, all<Network>({"2001:db8:2::/64", "fd00:2::/64"}));
    EXPECT_THAT(perimeter().scope.nat_sources, IsEmpty()) << "nothing of IPv6 is translated";
}

TEST(PinholePerimeter, TakesHostsOfTheLansOnly) {
    const auto require = [](std::string_view host) {
        return [host] { require_lan_host(perimeter(), parse<HostKey>("host", host)); };
    };
    EXPECT_NO_THROW(require("2001:db8:2::2")());
    EXPECT_NO_THROW(require("2001:db8:2:0:ffff:ffff:ffff:ffff")()) << "IPv6 has no broadcast";
    EXPECT_NO_THROW(require("fd00:2::99")());
    EXPECT_TRUE(is_lan_host(perimeter(), parse<Address>("", "2001:db8:2::2")));
    for (const auto* host : {"2001:db8:1::2", "2001:db8:4::2", "2001:db8:3::2", "fe80::2"}) {
        EXPECT_THAT(require(host), ThrowsMessage<InvalidArgument>(
                                       AllOf(HasSubstr(host), HasSubstr("fd00:2::/64"))));
    }
    EXPECT_THAT(require("2001:db8:2::1"), ThrowsMessage<InvalidArgument>(HasSubstr("gateway")));
    EXPECT_THAT(require("2001:db8:2::"), ThrowsMessage<InvalidArgument>(HasSubstr("network")));
    EXPECT_THAT([] { require_lan_host({}, parse<HostKey>("host", "2001:db8:2::2")); },
                ThrowsMessage<InvalidArgument>(HasSubstr("no LAN with an IPv6 network")));
}

}  // namespace
}  // namespace porthole
