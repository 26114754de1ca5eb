// SPDX-License-Identifier: GPL-2.0-or-later
// How the gateway follows hosts: what it sends to the packet filter and the settler, and what
// fails.
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/gateway.hpp"
#include "gateway_fixture.hpp"

namespace porthole {
namespace {

using namespace support;
using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr int wan = 2;
constexpr int lan = 3;

Address address(std::string_view text) { return parse<Address>("address", text); }

MacAddress mac(unsigned last) {
    return MacAddress::from({2, 0, 0x5E, 0x10, 0, static_cast<std::uint8_t>(last)}).value();
}

const auto dora = mac(2);
const auto emil = mac(3);
const auto first = address("192.168.2.12");
const auto second = address("192.168.2.13");

Endpoint at(const HostKey& host, std::uint64_t internal_port = 51820) {
    return {host, Protocol::udp, port(internal_port)};
}

Neighbour confirmed(const MacAddress& host, const Address& address, int link_index = lan) {
    return {link_index, address, host, true, 0s};
}

Neighbour silent(const MacAddress& host, const Address& address) {
    return {lan, address, host, false, 60s};
}

Mapping mapped(std::optional<Address> host, std::uint64_t external_port) {
    return {Protocol::udp, host, port(51820), port(external_port)};
}

class GatewayHostsTest : public LivelyGatewayFixture {
  protected:
    std::vector<LinkNeighbour> hosts(const std::vector<Neighbour>& neighbours,
                                     const std::vector<Lease>& leases = {}) {
        return gateway_->hosts_changed(neighbours, leases);
    }
    const Reservation& reserve_for(const HostKey& host, std::uint64_t external_port = 51820) {
        reserve({.internal = at(host), .external_port = port(external_port)});
        return row_of(host);
    }
    [[nodiscard]] const Reservation& row_of(const HostKey& host) const {
        return *gateway_->reservations().find(at(host));
    }
    // What follows until the next forget().
    void forget() {
        gateway_->journal().drain();
        firewall_.forget_calls();
        settler_.orders.clear();
    }
};

TEST_F(GatewayHostsTest, KeepsThePortOfAHostThatIsAway) {
    EXPECT_EQ(reserve_for(dora).state, ReservationState::waiting);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(std::nullopt, 51820)));
    report();
    EXPECT_EQ(row_of(dora).state, ReservationState::waiting);
}

TEST_F(GatewayHostsTest, FollowsAHostWithOneDifference) {
    reserve_for(dora);
    reserve_for(emil, 7);
    const auto id = row_of(dora).id;
    forget();
    const auto generation = gateway_->generation();
    EXPECT_THAT(hosts({confirmed(dora, first)}), IsEmpty());
    FirewallDifference expected;
    expected.mappings = {{mapped(std::nullopt, 51820)}, {mapped(first, 51820)}};
    EXPECT_THAT(firewall_.applied, ElementsAre(expected));
    EXPECT_EQ(firewall_.replaced, 0);
    EXPECT_EQ(gateway_->generation(), generation + 1);
    ASSERT_THAT(settler_.orders, SizeIs(1));
    EXPECT_EQ(settler_.orders[0].mappings, expected.mappings);
    EXPECT_THAT(gateway_->journal().drain().changed, ElementsAre(id));
    EXPECT_EQ(row_of(dora).address, first);
    EXPECT_EQ(row_of(dora).state, ReservationState::settling);
    report();
    EXPECT_EQ(row_of(dora).state, ReservationState::active);

    forget();
    hosts({confirmed(dora, second)});
    expected.mappings = {{mapped(first, 51820)}, {mapped(second, 51820)}};
    EXPECT_THAT(firewall_.applied, ElementsAre(expected));
    ASSERT_THAT(settler_.orders, SizeIs(1));
    EXPECT_EQ(settler_.orders[0].mappings, expected.mappings);
    EXPECT_EQ(row_of(dora).state, ReservationState::settling);
    EXPECT_EQ(gateway_->generation(), generation + 2);
    report();
    EXPECT_EQ(row_of(dora).state, ReservationState::active);
}

TEST_F(GatewayHostsTest, DoesNothingWhereNobodyHasMoved) {
    reserve_for(dora);
    hosts({confirmed(dora, first)});
    report();
    forget();
    const auto generation = gateway_->generation();
    hosts({confirmed(dora, first)});
    hosts({confirmed(dora, first), confirmed(emil, second)});
    hosts({silent(dora, first)});
    hosts({});
    EXPECT_EQ(gateway_->generation(), generation);
    EXPECT_THAT(firewall_.applied, IsEmpty());
    EXPECT_THAT(settler_.orders, IsEmpty());
    EXPECT_TRUE(gateway_->journal().empty());
    EXPECT_EQ(row_of(dora).state, ReservationState::active);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 51820)));
}

TEST_F(GatewayHostsTest, HasHostsExchangeTheirAddressesAtOnce) {
    hosts({confirmed(dora, first), confirmed(emil, second)});
    reserve_for(dora);
    reserve_for(emil, 7);
    forget();
    hosts({confirmed(emil, first), confirmed(dora, second)});
    ASSERT_THAT(firewall_.applied, SizeIs(1));
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 7), mapped(second, 51820)));
    ASSERT_THAT(settler_.orders, SizeIs(1));
    EXPECT_THAT(settler_.orders[0].mappings.removed,
                ElementsAre(mapped(second, 7), mapped(first, 51820)));
    EXPECT_THAT(settler_.orders[0].mappings.added,
                ElementsAre(mapped(first, 7), mapped(second, 51820)));
}

TEST_F(GatewayHostsTest, TakesAnAddressAwayThatAnotherHostHas) {
    hosts({confirmed(dora, first)});
    reserve_for(dora);
    hosts({confirmed(emil, first)});
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(std::nullopt, 51820)));
    EXPECT_EQ(row_of(dora).state, ReservationState::waiting);
    EXPECT_EQ(row_of(dora).address, std::nullopt);
}

TEST_F(GatewayHostsTest, PutsTheAddressBeforeTheHostThatIsThere) {
    hosts({confirmed(dora, first)});
    reserve_for(dora);
    forget();
    const auto of_address = reserve_for(first, 7).id;
    ASSERT_THAT(firewall_.applied, SizeIs(1));
    EXPECT_THAT(firewall_.held.mappings,
                ElementsAre(mapped(first, 7), mapped(std::nullopt, 51820)));
    EXPECT_EQ(row_of(dora).state, ReservationState::waiting);
    report();
    EXPECT_EQ(row_of(dora).state, ReservationState::waiting);

    forget();
    release(of_address);
    ASSERT_THAT(firewall_.applied, SizeIs(1));
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 51820)));
    EXPECT_THAT(gateway_->journal().drain().changed, ElementsAre(row_of(dora).id));
    EXPECT_EQ(row_of(dora).state, ReservationState::settling);
    report();
    EXPECT_EQ(row_of(dora).state, ReservationState::active);
}

TEST_F(GatewayHostsTest, PutsTheHostInForceWhenTheAddressRunsOut) {
    hosts({confirmed(dora, first)});
    reserve({.internal = at(first), .external_port = port(7), .lifetime = 10s});
    reserve_for(dora);
    now_ += 10s;
    forget();
    gateway_->expire();
    ASSERT_THAT(firewall_.applied, SizeIs(1));
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 51820)));
}

TEST_F(GatewayHostsTest, FollowsHostsOfTheConfiguration) {
    start(configured({{at(dora), 7}}));
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(std::nullopt, 7)));
    hosts({confirmed(dora, first)});
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 7)));
    gateway_->reload(configured({{at(dora), 8}}));
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 8)));
    gateway_->reload(configured({{at(first), 9}, {at(dora), 8}}));
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(std::nullopt, 8), mapped(first, 9)));
    gateway_->reload(configured({{at(dora), 8}}));
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 8)));
}

// The packet filter sees no difference.
TEST_F(GatewayHostsTest, SettlesWhereTheConfigurationNamesTheSameHostInAnotherWay) {
    start(configured({{at(first), 7}}));
    hosts({confirmed(dora, first)});
    report();
    for (const HostKey& host : {HostKey(dora), HostKey(first)}) {
        SCOPED_TRACE(to_text(host));
        gateway_->reload(configured({{at(host), 7}}));
        EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 7)));
        report();
        EXPECT_EQ(row_of(host).state, ReservationState::active);
    }
}

TEST_F(GatewayHostsTest, IsToldByLeasesToo) {
    reserve_for(dora);
    hosts({}, {{first, dora, "laptop"}});
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 51820)));
    EXPECT_EQ(gateway_->hosts().name_of(dora), "laptop");
    hosts({silent(dora, first), silent(dora, second)}, {{second, dora, "laptop"}});
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(second, 51820)));
}

TEST_F(GatewayHostsTest, HearsNeighboursOnLansOnly) {
    reserve_for(dora);
    forget();
    hosts({confirmed(dora, first, wan), confirmed(emil, second, 9)});
    EXPECT_THAT(gateway_->hosts().all(), IsEmpty());
    EXPECT_THAT(firewall_.applied, IsEmpty());
    EXPECT_EQ(row_of(dora).state, ReservationState::waiting);
}

TEST_F(GatewayHostsTest, FollowsToAddressesThatAreTranslatedOnly) {
    reserve_for(dora);
    forget();
    hosts({confirmed(dora, address("10.9.9.9")), confirmed(dora, address("2001:db8::2")),
           confirmed(dora, address("169.254.7.7"))});
    EXPECT_THAT(firewall_.applied, IsEmpty());
    EXPECT_EQ(row_of(dora).address, std::nullopt);
    EXPECT_THAT(gateway_->hosts().all().at(dora).addresses, SizeIs(2));
    hosts({confirmed(dora, address("10.9.9.9")), silent(dora, first)});
    EXPECT_EQ(row_of(dora).address, first);
}

// As for reservations of addresses.
TEST_F(GatewayHostsTest, FollowsToAddressesThatAHostCanHaveOnly) {
    reserve_for(dora);
    for (const auto* text : {"192.168.2.1", "192.168.2.0", "192.168.2.255"}) {
        EXPECT_THROW(reserve_for(address(text), 7), InvalidArgument) << text;
        hosts({}, {{address(text), dora, ""}});
        EXPECT_EQ(row_of(dora).address, std::nullopt) << text;
    }
}

TEST_F(GatewayHostsTest, HasAHostAskedThatShowsUpElsewhere) {
    hosts({confirmed(dora, first)});
    reserve_for(dora);
    const std::vector at_two{silent(dora, first), confirmed(dora, second)};
    EXPECT_THAT(hosts(at_two), ElementsAre(LinkNeighbour{lan, first}));
    EXPECT_EQ(row_of(dora).address, first);
    EXPECT_THAT(hosts(at_two), IsEmpty());
    EXPECT_THAT(hosts({silent(emil, first), confirmed(emil, second)}), IsEmpty());
    hosts({confirmed(dora, second)});
    EXPECT_EQ(row_of(dora).address, second);
}

TEST_F(GatewayHostsTest, HasAHostStayWhoseReservationWaits) {
    hosts({confirmed(dora, first)});
    const auto of_address = reserve_for(first, 7).id;
    reserve_for(dora);
    const std::vector at_two{silent(dora, first), confirmed(dora, second)};
    hosts(at_two);
    EXPECT_EQ(row_of(dora).state, ReservationState::waiting);
    release(of_address);
    EXPECT_EQ(row_of(dora).address, first);
}

TEST_F(GatewayHostsTest, IsNotSettledByWhatWasOrderedBefore) {
    reserve_for(dora);
    gateway_->settle_everything();
    const auto away = gateway_->settling().ordered();
    hosts({confirmed(dora, first)});
    const auto at_first = gateway_->settling().ordered();
    hosts({confirmed(dora, second)});
    for (const auto ticket : {away, at_first}) {
        settler_.report = SettleReport{ticket, 0, {}};
        gateway_->settled();
        EXPECT_EQ(row_of(dora).state, ReservationState::settling);
    }
    report();
    EXPECT_EQ(row_of(dora).state, ReservationState::active);
}

TEST_F(GatewayHostsTest, CountsWhenHostsChange) {
    const auto version = gateway_->hosts_version();
    hosts({confirmed(dora, first)});
    const auto after = gateway_->hosts_version();
    EXPECT_GT(after, version);
    now_ += 5s;
    hosts({silent(dora, first)});
    EXPECT_EQ(gateway_->hosts_version(), after);
    EXPECT_EQ(gateway_->generation(), 0U);
    hosts({});
    EXPECT_GT(gateway_->hosts_version(), after);
    EXPECT_TRUE(gateway_->hosts().all().contains(dora));
}

TEST_F(GatewayHostsTest, KnowsInterfacesByTheirIndex) {
    EXPECT_EQ(gateway_->interface_name(lan), "br-lan");
    EXPECT_EQ(gateway_->interface_name(wan), "wan");
    EXPECT_EQ(gateway_->interface_name(9), "");
    EXPECT_EQ(gateway_->interface_name(0), "");
}

TEST_F(GatewayHostsTest, TakesClaimsOverForWhoAsks) {
    hosts({confirmed(dora, first)});
    gateway_->saw({{{first, Protocol::udp, port(51820)}}});
    gateway_->claim(std::array{confirmed(dora, first)});
    const auto* claim = gateway_->reservations().find(at(first));
    ASSERT_NE(claim, nullptr);
    const auto id = claim->id;
    forget();
    EXPECT_EQ(reserve({.internal = at(dora)}).id, id);
    EXPECT_EQ(gateway_->reservations().size(), 1U);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 51820)));
    EXPECT_THAT(gateway_->journal().drain().removed, IsEmpty());

    gateway_->saw({{{first, Protocol::udp, port(51820)}}});
    EXPECT_FALSE(gateway_->has_candidates()) << "the host owns it";
    EXPECT_EQ(row_of(dora).last_seen, now_);
}

TEST_F(GatewayHostsTest, HasClaimsGiveWayToTheHostThatComes) {
    reserve_for(dora, 7);
    gateway_->saw({{{first, Protocol::udp, port(51820)}}});
    gateway_->claim(std::array{confirmed(emil, first)});
    ASSERT_NE(gateway_->reservations().find(at(first)), nullptr);
    const auto claimed = gateway_->reservations().find(at(first))->id;
    forget();
    hosts({confirmed(dora, first)});
    EXPECT_EQ(gateway_->reservations().find(at(first)), nullptr);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 7)));
    EXPECT_THAT(gateway_->journal().drain().removed, ElementsAre(claimed));
}

TEST_F(GatewayHostsTest, ChangesNothingWhereTheKernelFails) {
    hosts({confirmed(dora, first), confirmed(emil, second)});
    reserve_for(dora);
    reserve_for(emil, 7);
    report();
    forget();
    const std::vector swapped{confirmed(emil, first), confirmed(dora, second)};
    const std::vector<std::vector<Neighbour>> changes{
        swapped, {confirmed(dora, second)}, {confirmed(emil, first)}};
    for (const auto& change : changes) {
        firewall_.outcomes = {Outcome::failure};
        expect_unchanged<KernelFailure>([&] { hosts(change); }, "Cannot allocate memory");
        firewall_.outcomes = {Outcome::drift, Outcome::failure};
        expect_unchanged<KernelFailure>([&] { hosts(change); }, "Cannot allocate memory");
        EXPECT_THAT(settler_.orders, IsEmpty());
    }
    hosts(swapped);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 7), mapped(second, 51820)));
}

TEST_F(GatewayHostsTest, TakesTheKernelBackWhereTheDiskIsFull) {
    hosts({confirmed(dora, first), confirmed(emil, second)});
    reserve_for(dora);
    reserve_for(emil, 7);
    report();
    forget();
    const std::vector swapped{confirmed(emil, first), confirmed(dora, second)};
    expect_unchanged<StorageFailure>(
        [&] {
            const FullDisk full_disk;
            hosts(swapped);
        },
        "SQLite");
    ASSERT_THAT(firewall_.applied, SizeIs(2));
    EXPECT_EQ(firewall_.applied[1], firewall_.applied[0].inverse());
    EXPECT_THAT(settler_.orders, IsEmpty());
    hosts(swapped);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 7), mapped(second, 51820)));
}

TEST_F(GatewayHostsTest, AsksAndFollowsLaterWhatItCouldNotBefore) {
    hosts({confirmed(dora, first), confirmed(emil, second)});
    reserve_for(dora);
    reserve_for(emil, 7);
    forget();
    const std::vector moved{silent(dora, first), confirmed(dora, address("192.168.2.14")),
                            confirmed(emil, address("192.168.2.15"))};
    firewall_.outcomes = {Outcome::failure};
    expect_unchanged<KernelFailure>([&] { hosts(moved); }, "Cannot allocate memory");
    EXPECT_THAT(hosts(moved), ElementsAre(LinkNeighbour{lan, first}));
    EXPECT_EQ(row_of(emil).address, address("192.168.2.15"));
}

// The failed call must not have half of its effect later.
TEST_F(GatewayHostsTest, HasOneOwnerOfEachEndpointAfterAFailure) {
    hosts({confirmed(dora, first), confirmed(emil, second)});
    reserve_for(dora);
    forget();
    firewall_.outcomes = {Outcome::failure};
    const std::vector swapped{confirmed(emil, first), confirmed(dora, second)};
    expect_unchanged<KernelFailure>([&] { hosts(swapped); }, "Cannot allocate memory");
    reserve_for(emil, 7);
    std::map<Address, int> owners;
    for (const auto& mapping : firewall_.held.mappings) {
        if (mapping.host) ++owners[*mapping.host];
    }
    for (const auto& [host, count] : owners) EXPECT_EQ(count, 1) << to_text(host);
    expect_the_kernel_has_what_it_should();
    hosts(swapped);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 7), mapped(second, 51820)));
}

TEST_F(GatewayHostsTest, RebuildsTheTableWhereSomebodyChangedIt) {
    reserve_for(dora);
    forget();
    firewall_.held = {};
    firewall_.outcomes = {Outcome::drift};
    hosts({confirmed(dora, first)});
    EXPECT_EQ(firewall_.replaced, 1);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 51820)));
}

TEST_F(GatewayHostsTest, KnowsWhereHostsWereAfterARestart) {
    hosts({confirmed(dora, first)});
    reserve_for(dora);
    reserve_for(emil, 7);
    const auto generation = gateway_->generation();
    start({});
    EXPECT_EQ(gateway_->generation(), generation);
    EXPECT_THAT(gateway_->hosts().all(), IsEmpty());
    EXPECT_EQ(row_of(dora).address, first);
    EXPECT_EQ(row_of(dora).state, ReservationState::settling);
    EXPECT_EQ(row_of(emil).address, std::nullopt);
    EXPECT_EQ(row_of(emil).state, ReservationState::waiting);
    EXPECT_THAT(firewall_.held.mappings,
                ElementsAre(mapped(std::nullopt, 7), mapped(first, 51820)));
    hosts({});
    EXPECT_THAT(firewall_.applied, IsEmpty());
    hosts({confirmed(dora, second), confirmed(emil, first)});
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 7), mapped(second, 51820)));
}

TEST_F(GatewayHostsTest, OfTheConfigurationAreWhereTheyWereAfterARestart) {
    start(configured({{at(dora), 7}}));
    hosts({confirmed(dora, first)});
    const auto generation = gateway_->generation();
    const auto id = row_of(dora).id;
    start(configured({{at(dora), 7}}));
    EXPECT_EQ(gateway_->generation(), generation);
    EXPECT_EQ(row_of(dora).id, id);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 7)));
}

TEST_F(GatewayHostsTest, PutsANewAddressOfTheConfigurationBeforeTheHostAfterARestart) {
    hosts({confirmed(dora, first)});
    reserve_for(dora);
    start(configured({{at(first), 7}}));
    EXPECT_THAT(firewall_.held.mappings,
                ElementsAre(mapped(first, 7), mapped(std::nullopt, 51820)));
    start(configured({{at(first), 7}}));
    EXPECT_EQ(row_of(dora).state, ReservationState::waiting);
    hosts({confirmed(dora, first)});
    EXPECT_EQ(row_of(dora).state, ReservationState::waiting);
    start({});
    hosts({confirmed(dora, first)});
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapped(first, 51820)));
}

}  // namespace
}  // namespace porthole
