// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dbus/replies.hpp"
#include "gateway_fixture.hpp"

namespace porthole::dbus {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Key;
using testing::SizeIs;

Reservation reservation_of(const std::string& host) {
    return {.id = ReservationId{7},
            .internal = {parse<HostKey>("host", host), Protocol::udp, Port::constant<51820>()},
            .external_port = Port::constant<51821>(),
            .filtering = Filtering::address_and_port_dependent,
            .origin = Origin::configured,
            .state = ReservationState::active,
            .comment = parse<Comment>("comment", "laptop"),
            .expires = Time(seconds(1000)),
            .last_seen = never};
}

TEST(DBusRow, HasTheFieldsOfTheContract) {
    EXPECT_EQ(sdbus::signature_of<Row>::str(), "(tssqqssssxxa{sv})");
    const auto row = to_row(reservation_of("192.168.2.2"), {Hosts()});
    const auto& [id, host, protocol, internal, external, filtering, origin, state, comment, expires,
                 last_seen, extras] = fields(row);
    EXPECT_EQ(id, 7U);
    EXPECT_EQ(host, "192.168.2.2");
    EXPECT_EQ(protocol, "udp");
    EXPECT_EQ(internal, 51820);
    EXPECT_EQ(external, 51821);
    EXPECT_EQ(filtering, "address-and-port-dependent");
    EXPECT_EQ(origin, "static");
    EXPECT_EQ(state, "active");
    EXPECT_EQ(comment, "laptop");
    EXPECT_EQ(expires, 1000);
    EXPECT_EQ(last_seen, 0);
    ASSERT_THAT(extras, ElementsAre(Key("family")));
    EXPECT_EQ(extras.at("family").get<std::string>(), "ipv4");
}

TEST(DBusRow, WaitsWhereTheServiceIsSwitchedOff) {
    const auto row = to_row(reservation_of("192.168.2.2"), {.hosts = Hosts(), .enabled = false});
    EXPECT_EQ(std::get<7>(row), "waiting");
}

TEST(DBusRow, SaysWhatKindOfHostItIs) {
    const auto extras_of = [](const std::string& host) {
        return std::get<11>(to_row(reservation_of(host), {Hosts()}));
    };
    EXPECT_EQ(extras_of("2001:db8::2").at("family").get<std::string>(), "ipv6");
    const auto mac = extras_of("02:00:5e:10:00:01");
    ASSERT_THAT(mac, ElementsAre(Key("mac")));
    EXPECT_EQ(mac.at("mac").get<std::string>(), "02:00:5e:10:00:01");
}

TEST(DBusRow, SaysWhereItsHostIsAndWhatItIsCalled) {
    const auto address = parse<Address>("address", "192.168.2.2");
    const auto mac = parse<MacAddress>("mac", "02:00:5e:10:00:01");
    Hosts hosts;
    hosts.update({}, std::array{Lease{address, mac, "laptop"}}, Time(seconds(1)));
    auto reservation = reservation_of("02:00:5e:10:00:01");
    const auto extras_of = [&] { return std::get<11>(to_row(reservation, {hosts})); };
    EXPECT_THAT(extras_of(), ElementsAre(Key("host-name"), Key("mac")));
    EXPECT_EQ(extras_of().at("host-name").get<std::string>(), "laptop");
    reservation.address = address;
    EXPECT_EQ(extras_of().at("address").get<std::string>(), "192.168.2.2");
    EXPECT_EQ(std::get<1>(to_row(reservation, {hosts})), "02:00:5e:10:00:01");
    reservation = reservation_of("192.168.2.2");
    EXPECT_THAT(extras_of(), ElementsAre(Key("family"), Key("host-name")));
}

using DBusHosts = support::GatewayFixture;

TEST_F(DBusHosts, HaveTheFieldsOfTheContract) {
    const auto mac = parse<MacAddress>("mac", "02:00:5e:10:00:01");
    const auto other = parse<MacAddress>("mac", "02:00:5e:10:00:02");
    EXPECT_THAT(hosts_of(*gateway_), IsEmpty());
    const auto neighbour = [&](const char* address) {
        return Neighbour{3, parse<Address>("address", address), mac, true, seconds(7)};
    };
    gateway_->hosts_changed(
        std::array{neighbour("2001:db8::2"), neighbour("192.168.2.2")},
        std::array{Lease{parse<Address>("address", "192.168.2.2"), mac, "laptop"},
                   Lease{parse<Address>("address", "192.168.2.3"), other, ""}});
    const auto rows = hosts_of(*gateway_);
    ASSERT_THAT(rows, SizeIs(2));
    const auto& [key, name, mac_text, addresses, last_seen, extras] = fields(rows[0]);
    EXPECT_EQ(key, "02:00:5e:10:00:01");
    EXPECT_EQ(name, "laptop");
    EXPECT_EQ(mac_text, "02:00:5e:10:00:01");
    EXPECT_THAT(addresses, ElementsAre("192.168.2.2", "2001:db8::2"));
    EXPECT_EQ(last_seen, (now_ - seconds(7)).time_since_epoch().count());
    ASSERT_THAT(extras, ElementsAre(Key("interface")));
    EXPECT_EQ(extras.at("interface").get<std::string>(), "br-lan");
    EXPECT_EQ(std::get<1>(rows[1]), "");
    EXPECT_EQ(std::get<4>(rows[1]), 0);
    EXPECT_THAT(std::get<5>(rows[1]), IsEmpty());
}

TEST(DBusStatus, TellsEverySideAndEveryNumber) {
    const auto interface = [](const char* name, Side side, std::vector<Address> addresses) {
        return PerimeterInterface{parse<InterfaceName>("name", name), side, "because",
                                  std::move(addresses)};
    };
    GatewayStatus status;
    status.perimeter.interfaces = {
        interface("eth0", Side::wan, {parse<Address>("address", "203.0.113.2")}),
        interface("lan0", Side::lan, {}), interface("lo", Side::neither, {})};
    status.masquerade = true;
    status.own_ports = {{Protocol::udp, Port::constant<53>()}};
    status.reservations = 3;
    status.generation = 9;
    status.counters = {.unsolicited = 1, .displaced = 2, .guarded = 3, .contacts_refused = 8};
    status.rebuilds = 4;
    status.settled_flows = 5;
    status.watched = PortRange::from(Port::constant<51820>(), Port::constant<51899>());
    status.claims = 2;
    status.claims_refused = 6;
    status.conflicts = 7;
    status.warnings = {"forwarding is off"};

    const auto answer = to_dictionary(status);
    EXPECT_THAT(answer,
                ElementsAre(Key("claims"), Key("conflicts"), Key("counters"), Key("enabled"),
                            Key("generation"), Key("lans"), Key("masquerade"), Key("others"),
                            Key("own-ports"), Key("reservations"), Key("wans"), Key("warnings"),
                            Key("watched")));
    EXPECT_EQ(answer.at("watched").get<std::string>(), "51820-51899");
    EXPECT_EQ(answer.at("claims").get<std::uint32_t>(), 2U);
    EXPECT_EQ(answer.at("conflicts").get<std::uint32_t>(), 7U);
    EXPECT_TRUE(answer.at("masquerade").get<bool>());
    EXPECT_THAT(answer.at("own-ports").get<std::vector<std::string>>(), ElementsAre("53/udp"));
    EXPECT_EQ(answer.at("reservations").get<std::uint32_t>(), 3U);
    EXPECT_EQ(answer.at("generation").get<std::uint64_t>(), 9U);
    EXPECT_THAT(answer.at("warnings").get<std::vector<std::string>>(),
                ElementsAre("forwarding is off"));
    const auto counters = answer.at("counters").get<Dictionary>();
    const auto counter = [&](const char* name) { return counters.at(name).get<std::uint64_t>(); };
    EXPECT_EQ(counters.size(), 7U);
    EXPECT_EQ(counter("claims-refused"), 6U);
    EXPECT_EQ(counter("unsolicited"), 1U);
    EXPECT_EQ(counter("displaced"), 2U);
    EXPECT_EQ(counter("guarded"), 3U);
    EXPECT_EQ(counter("contacts-refused"), 8U);
    EXPECT_EQ(counter("rebuilds"), 4U);
    EXPECT_EQ(counter("settled-flows"), 5U);

    const auto only = [&](const char* key) {
        const auto interfaces = answer.at(key).get<std::vector<Dictionary>>();
        EXPECT_EQ(interfaces.size(), 1U) << key;
        return interfaces.at(0);
    };
    const auto wan = only("wans");
    EXPECT_EQ(wan.at("interface").get<std::string>(), "eth0");
    EXPECT_EQ(wan.at("side").get<std::string>(), "wan");
    EXPECT_EQ(wan.at("reason").get<std::string>(), "because");
    EXPECT_THAT(wan.at("addresses").get<std::vector<std::string>>(), ElementsAre("203.0.113.2"));
    EXPECT_EQ(only("lans").at("interface").get<std::string>(), "lan0");
    EXPECT_EQ(only("others").at("side").get<std::string>(), "neither");
}

}  // namespace
}  // namespace porthole::dbus
