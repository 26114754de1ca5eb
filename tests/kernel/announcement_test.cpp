// SPDX-License-Identifier: GPL-2.0-or-later
// Rows in signals are written field by field: on a bus, they read as those of List do.
#include <array>
#include <utility>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sdbus-c++/sdbus-c++.h>

#include "dbus/replies.hpp"
#include "lab/bus.hpp"
#include "lab/deadline.hpp"
#include "lab/namespace.hpp"

namespace porthole::dbus {
namespace {

constexpr auto interface = "org.porthole.Test";
constexpr auto path = "/org/porthole/Test";

Reservation reservation_of(const std::string& host) {
    return {.id = ReservationId{7},
            .internal = {parse<HostKey>("host", host), Protocol::udp, Port::constant<51820>()},
            .external_port = Port::constant<51821>(),
            .filtering = Filtering::address_and_port_dependent,
            .origin = Origin::api,
            .state = ReservationState::active,
            .comment = parse<Comment>("comment", "laptop"),
            .expires = Time(std::chrono::seconds(1000))};
}

std::string described(const Row& row) {
    const auto& [id, host, protocol, internal, external, filtering, origin, state, comment, expires,
                 last_seen, extras] = fields(row);
    auto text = fmt::format("{} {} {} {} {} {} {} {} {} {} {}", id, host, protocol, internal,
                            external, filtering, origin, state, comment, expires, last_seen);
    for (const auto& [name, value] : extras) {
        text += fmt::format("\n{}:", name);
        if (value.containsValueOfType<std::string>()) {
            text += " " + value.get<std::string>();
        } else {
            for (const auto& each : value.get<std::vector<std::string>>()) text += " " + each;
        }
    }
    return text;
}

TEST(Announcement, HasRowsAsListHasThem) {
    const auto address = parse<Address>("address", "192.168.2.2");
    const auto mac = parse<MacAddress>("mac", "02:00:5e:10:00:01");
    Hosts hosts;
    hosts.update({}, std::array{Lease{address, mac, "laptop"}}, Time(std::chrono::seconds(1)));
    auto fixed = reservation_of("192.168.2.2");
    fixed.external_address = parse<ExternalAddress>("external-address", "203.0.113.81");
    auto claimed = reservation_of("192.168.2.3");
    claimed.mac = mac;
    auto followed = reservation_of("02:00:5e:10:00:01");
    followed.address = address;
    followed.ipv6_addresses = {parse<Address>("address", "fd00::2"),
                               parse<Address>("address", "fd00::3")};
    followed.nat66 = true;
    const auto ipv6 = reservation_of("2001:db8::2");
    const std::array<const Reservation*, 4> all{&fixed, &claimed, &followed, &ipv6};

    const lab::Namespace where("bus");
    const lab::Bus bus(where, lab::BusPolicy::everything);
    const auto server = sdbus::createSessionBusConnectionWithAddress(bus.address());
    const auto object = sdbus::createObject(*server, path);
    const auto client = sdbus::createSessionBusConnectionWithAddress(bus.address());
    const auto proxy = sdbus::createProxy(*client, server->getUniqueName(), path);
    std::vector<Row> rows;
    std::uint64_t behind = 0;
    proxy->uponSignal("Changed").onInterface(interface).call(
        [&](const std::vector<Row>& heard, std::uint64_t number) {
            rows = heard;
            behind = number;
        });
    proxy->finishRegistration();
    auto signal = object->createSignal(interface, "Changed");
    append(signal, all, {hosts});
    signal << std::uint64_t{42};
    object->emitSignal(signal);

    const lab::Deadline deadline(lab::Duration(5000));
    while (behind == 0 && !deadline.passed()) {
        while (server->processPendingRequest()) {
        }
        if (client->processPendingRequest()) continue;
        const auto wanted = client->getEventLoopPollData();
        std::array<pollfd, 1> events{{{wanted.fd, wanted.events, 0}}};
        if (!deadline.poll(events)) break;
    }
    ASSERT_EQ(behind, 42U);
    ASSERT_EQ(rows.size(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        EXPECT_EQ(described(rows[i]), described(to_row(*all[i], {hosts})));
    }
    EXPECT_THAT(described(rows[2]), testing::HasSubstr("ipv6-addresses: fd00::2 fd00::3"));
}

}  // namespace
}  // namespace porthole::dbus
