// SPDX-License-Identifier: GPL-2.0-or-later
// Claims and conflicts as the gateway has them: what is seen, what is looked for, and what fails.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/gateway.hpp"
#include "core/resolution.hpp"
#include "gateway_fixture.hpp"

namespace porthole {
namespace {

using namespace support;
using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr int lan = 3;

Address address(std::string_view text) { return parse<Address>("address", text); }

Sighting sighting(std::string_view host, std::uint64_t from = 51820,
                  Protocol protocol = Protocol::udp) {
    return {address(host), protocol, port(from)};
}

Sighting sighting(const Endpoint& internal) {
    return {std::get<Address>(internal.host), internal.protocol, internal.port};
}

Neighbour neighbour(const Endpoint& internal, unsigned last_of_mac, bool confirmed = true,
                    int link_index = lan) {
    return {link_index, std::get<Address>(internal.host),
            MacAddress::from({2, 0, 0x5E, 0x10, 0, static_cast<std::uint8_t>(last_of_mac)}).value(),
            confirmed};
}

const std::vector<Neighbour> all_there{neighbour(anna, 2), neighbour(ben, 3), neighbour(carl, 4)};

Mapping claimed_mapping(const Endpoint& internal, Port external_port) {
    auto result = mapping(internal, external_port.value());
    result.claimed = true;
    return result;
}

bool is_alternate(Port port) { return ClaimPolicy().alternates.contains(port); }

Configuration without_claims() {
    Configuration configuration;
    configuration.claims.enabled = false;
    return configuration;
}

Configuration with_idle(std::chrono::seconds idle) {
    Configuration configuration;
    configuration.claims.idle = idle;
    return configuration;
}

class GatewayClaimsTest : public GatewayFixture {
  protected:
    void TearDown() override {
        expect_no_port_twice();
        GatewayFixture::TearDown();
    }
    // States are not stored, and when somebody was seen is not stored at once.
    [[nodiscard]] std::vector<Reservation> as_compared(
        const Reservations& reservations) const override {
        auto rows = GatewayFixture::as_compared(reservations);
        for (auto& row : rows) {
            row.state = ReservationState::settling;
            row.last_seen = never;
        }
        return rows;
    }

    void expect_no_port_twice() const {
        std::set<ProtocolPort> ports;
        for (const auto& mapping : firewall_.held.mappings) {
            EXPECT_TRUE(ports.insert({mapping.protocol, mapping.external_port}).second)
                << to_text(mapping.external_port);
        }
    }
    bool is_candidate(const Sighting& seen) {
        gateway_->saw({{seen}});
        return gateway_->has_candidates();
    }
    const Reservation& claim(const Endpoint& internal) {
        gateway_->saw({{sighting(internal)}});
        gateway_->claim(all_there);
        EXPECT_NE(gateway_->reservations().find(internal), nullptr);
        return *gateway_->reservations().find(internal);
    }
    [[nodiscard]] ReservationState state_of(const Endpoint& internal) const {
        return gateway_->reservations().find(internal)->state;
    }
    [[nodiscard]] Time last_seen(const Endpoint& internal) const {
        return gateway_->reservations().find(internal)->last_seen;
    }
    [[nodiscard]] bool has_claim(const Endpoint& internal) const {
        const auto* row = gateway_->reservations().find(internal);
        return row != nullptr && row->origin == Origin::automatic;
    }
    // Looks, and finds this.
    void look(std::vector<Sighting> seen = {}, std::vector<SparedFlow> spared = {}) {
        gateway_->look();
        std::ranges::sort(seen);
        std::ranges::sort(spared);
        SettleReport report{};
        report.ticket = gateway_->settling().ordered();
        report.seen = std::move(seen);
        report.spared = std::move(spared);
        settler_.report = std::move(report);
        gateway_->settled();
    }
    // Looks as often as a gateway does, and finds nobody.
    void look_for(std::chrono::seconds time) {
        constexpr auto interval = 10min;
        for (const auto end = now_ + time; now_ < end;) {
            now_ += std::min<std::chrono::seconds>(interval, end - now_);
            look();
        }
    }
    static SparedFlow spared(SparedFlow::Why why, const Endpoint& from, Port external_port) {
        return {why, sighting(from), address("198.51.100.7"), port(443), external_port};
    }
    static SparedFlow overload(const Endpoint& from, std::uint64_t external_port) {
        return spared(SparedFlow::Why::overload, from, port(external_port));
    }
    [[nodiscard]] std::vector<Finding> findings() const {
        std::vector<Finding> result;
        for (const auto& each : gateway_->conflicts().open()) result.push_back(each.finding);
        return result;
    }
    static ProtocolPort udp(std::uint64_t value) { return {Protocol::udp, port(value)}; }
    static ProtocolPort udp(Port port) { return {Protocol::udp, port}; }
};

TEST_F(GatewayClaimsTest, WatchWhatTheConfigurationSays) {
    EXPECT_EQ(firewall_.held.scope.watched, ClaimPolicy().ports);
    EXPECT_EQ(gateway_->status().watched, ClaimPolicy().ports);
    EXPECT_FALSE(gateway_->has_candidates());
    EXPECT_THAT(gateway_->claim(all_there), IsEmpty());
    EXPECT_EQ(gateway_->status().claims, 0U);
}

TEST_F(GatewayClaimsTest, AreNotMadeForOthersThanHostsOfTheLans) {
    for (const auto* host : {"192.168.3.2", "198.51.100.1", "203.0.113.3", "10.0.0.2",
                             "192.168.2.1", "203.0.113.2", "192.168.2.0", "192.168.2.255",
                             "127.0.0.1", "224.0.0.1", "255.255.255.255", "2001:db8::2"}) {
        EXPECT_FALSE(is_candidate(sighting(host))) << host;
    }
    EXPECT_TRUE(is_candidate(sighting("192.168.2.254")));
}

TEST_F(GatewayClaimsTest, AreNotMadeForHostsThatAreNotTranslated) {
    auto configuration = Configuration();
    configuration.nat_sources = all<Network>({"192.168.2.0/30"});
    start(configuration);
    EXPECT_FALSE(is_candidate(sighting("192.168.2.4")));
    EXPECT_TRUE(is_candidate(sighting("192.168.2.2")));
}

TEST_F(GatewayClaimsTest, AreNotMadeForOtherPortsThanTheWatchedOnes) {
    EXPECT_FALSE(is_candidate(sighting("192.168.2.2", 51819)));
    EXPECT_FALSE(is_candidate(sighting("192.168.2.2", 51900)));
    EXPECT_FALSE(is_candidate(sighting("192.168.2.2", 51820, Protocol::tcp)));
    EXPECT_TRUE(is_candidate(sighting("192.168.2.2", 51899)));
}

TEST_F(GatewayClaimsTest, AreMadeForWhoIsThere) {
    gateway_->saw({{sighting(anna)}});
    EXPECT_TRUE(gateway_->has_candidates());
    EXPECT_THAT(gateway_->claim({}), ElementsAre(LinkNeighbour{lan, address("192.168.2.2")}));
    EXPECT_THAT(gateway_->claim({}), IsEmpty()) << "asked already";
    EXPECT_EQ(gateway_->reservations().size(), 0U);
    EXPECT_EQ(gateway_->generation(), 0U);

    EXPECT_THAT(gateway_->claim(all_there), IsEmpty());
    EXPECT_FALSE(gateway_->has_candidates());
    const auto& row = *gateway_->reservations().find(anna);
    EXPECT_EQ(row.external_port, port(51820));
    EXPECT_EQ(row.origin, Origin::automatic);
    EXPECT_EQ(row.mac, neighbour(anna, 2).mac);
    EXPECT_EQ(row.last_seen, now_);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(claimed_mapping(anna, port(51820))));
    EXPECT_EQ(gateway_->generation(), 1U);
    EXPECT_EQ(gateway_->status().claims, 1U);
    EXPECT_THAT(gateway_->journal().drain().changed, ElementsAre(row.id));
    report();
    EXPECT_EQ(state_of(anna), ReservationState::active);
}

TEST_F(GatewayClaimsTest, AreNotMadeForWhoIsNotConfirmedWhereHeWasSeen) {
    gateway_->saw({{sighting(anna)}});
    gateway_->claim(std::array{neighbour(anna, 2, false), neighbour(anna, 2, true, 2)});
    EXPECT_EQ(gateway_->reservations().size(), 0U);
    EXPECT_TRUE(gateway_->has_candidates());
    now_ += Candidates::patience + 1s;
    gateway_->claim({});
    EXPECT_FALSE(gateway_->has_candidates());
}

TEST_F(GatewayClaimsTest, AskForEachHostOnce) {
    gateway_->saw({{sighting(anna), sighting("192.168.2.2", 51821), sighting(ben)}});
    EXPECT_THAT(gateway_->claim(std::array{neighbour(carl, 4)}),
                UnorderedElementsAre(LinkNeighbour{lan, address("192.168.2.2")},
                                     LinkNeighbour{lan, address("192.168.2.3")}));
}

TEST_F(GatewayClaimsTest, AreNeverInForceTwice) {
    gateway_->saw({{sighting(anna), sighting(ben), sighting(carl)}});
    gateway_->claim(all_there);
    EXPECT_THAT(gateway_->reservations().claims(), SizeIs(3));
    EXPECT_EQ(gateway_->reservations().find(anna)->external_port, port(51820));
    EXPECT_TRUE(is_alternate(gateway_->reservations().find(ben)->external_port));
    expect_no_port_twice();

    const auto held = firewall_.held;
    const auto generation = gateway_->generation();
    now_ += 60s;
    gateway_->saw({{sighting(anna), sighting(anna), sighting(ben)}});
    EXPECT_FALSE(gateway_->has_candidates());
    gateway_->claim(all_there);
    EXPECT_EQ(firewall_.held, held);
    EXPECT_EQ(gateway_->generation(), generation);
    EXPECT_EQ(last_seen(anna), now_);
    EXPECT_EQ(last_seen(carl), now_ - 60s);
}

TEST_F(GatewayClaimsTest, AreNotMadeForWhoHasReservedMeanwhile) {
    gateway_->saw({{sighting(anna)}});
    const auto row = reserve({.internal = anna, .external_port = port(7)});
    gateway_->claim(all_there);
    EXPECT_EQ(gateway_->reservations().find(anna)->origin, Origin::api);
    EXPECT_THAT(gateway_->reservations().claims(), IsEmpty());
    EXPECT_EQ(gateway_->status().claims_refused, 0U);
}

TEST_F(GatewayClaimsTest, KnowWhenWhoAskedWasSeen) {
    reserve({.internal = anna});
    EXPECT_FALSE(is_candidate(sighting(anna)));
    EXPECT_EQ(last_seen(anna), now_);
}

TEST_F(GatewayClaimsTest, CountWhoIsRefused) {
    Configuration configuration;
    configuration.claims.limit = 1;
    start(configuration);
    gateway_->saw({{sighting(anna), sighting(ben), sighting(carl)}});
    gateway_->claim(all_there);
    EXPECT_EQ(gateway_->status().claims, 1U);
    EXPECT_EQ(gateway_->status().claims_refused, 2U);
}

TEST_F(GatewayClaimsTest, LoseNoCandidateWhereTheStoreFails) {
    gateway_->saw(
        {{sighting(anna), sighting("192.168.2.2", 51821), sighting(ben), sighting(carl)}});
    gateway_->claim({});
    const auto there = std::array{neighbour(anna, 2), neighbour(ben, 3)};
    expect_unchanged<StorageFailure>(
        [&] {
            const FullDisk full_disk;
            gateway_->claim(there);
        },
        "SQLite");
    EXPECT_EQ(gateway_->status().claims, 0U);
    EXPECT_TRUE(gateway_->has_candidates());
    gateway_->claim(all_there);
    EXPECT_THAT(gateway_->reservations().claims(), SizeIs(4));
    EXPECT_FALSE(gateway_->has_candidates());
}

TEST_F(GatewayClaimsTest, LoseNoCandidateWhereTheKernelFails) {
    gateway_->saw({{sighting(anna), sighting(ben)}});
    firewall_.outcomes = {Outcome::failure};
    const std::array there{neighbour(anna, 2)};
    expect_unchanged<KernelFailure>([&] { gateway_->claim(there); }, "add element");
    EXPECT_TRUE(gateway_->has_candidates());
    EXPECT_THAT(gateway_->claim(there), ElementsAre(LinkNeighbour{lan, address("192.168.2.3")}));
    EXPECT_TRUE(has_claim(anna));
    gateway_->claim(all_there);
    EXPECT_TRUE(has_claim(ben));
}

TEST_F(GatewayClaimsTest, CountWhoIsRefusedOnceWhereTheStoreFails) {
    Configuration configuration;
    configuration.claims.limit = 1;
    start(configuration);
    gateway_->saw({{sighting(anna), sighting(ben)}});
    expect_unchanged<StorageFailure>(
        [&] {
            const FullDisk full_disk;
            gateway_->claim(all_there);
        },
        "SQLite");
    EXPECT_EQ(gateway_->status().claims_refused, 0U);
    gateway_->claim(all_there);
    EXPECT_EQ(gateway_->status().claims_refused, 1U);
}

TEST_F(GatewayClaimsTest, AreLookedForWhereSomethingWentUnseen) {
    gateway_->saw({{sighting(anna)}, false});
    EXPECT_THAT(settler_.orders, IsEmpty());
    gateway_->saw({{}, true});
    ASSERT_THAT(settler_.orders, SizeIs(1));
    EXPECT_TRUE(settler_.orders[0].look);
}

TEST_F(GatewayClaimsTest, AreMadeForWhoIsFoundByALook) {
    look({sighting(anna), sighting("192.168.2.3", 443)});
    EXPECT_TRUE(gateway_->has_candidates());
    gateway_->claim(all_there);
    EXPECT_TRUE(has_claim(anna));
    EXPECT_EQ(gateway_->reservations().size(), 1U);
}

TEST_F(GatewayClaimsTest, AreStillThereAfterARestart) {
    claim(anna);
    const auto row = claim(ben);
    start({});
    EXPECT_THAT(gateway_->reservations().claims(), SizeIs(2));
    EXPECT_EQ(gateway_->reservations().find(ben)->external_port, row.external_port);
    EXPECT_EQ(gateway_->reservations().find(ben)->mac, row.mac);
    EXPECT_THAT(firewall_.held.mappings, SizeIs(2));
}

class UnwatchedGatewayTest : public GatewayClaimsTest {
  protected:
    void start_unwatched(const Configuration& configuration) {
        make(configuration);
        gateway_->cannot_watch("bind to NFLOG: Device or resource busy");
        gateway_->start(home());
    }
};

TEST_F(UnwatchedGatewayTest, WatchesNothingAndWarns) {
    start_unwatched({});
    EXPECT_EQ(firewall_.held.scope.watched, std::nullopt);
    EXPECT_EQ(gateway_->perimeter().scope.watched, std::nullopt);
    EXPECT_EQ(gateway_->status().watched, std::nullopt);
    EXPECT_THAT(gateway_->status().warnings,
                ElementsAre(HasSubstr("bind to NFLOG: Device or resource busy")));
    EXPECT_FALSE(is_candidate(sighting(anna)));
    look({sighting(anna)});
    EXPECT_FALSE(gateway_->has_candidates());

    gateway_->interfaces_changed(home("203.0.113.3"));
    EXPECT_EQ(firewall_.held.scope.watched, std::nullopt);
    Configuration configuration;
    configuration.claims.limit = 7;
    gateway_->reload(configuration);
    EXPECT_EQ(firewall_.held.scope.watched, std::nullopt);
    EXPECT_THAT(gateway_->status().warnings, SizeIs(1));
}

TEST_F(UnwatchedGatewayTest, DoesNotWarnWhereNobodyWantsClaims) {
    start_unwatched(without_claims());
    EXPECT_THAT(gateway_->status().warnings, IsEmpty());
    EXPECT_EQ(firewall_.held.scope.watched, std::nullopt);
}

TEST_F(GatewayClaimsTest, AreNotMadeWhereTheyAreDisabled) {
    start(without_claims());
    EXPECT_EQ(firewall_.held.scope.watched, std::nullopt);
    EXPECT_FALSE(is_candidate(sighting(anna)));
    look({sighting(anna)});
    EXPECT_FALSE(gateway_->has_candidates());
}

TEST_F(GatewayClaimsTest, AreNotMadeAnyMoreAfterAReloadThatDisablesThem) {
    claim(anna);
    gateway_->saw({{sighting(ben)}});
    firewall_.forget_calls();
    gateway_->reload(without_claims());
    EXPECT_EQ(firewall_.held.scope.watched, std::nullopt);
    EXPECT_EQ(gateway_->status().watched, std::nullopt);
    EXPECT_EQ(firewall_.replaced, 1);
    gateway_->claim(all_there);
    EXPECT_EQ(gateway_->reservations().find(ben), nullptr) << "waited when claims were disabled";
    gateway_->saw({{sighting(carl)}});
    gateway_->claim(all_there);
    EXPECT_EQ(gateway_->reservations().find(carl), nullptr);

    gateway_->reload({});
    EXPECT_EQ(firewall_.held.scope.watched, ClaimPolicy().ports);
    claim(carl);
}

TEST_F(GatewayClaimsTest, FollowAReloadOfTheWatchedPorts) {
    gateway_->saw({{sighting(anna)}});
    Configuration configuration;
    configuration.claims.ports = *PortRange::from(port(3478), port(3479));
    gateway_->reload(configuration);
    EXPECT_EQ(firewall_.held.scope.watched, configuration.claims.ports);
    now_ += Candidates::patience + 1s;
    gateway_->claim({});
    EXPECT_FALSE(is_candidate(sighting(anna)));
    EXPECT_TRUE(is_candidate(sighting("192.168.2.2", 3478)));
}

TEST_F(GatewayClaimsTest, MakeWayForTheConfigurationIntoItsOwnAlternates) {
    claim(anna);
    auto configuration = configured({{ben, 51820}});
    configuration.claims.alternates = *PortRange::from(port(43000), port(43999));
    configuration.pool = *PortRange::from(port(42000), port(42999));
    gateway_->reload(configuration);
    EXPECT_EQ(gateway_->reservations().find(ben)->external_port, port(51820));
    const auto* row = gateway_->reservations().find(anna);
    ASSERT_NE(row, nullptr);
    EXPECT_TRUE(configuration.claims.alternates.contains(row->external_port))
        << to_text(row->external_port);
}

TEST_F(GatewayClaimsTest, KeepTheirAlternatesWhereAReloadFails) {
    claim(anna);
    reserve({.internal = carl, .external_port = port(7)});
    gateway_->journal().drain();
    auto configuration = configured({{ben, 7}});
    configuration.claims.alternates = *PortRange::from(port(43000), port(43999));
    expect_unchanged<Refused>([&] { gateway_->reload(configuration); }, "7/udp");
    reserve({.internal = ben});
    EXPECT_TRUE(is_alternate(gateway_->reservations().find(anna)->external_port));
}

TEST_F(GatewayClaimsTest, MakeWayForTheConfigurationAtTheStart) {
    const auto id = claim(anna).id;
    start(configured({{ben, 51820}}));
    EXPECT_THAT(gateway_->status().warnings, IsEmpty());
    EXPECT_EQ(gateway_->reservations().find(ben)->external_port, port(51820));
    ASSERT_NE(gateway_->reservations().find(id), nullptr);
    EXPECT_TRUE(is_alternate(gateway_->reservations().find(id)->external_port));
    expect_no_port_twice();
}

TEST_F(GatewayClaimsTest, MakeWayForWhoAsks) {
    const auto id = claim(anna).id;
    gateway_->journal().drain();
    const auto row = reserve({.internal = ben});
    EXPECT_EQ(row.external_port, port(51820));
    EXPECT_TRUE(is_alternate(gateway_->reservations().find(id)->external_port));
    EXPECT_THAT(gateway_->journal().drain().changed, UnorderedElementsAre(id, row.id));
    EXPECT_THAT(firewall_.held.mappings, Contains(mapping(ben, 51820)));
    expect_no_port_twice();
}

TEST_F(GatewayClaimsTest, MakeWayForTheGateway) {
    const auto id = claim(anna).id;
    gateway_->own_ports_changed({udp(51820)});
    EXPECT_TRUE(is_alternate(gateway_->reservations().find(id)->external_port));
    EXPECT_THAT(firewall_.held.scope.own_ports, ElementsAre(udp(51820)));
    EXPECT_THAT(firewall_.held.mappings, SizeIs(1));
    EXPECT_THAT(gateway_->status().warnings, IsEmpty());
    EXPECT_TRUE(is_alternate(claim(ben).external_port));
}

TEST_F(GatewayClaimsTest, MakeWayForTheGatewayLaterWhereTheStoreFails) {
    claim(anna);
    gateway_->journal().drain();
    expect_unchanged<StorageFailure>(
        [&] {
            const FullDisk full_disk;
            gateway_->own_ports_changed({udp(51820)});
        },
        "SQLite");
    gateway_->own_ports_changed({udp(51820)});
    EXPECT_TRUE(is_alternate(gateway_->reservations().find(anna)->external_port));
    EXPECT_THAT(firewall_.held.scope.own_ports, ElementsAre(udp(51820)));
}

TEST_F(GatewayClaimsTest, WereSeenWhenALookFindsThem) {
    claim(anna);
    claim(ben);
    now_ += 60s;
    look({sighting(anna)});
    EXPECT_EQ(last_seen(anna), now_);
    EXPECT_EQ(last_seen(ben), now_ - 60s);
}

TEST_F(GatewayClaimsTest, StayAsTheyAreWhereALookFails) {
    claim(anna);
    look({}, {overload(ben, 51820)});
    ASSERT_EQ(state_of(anna), ReservationState::waiting);
    const auto open = gateway_->conflicts().open();
    gateway_->look();
    report("list the flows in conntrack: Operation not permitted");
    EXPECT_EQ(state_of(anna), ReservationState::waiting);
    EXPECT_EQ(gateway_->conflicts().open(), open);
    look();
}

TEST_F(GatewayClaimsTest, AreHeldBackByTheNextLookWhereTheKernelFails) {
    claim(anna);
    const auto held = firewall_.held;
    const auto generation = gateway_->generation();
    firewall_.outcomes = {Outcome::failure};
    EXPECT_THROW(look({}, {overload(ben, 51820)}), KernelFailure);
    EXPECT_NE(state_of(anna), ReservationState::waiting);
    EXPECT_EQ(firewall_.held, held);
    EXPECT_EQ(gateway_->generation(), generation);
    look({}, {overload(ben, 51820)});
    EXPECT_EQ(state_of(anna), ReservationState::waiting);
    EXPECT_THAT(findings(), SizeIs(1));
    look();
}

TEST_F(GatewayClaimsTest, WaitWhileSomebodyElseUsesThePort) {
    const auto id = claim(anna).id;
    claim(endpoint("192.168.2.4", 51821));
    gateway_->journal().drain();
    look({sighting(anna)}, {overload(ben, 51820)});
    EXPECT_EQ(state_of(anna), ReservationState::waiting);
    EXPECT_NE(state_of(endpoint("192.168.2.4", 51821)), ReservationState::waiting);
    EXPECT_THAT(firewall_.held.mappings,
                ElementsAre(claimed_mapping(endpoint("192.168.2.4", 51821), port(51821))));
    EXPECT_THAT(gateway_->journal().drain().changed, Contains(id));
    EXPECT_TRUE(is_alternate(claim(ben).external_port)) << "waiting, it holds its port";

    report();
    EXPECT_EQ(state_of(anna), ReservationState::waiting);
    gateway_->rebuild();
    EXPECT_THAT(firewall_.held.mappings, Not(Contains(claimed_mapping(anna, port(51820)))));

    look({sighting(anna)});
    EXPECT_EQ(state_of(anna), ReservationState::settling);
    EXPECT_THAT(firewall_.held.mappings, Contains(claimed_mapping(anna, port(51820))));
    report();
    EXPECT_EQ(state_of(anna), ReservationState::active);
}

TEST_F(GatewayClaimsTest, WaitAndCanBeReservedByTheirOwner) {
    claim(anna);
    look({}, {overload(ben, 51820)});
    const auto row = reserve({.internal = anna});
    EXPECT_EQ(row.external_port, port(51820));
    EXPECT_NE(row.state, ReservationState::waiting);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapping(anna, 51820)));
}

TEST_F(GatewayClaimsTest, WaitAndMakeWayForWhoAsks) {
    claim(anna);
    look({}, {overload(ben, 51820)});
    reserve({.internal = carl});
    EXPECT_THAT(firewall_.held.mappings, Contains(mapping(carl, 51820)));
    look();
    EXPECT_NE(state_of(anna), ReservationState::waiting);
    EXPECT_THAT(firewall_.held.mappings, SizeIs(2));
}

TEST_F(GatewayClaimsTest, AreHeldBackByNothingButOverload) {
    claim(anna);
    look({}, {spared(SparedFlow::Why::remapped, anna, port(1025)),
              spared(SparedFlow::Why::answered, endpoint("198.51.100.7", 443), port(51820))});
    EXPECT_NE(state_of(anna), ReservationState::waiting);
    look();
}

TEST_F(GatewayClaimsTest, HoldBackNobodyWhoAsked) {
    reserve({.internal = anna});
    look({}, {overload(ben, 51820)});
    EXPECT_NE(state_of(anna), ReservationState::waiting);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapping(anna, 51820)));
}

TEST_F(GatewayClaimsTest, ConflictWhileSomebodyElseUsesThePort) {
    claim(anna);
    auto second = overload(ben, 51820);
    second.remote = address("198.51.100.8");
    look({}, {overload(ben, 51820), second});
    const Finding expected{ConflictCause::overload, udp(51820), "192.168.2.2", "192.168.2.3:51820"};
    EXPECT_THAT(findings(), ElementsAre(expected));
    const auto opened = gateway_->conflicts().take_news();
    ASSERT_THAT(opened, SizeIs(1));
    EXPECT_EQ(opened[0].evidence.flows, 2U);
    EXPECT_EQ(opened[0].evidence.used, port(51820));
    EXPECT_EQ(opened[0].since, now_);
    EXPECT_EQ(gateway_->status().conflicts, 1U);

    now_ += 10s;
    look({}, {overload(ben, 51820)});
    ASSERT_THAT(findings(), ElementsAre(expected));
    EXPECT_EQ(gateway_->conflicts().open()[0].id, opened[0].id);
    EXPECT_EQ(gateway_->conflicts().open()[0].since, now_ - 10s);
    EXPECT_EQ(gateway_->conflicts().open()[0].evidence.flows, 1U);
    EXPECT_FALSE(gateway_->conflicts().has_news());

    look();
    EXPECT_THAT(findings(), IsEmpty());
    const auto resolved = gateway_->conflicts().take_news();
    ASSERT_THAT(resolved, SizeIs(1));
    EXPECT_EQ(resolved[0].id, opened[0].id);
    EXPECT_EQ(resolved[0].state, ConflictState::resolved);
    EXPECT_EQ(gateway_->status().conflicts, 0U);
}

TEST_F(GatewayClaimsTest, ConflictWhileAFlowOfTheOwnerUsesAnotherPort) {
    claim(anna);
    look({}, {spared(SparedFlow::Why::remapped, anna, port(1025))});
    EXPECT_THAT(findings(), ElementsAre(Finding{ConflictCause::remapped, udp(51820), "192.168.2.2",
                                                "192.168.2.2:51820"}));
    EXPECT_EQ(gateway_->conflicts().open().at(0).evidence.used, port(1025));
    look();
    EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(GatewayClaimsTest, ConflictWhereTheGatewayHasAnsweredForThem) {
    reserve({.internal = anna});
    look({}, {spared(SparedFlow::Why::answered, endpoint("198.51.100.7", 443), port(51820))});
    EXPECT_THAT(findings(), ElementsAre(Finding{ConflictCause::answered_inbound, udp(51820),
                                                "192.168.2.2", "198.51.100.7:443"}));
    look();
    EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(GatewayClaimsTest, ConflictWhereTwoHostsWantThePort) {
    claim(anna);
    const auto used = claim(ben).external_port;
    look();
    EXPECT_THAT(findings(), ElementsAre(Finding{ConflictCause::port_wanted_twice, udp(51820),
                                                "192.168.2.2", "192.168.2.3:51820"}));
    EXPECT_EQ(gateway_->conflicts().open().at(0).evidence.used, used);
    release(gateway_->reservations().find(anna)->id);
    look();
    EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(GatewayClaimsTest, ConflictWhereTheGatewayHasThePort) {
    gateway_->own_ports_changed({udp(51820)});
    claim(ben);
    look({}, {overload(carl, 51820)});
    EXPECT_THAT(
        findings(),
        UnorderedElementsAre(
            Finding{ConflictCause::port_wanted_twice, udp(51820), "gateway", "192.168.2.3:51820"},
            Finding{ConflictCause::overload, udp(51820), "gateway", "192.168.2.4:51820"}));
    gateway_->own_ports_changed({});
    look();
    EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(GatewayClaimsTest, ConflictWhereTheGatewayOpensAReservedPort) {
    const auto id = reserve({.internal = anna}).id;
    gateway_->own_ports_changed({udp(51820)});
    EXPECT_THAT(findings(), ElementsAre(Finding{ConflictCause::own_listener, udp(51820),
                                                "192.168.2.2", "gateway"}));
    release(id);
    look();
    EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(GatewayClaimsTest, AreReservedToResolveAnOverload) {
    claim(anna);
    look({}, {overload(ben, 51820)});
    const auto conflict = gateway_->conflicts().open().at(0).id;
    resolve(*gateway_, conflict, "reserve", gateway_->generation());
    EXPECT_EQ(gateway_->reservations().find(anna)->origin, Origin::api);
    EXPECT_THAT(firewall_.held.mappings, ElementsAre(mapping(anna, 51820)));
    look();
    EXPECT_THAT(findings(), IsEmpty());
    EXPECT_THAT([&] { resolve(*gateway_, conflict, "reserve", std::nullopt); },
                is_refused(Refusal::no_such_conflict, std::to_string(conflict)));
}

TEST_F(GatewayClaimsTest, ReleaseTheOwnerToResolveAConflict) {
    claim(anna);
    claim(ben);
    look();
    resolve(*gateway_, gateway_->conflicts().open().at(0).id, "release-owner", std::nullopt);
    EXPECT_EQ(gateway_->reservations().find(anna), nullptr);
    EXPECT_TRUE(has_claim(ben));
    look();
    EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(GatewayClaimsTest, StayAsTheyAreWhereAConflictIsNotResolved) {
    claim(anna);
    claim(ben);
    look({}, {spared(SparedFlow::Why::remapped, anna, port(1025))});
    gateway_->journal().drain();
    const auto open = gateway_->conflicts().open();
    const auto id_of = [&](ConflictCause cause) {
        return std::ranges::find_if(
                   open, [cause](const auto& each) { return each.finding.cause == cause; })
            ->id;
    };
    const auto twice = id_of(ConflictCause::port_wanted_twice);
    const auto remapped = id_of(ConflictCause::remapped);
    const auto expect_refused = [this](std::uint64_t id, std::string_view action,
                                       IfGeneration generation, const std::string& message) {
        expect_unchanged<Error>([&] { resolve(*gateway_, id, action, generation); }, message);
    };
    expect_refused(twice, "change-host-port", {}, "192.168.2.3:51820");
    expect_refused(twice, "wait", {}, R"("change-host-port" or "release-owner")");
    expect_refused(twice, "", {}, "action");
    expect_refused(0, "wait", {}, "no open conflict 0");
    for (const auto* action : {"wait", "reserve"}) {
        expect_refused(remapped, action, gateway_->generation() - 1, "if-generation");
    }
    const auto rows = gateway_->reservations();
    resolve(*gateway_, remapped, "wait", gateway_->generation());
    EXPECT_EQ(gateway_->reservations(), rows);
    EXPECT_THAT(findings(), SizeIs(2));
}

TEST_F(GatewayClaimsTest, CannotBeReservedFromTheGateway) {
    gateway_->own_ports_changed({udp(51820)});
    look({}, {overload(carl, 51820)});
    EXPECT_THAT(
        [&] { resolve(*gateway_, gateway_->conflicts().open().at(0).id, "reserve", std::nullopt); },
        is_refused(Refusal::unsupported, "the gateway's own"));
}

TEST_F(GatewayClaimsTest, OfAConflictThatIsOverAreNotReleased) {
    claim(anna);
    claim(ben);
    look();
    release(gateway_->reservations().find(anna)->id);
    EXPECT_THAT(
        [&] {
            resolve(*gateway_, gateway_->conflicts().open().at(0).id, "release-owner",
                    std::nullopt);
        },
        is_refused(Refusal::no_such_conflict, "no open conflict"));
}

TEST_F(GatewayClaimsTest, AreForgottenWhenNobodyUsesThem) {
    start(with_idle(48h));
    claim(anna);
    now_ += 10min;
    look({sighting(anna)});
    claim(ben);
    look_for(48h - 10min);
    EXPECT_TRUE(has_claim(anna));
    EXPECT_TRUE(has_claim(ben));
    look_for(1h);
    EXPECT_FALSE(has_claim(anna));
    EXPECT_FALSE(has_claim(ben));
    EXPECT_THAT(firewall_.held.mappings, IsEmpty());
    claim(anna);
}

TEST_F(GatewayClaimsTest, AreNotForgottenWhileTheyAreUsed) {
    start(with_idle(24h));
    claim(anna);
    claim(ben);
    reserve({.internal = carl, .external_port = port(7)});
    for (int hour = 0; hour < 30; ++hour) {
        look_for(50min);
        now_ += 10min;
        look({sighting(anna)});
    }
    EXPECT_TRUE(has_claim(anna));
    EXPECT_FALSE(has_claim(ben));
    EXPECT_NE(gateway_->reservations().find(carl), nullptr);
}

TEST_F(GatewayClaimsTest, AreNotForgottenByTheLookThatFindsThem) {
    start(with_idle(24h));
    claim(anna);
    claim(ben);
    look_for(24h - 1s);
    ASSERT_TRUE(has_claim(anna));
    ASSERT_TRUE(has_claim(ben));
    now_ += 10min;
    look({sighting(anna)});
    EXPECT_TRUE(has_claim(anna));
    EXPECT_FALSE(has_claim(ben));
}

TEST_F(GatewayClaimsTest, HaveADayToShowThemselvesAfterAStart) {
    start(with_idle(48h));
    claim(anna);
    claim(ben);
    now_ += std::chrono::days(30);
    start(with_idle(48h));
    look();
    look_for(12h);
    EXPECT_TRUE(has_claim(ben));
    look({sighting(anna)});
    look_for(12h - 10min);
    EXPECT_TRUE(has_claim(ben));
    look_for(30min);
    EXPECT_TRUE(has_claim(anna));
    EXPECT_FALSE(has_claim(ben));
}

TEST_F(GatewayClaimsTest, AreNotForgottenWhereTheClockJumps) {
    start(with_idle(48h));
    claim(anna);
    look_for(25h);
    now_ += std::chrono::days(365);
    look();
    EXPECT_TRUE(has_claim(anna));
    look_for(12h);
    EXPECT_TRUE(has_claim(anna));
    now_ -= std::chrono::days(400);
    look();
    EXPECT_TRUE(has_claim(anna));
    now_ += std::chrono::days(400);
    look();
    look_for(23h);
    EXPECT_TRUE(has_claim(anna));
    look_for(2h);
    EXPECT_FALSE(has_claim(anna));
}

TEST_F(GatewayClaimsTest, AreForgottenEvenThoughTheClockWasSetBackOnce) {
    start(with_idle(48h));
    now_ += std::chrono::days(4000);
    claim(anna);
    now_ -= std::chrono::days(4000);
    look();
    look_for(51h);
    EXPECT_FALSE(has_claim(anna));
}

TEST_F(GatewayClaimsTest, RememberWhenTheyWereSeenThroughARestart) {
    claim(anna);
    for (int i = 0; i < 13; ++i) {
        now_ += 10min;
        look({sighting(anna)});
    }
    const auto seen = now_;
    start({});
    ASSERT_NE(last_seen(anna), never);
    EXPECT_LE(seen - last_seen(anna), 1h);
}

TEST_F(GatewayClaimsTest, AreLookedForMoreOftenWhileSomethingIsWrong) {
    claim(anna);
    look();
    const auto usual = gateway_->look_interval();
    look({}, {overload(ben, 51820)});
    EXPECT_LT(gateway_->look_interval(), usual);
    look();
    EXPECT_EQ(gateway_->look_interval(), usual);
}

}  // namespace
}  // namespace porthole
