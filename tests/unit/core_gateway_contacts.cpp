// SPDX-License-Identifier: GPL-2.0-or-later
// Whom owners have sent to: what the gateway has the packet filter remember, and when it has it
// forget all of that.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/gateway.hpp"
#include "gateway_fixture.hpp"

namespace porthole {
namespace {

using namespace support;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

Address address(std::string_view text) { return parse<Address>("address", text); }

const auto remote = address("192.0.2.9");
const auto other_remote = address("192.0.2.10");

Sighting sighting(const Endpoint& internal) {
    return {std::get<Address>(internal.host), internal.protocol, internal.port};
}

SeenContact seen(const Endpoint& internal, std::uint64_t external_port,
                 const Address& with = remote) {
    return {sighting(internal), port(external_port), with};
}

Contact contact(std::uint64_t external_port, const Address& with = remote,
                Protocol protocol = Protocol::udp) {
    return {{protocol, port(external_port)}, with};
}

class GatewayContactsTest : public LivelyGatewayFixture {
  protected:
    void report_contacts(std::vector<SeenContact> contacts) {
        settler_.report = SettleReport{gateway_->settling().ordered(), 0, {}};
        settler_.report->contacts = std::move(contacts);
        gateway_->settled();
    }
    ReservationId reserve_at(const Endpoint& internal, std::uint64_t external_port,
                             std::optional<Filtering> filtering = std::nullopt) {
        return reserve({.internal = internal,
                        .external_port = port(external_port),
                        .filtering = filtering})
            .id;
    }
    void change(ReservationId id, const ReservationChanges& changes) {
        gateway_->change(id, changes, std::nullopt);
    }
    void forget_calls() {
        firewall_.forget_calls();
        settler_.orders.clear();
        gateway_->journal().drain();
    }
    // Of the calls since the last forget_calls().
    [[nodiscard]] bool has_forgotten() const {
        return std::ranges::any_of(firewall_.applied, &FirewallDifference::forget_contacts);
    }
    [[nodiscard]] bool has_ordered_a_look() const {
        return std::ranges::any_of(settler_.orders, &SettleOrder::look);
    }
    void expect_all_forgotten_and_looked_for() {
        EXPECT_TRUE(has_forgotten());
        EXPECT_TRUE(has_ordered_a_look());
        forget_calls();
    }
    void expect_nothing_forgotten() {
        EXPECT_FALSE(has_forgotten());
        EXPECT_FALSE(has_ordered_a_look());
        forget_calls();
    }
};

TEST_F(GatewayContactsTest, RemembersWhomOwnersHaveFlowsWith) {
    const auto web = endpoint("192.168.2.2", 80, Protocol::tcp);
    reserve_at(anna, 7);
    reserve_at(ben, 8);
    reserve_at(web, 7);
    EXPECT_THAT(firewall_.remembered, IsEmpty());
    report_contacts(
        {seen(web, 7, other_remote), seen(anna, 7), seen(anna, 7, other_remote), seen(ben, 8)});
    EXPECT_THAT(firewall_.remembered,
                UnorderedElementsAre(contact(7, other_remote, Protocol::tcp), contact(7),
                                     contact(7, other_remote), contact(8)));
}

TEST_F(GatewayContactsTest, RemembersEachReportOnce) {
    reserve_at(anna, 7);
    report_contacts({seen(anna, 7)});
    gateway_->settled();
    report_contacts({});
    EXPECT_THAT(firewall_.remembered, ElementsAre(contact(7)));
}

TEST_F(GatewayContactsTest, RemembersNobodyWhereTheFilteringDoesNotAskForIt) {
    reserve_at(anna, 7, Filtering::endpoint_independent);
    reserve_at(ben, 8, Filtering::address_and_port_dependent);
    reserve_at(carl, 9, Filtering::address_dependent);
    report_contacts({seen(anna, 7), seen(ben, 8), seen(carl, 9)});
    EXPECT_THAT(firewall_.remembered, ElementsAre(contact(9)));
}

TEST_F(GatewayContactsTest, RemembersWhatIsStillTrueOfAReport) {
    const auto id = reserve_at(anna, 7);
    reserve_at(ben, 8);
    change(id, {.external_port = port(9)});
    report_contacts({seen(anna, 7), seen(anna, 8), seen(ben, 9), seen(carl, 7)});
    EXPECT_THAT(firewall_.remembered, IsEmpty()) << "none of these has that port now";
    report_contacts({seen(anna, 9)});
    EXPECT_THAT(firewall_.remembered, ElementsAre(contact(9)));

    firewall_.remembered.clear();
    change(id, {.filtering = Filtering::address_and_port_dependent});
    report_contacts({seen(anna, 9)});
    EXPECT_THAT(firewall_.remembered, IsEmpty());
    change(id, {.filtering = Filtering::address_dependent});
    release(id);
    report_contacts({seen(anna, 9)});
    EXPECT_THAT(firewall_.remembered, IsEmpty());
}

TEST_F(GatewayContactsTest, KeepsTheProtocolsApart) {
    const auto tcp = endpoint("192.168.2.2", 51820, Protocol::tcp);
    reserve_at(tcp, 7);
    report_contacts({seen(anna, 7)});
    EXPECT_THAT(firewall_.remembered, IsEmpty());
    report_contacts({seen(tcp, 7)});
    EXPECT_THAT(firewall_.remembered, ElementsAre(contact(7, remote, Protocol::tcp)));
}

TEST_F(GatewayContactsTest, RemembersThoseOfAHostThatItFollows) {
    const auto dora = MacAddress::from({2, 0, 0x5E, 0x10, 0, 2}).value();
    constexpr int lan = 3;
    const std::array there{
        Neighbour{lan, std::get<Address>(anna.host), dora, true, 0s},
    };
    reserve({.internal = {dora, Protocol::udp, port(51820)}, .external_port = port(7)});
    report_contacts({seen(anna, 7)});
    EXPECT_THAT(firewall_.remembered, IsEmpty()) << "nobody knows where the host is";
    gateway_->hosts_changed(there, {});
    report_contacts({seen(anna, 7), seen(ben, 7)});
    EXPECT_THAT(firewall_.remembered, ElementsAre(contact(7)));
}

TEST_F(GatewayContactsTest, RemembersSoManyOfAHostOnly) {
    const auto second_port = endpoint("192.168.2.2", 51821);
    const auto strict_port = endpoint("192.168.2.2", 51819);
    reserve_at(anna, 7);
    reserve_at(second_port, 8);
    reserve_at(ben, 9);
    reserve_at(strict_port, 10, Filtering::address_and_port_dependent);
    std::vector<SeenContact> contacts;
    const auto add = [&contacts](const Endpoint& internal, std::uint64_t external_port,
                                 std::size_t count) {
        for (std::uint32_t i = 0; i < count; ++i) {
            contacts.push_back(seen(internal, external_port, Address::v4(0xC0000200U + i)));
        }
    };
    add(strict_port, 10, most_contacts_of_a_host);  // which it does not need
    add(anna, 7, most_contacts_of_a_host - 1);
    add(second_port, 8, 5);
    add(ben, 9, most_contacts_of_a_host);
    report_contacts(contacts);
    const auto count = [this](std::uint64_t external_port) {
        const ProtocolPort external{Protocol::udp, port(external_port)};
        return std::ranges::count(firewall_.remembered, external, &Contact::external);
    };
    EXPECT_EQ(count(7) + count(8), most_contacts_of_a_host);
    EXPECT_EQ(count(9), most_contacts_of_a_host) << "nobody else runs out of them";
    EXPECT_EQ(count(10), 0);

    firewall_.remembered.clear();
    report_contacts(contacts);
    EXPECT_THAT(firewall_.remembered, SizeIs(2 * most_contacts_of_a_host)) << "of each report";
}

TEST_F(GatewayContactsTest, GoesOnWhereTheKernelRemembersNothing) {
    const auto id = reserve_at(anna, 7);
    firewall_.cannot_remember = true;
    EXPECT_NO_THROW(report_contacts({seen(anna, 7)}));
    EXPECT_EQ(gateway_->reservations().find(id)->state, ReservationState::active);
    EXPECT_THAT(firewall_.remembered, IsEmpty());
    EXPECT_FALSE(gateway_->diverged());
    firewall_.cannot_remember = false;
    report_contacts({seen(anna, 7)});
    EXPECT_THAT(firewall_.remembered, ElementsAre(contact(7)));
}

TEST_F(GatewayContactsTest, ForgetsThemWhereAPortGoesToAnotherReservation) {
    const auto id = reserve_at(anna, 7);
    expect_nothing_forgotten();
    release(id);
    expect_nothing_forgotten();
    reserve_at(ben, 8);
    expect_nothing_forgotten();

    reserve_at(carl, 7);
    FirewallDifference expected;
    expected.mappings.added = {mapping(carl, 7)};
    expected.forget_contacts = true;
    EXPECT_THAT(firewall_.applied, ElementsAre(expected)) << "in the same transaction";
    ASSERT_THAT(settler_.orders, SizeIs(2));
    EXPECT_FALSE(settler_.orders[0].look);
    EXPECT_TRUE(settler_.orders[1].look) << "after the flows of the former owner are settled";
    EXPECT_THAT(settler_.orders[1].mappings.added,
                UnorderedElementsAre(mapping(ben, 8), mapping(carl, 7)));
    forget_calls();

    // No contacts are left that are older than this.
    reserve_at(endpoint("192.168.2.5", 1), 100);
    expect_nothing_forgotten();
}

TEST_F(GatewayContactsTest, ForgetsThemWhereAPortIsTakenOverInOneChange) {
    gateway_->reload(configured({{anna, 7}, {ben, 8}}));
    forget_calls();
    gateway_->reload(configured({{anna, 8}, {ben, 7}}));
    EXPECT_THAT(firewall_.applied, SizeIs(1));
    expect_all_forgotten_and_looked_for();
    gateway_->reload(configured({{carl, 8}, {ben, 7}}));
    expect_all_forgotten_and_looked_for();
}

TEST_F(GatewayContactsTest, ForgetsThemWhereAnOwnerMovesToALeftPort) {
    const auto first = reserve_at(anna, 7);
    const auto second = reserve_at(ben, 8);
    change(first, {.external_port = port(9)});
    expect_nothing_forgotten();
    change(second, {.external_port = port(7)});
    expect_all_forgotten_and_looked_for();
    // What Ben had there was forgotten when he left.
    change(first, {.external_port = port(8)});
    expect_nothing_forgotten();
}

TEST_F(GatewayContactsTest, ForgetsThemWhereWhatHasRunOutIsReservedByAnother) {
    reserve({.internal = anna, .external_port = port(7), .lifetime = 10s});
    now_ += 10s;
    gateway_->expire();
    expect_nothing_forgotten();
    reserve_at(ben, 7);
    expect_all_forgotten_and_looked_for();
}

TEST_F(GatewayContactsTest, HasNothingToForgetInATableThatIsNew) {
    release(reserve_at(anna, 7));
    gateway_->rebuild();
    forget_calls();
    reserve_at(ben, 7);
    EXPECT_FALSE(has_forgotten());

    release(gateway_->reservations().find(ben)->id);
    firewall_.outcomes = {Outcome::drift};
    const auto id = reserve_at(carl, 8);
    EXPECT_EQ(firewall_.replaced, 1);
    forget_calls();
    reserve_at(ben, 7);
    EXPECT_FALSE(has_forgotten());
    change(id, {.comment = comment("laptop")});
}

TEST_F(GatewayContactsTest, LooksAfterATableIsReplacedInsteadOfForgetting) {
    release(reserve_at(anna, 7));
    forget_calls();
    firewall_.outcomes = {Outcome::drift};
    reserve_at(ben, 7);
    EXPECT_EQ(firewall_.replaced, 1);
    EXPECT_TRUE(has_ordered_a_look());
}

TEST_F(GatewayContactsTest, ForgetsNothingOfWhoKeepsHisPort) {
    const auto id = reserve_at(anna, 7);
    forget_calls();
    change(id, {.filtering = Filtering::endpoint_independent});
    FirewallDifference expected;
    auto open = mapping(anna, 7);
    open.filtering = Filtering::endpoint_independent;
    expected.mappings = {{mapping(anna, 7)}, {open}};
    EXPECT_THAT(firewall_.applied, ElementsAre(expected)) << "one difference";
    ASSERT_THAT(settler_.orders, SizeIs(1));
    EXPECT_EQ(settler_.orders[0].mappings, expected.mappings);
    expect_nothing_forgotten();

    change(id, {.comment = comment("laptop")});
    reserve({.internal = anna, .lifetime = 10s});
    EXPECT_THAT(firewall_.applied, IsEmpty());
    expect_nothing_forgotten();
}

TEST_F(GatewayContactsTest, LooksAgainWhereTheStoreRefusesAfterTheyAreForgotten) {
    release(reserve_at(anna, 7));
    forget_calls();
    expect_unchanged<StorageFailure>(
        [&] {
            const FullDisk full_disk;
            reserve_at(ben, 7);
        },
        "SQLite");
    ASSERT_THAT(firewall_.applied, SizeIs(2));
    EXPECT_TRUE(firewall_.applied[0].forget_contacts);
    EXPECT_TRUE(firewall_.applied[1].forget_contacts) << "Ben may have made some meanwhile";
    EXPECT_TRUE(has_ordered_a_look());
    forget_calls();
    reserve_at(ben, 7);
    expect_all_forgotten_and_looked_for();
}

TEST_F(GatewayContactsTest, LooksAgainWhereTheStoreRefusesAndTheTableIsReplaced) {
    for (const auto& outcomes :
         {std::vector{Outcome::drift}, std::vector{Outcome::success, Outcome::drift}}) {
        forget_calls();
        firewall_.outcomes.assign(outcomes.begin(), outcomes.end());
        expect_unchanged<StorageFailure>(
            [&] {
                const FullDisk full_disk;
                reserve_at(ben, 7);
            },
            "SQLite");
        EXPECT_TRUE(has_ordered_a_look()) << "the new table knows nobody";
    }
}

TEST_F(GatewayContactsTest, LooksForNothingWhereTheStoreRefusesAndNothingWasForgotten) {
    expect_unchanged<StorageFailure>(
        [&] {
            const FullDisk full_disk;
            reserve_at(ben, 7);
        },
        "SQLite");
    EXPECT_THAT(firewall_.applied, SizeIs(2));
    expect_nothing_forgotten();
}

TEST_F(GatewayContactsTest, SettlesWhatCameInAtAWanAddressThatIsGone) {
    reserve_at(anna, 7);
    forget_calls();
    gateway_->interfaces_changed(home("203.0.113.77"));
    ASSERT_THAT(settler_.orders, SizeIs(1));
    EXPECT_THAT(settler_.orders[0].gone_addresses, ElementsAre(address("203.0.113.2")));
    EXPECT_THAT(settler_.orders[0].scope.wan_addresses, ElementsAre(address("203.0.113.77")));
    EXPECT_THAT(settler_.orders[0].mappings.added, ElementsAre(mapping(anna, 7)));

    report();
    auto without_wan = home("203.0.113.77");
    without_wan.default_routes.clear();
    gateway_->interfaces_changed(without_wan);
    ASSERT_THAT(settler_.orders, SizeIs(2));
    EXPECT_THAT(settler_.orders[1].gone_addresses, ElementsAre(address("203.0.113.77")));
    report();
    gateway_->interfaces_changed(home("203.0.113.77"));
    ASSERT_THAT(settler_.orders, SizeIs(3));
    EXPECT_THAT(settler_.orders[2].gone_addresses, IsEmpty()) << "it has come";
    gateway_->look();
    gateway_->rebuild();
    ASSERT_THAT(settler_.orders, SizeIs(5));
    EXPECT_THAT(settler_.orders[3].gone_addresses, IsEmpty());
    EXPECT_THAT(settler_.orders[4].gone_addresses, IsEmpty());
}

TEST_F(GatewayContactsTest, SettlesWhatCameInAtAGoneAddressWhereTheTableIsMadeAnew) {
    reserve_at(anna, 7);
    forget_calls();
    firewall_.outcomes = {Outcome::drift};
    gateway_->interfaces_changed(home("203.0.113.77"));
    EXPECT_EQ(firewall_.replaced, 1);
    ASSERT_THAT(settler_.orders, SizeIs(1));
    EXPECT_THAT(settler_.orders[0].gone_addresses, ElementsAre(address("203.0.113.2")));
}

TEST_F(GatewayContactsTest, SettlesWhatIsReleasedWhereTheTableIsMadeAnew) {
    reserve_at(anna, 7);
    forget_calls();
    firewall_.outcomes = {Outcome::drift};
    release(gateway_->reservations().find(anna)->id);
    ASSERT_THAT(settler_.orders, SizeIs(1));
    EXPECT_THAT(settler_.orders[0].mappings.removed, ElementsAre(mapping(anna, 7)));
}

TEST_F(GatewayContactsTest, SettlesWhatAConfigurationLeavesOutThatMovesTheScope) {
    gateway_->reload(configured({{anna, 7}}));
    report();
    forget_calls();
    Configuration without;
    without.masquerade = true;
    gateway_->reload(without);
    ASSERT_FALSE(settler_.orders.empty());
    EXPECT_THAT(settler_.orders[0].mappings.removed, ElementsAre(mapping(anna, 7)));
}

// To renew them takes a look at all contacts: a single reservation does without.
TEST_F(GatewayContactsTest, RenewsThemAfterALookOnly) {
    reserve_at(anna, 7);
    const SeenContact contact{{std::get<Address>(anna.host), Protocol::udp, anna.port},
                              port(7),
                              parse<Address>("", "192.0.2.9")};
    for (const bool looked : {false, true}) {
        firewall_.renewed = 0;
        firewall_.remembered.clear();
        settler_.report = SettleReport{gateway_->settling().ordered(), 0, {}};
        settler_.report->contacts = {contact};
        if (looked) settler_.report->seen.emplace();
        gateway_->settled();
        EXPECT_THAT(firewall_.remembered, SizeIs(1));
        EXPECT_EQ(firewall_.renewed, looked ? 1 : 0);
    }
}

TEST_F(GatewayContactsTest, SaysWhoIsStoppedByAnotherFirewallAndHowToOpenIt) {
    reserve_at(anna, 7);
    const auto look = [this] {
        gateway_->look();
        settler_.report = SettleReport{gateway_->settling().ordered(), 0, {}};
        settler_.report->seen.emplace();
        gateway_->settled();
        return gateway_->conflicts().open();
    };
    EXPECT_THAT(look(), IsEmpty());
    const auto usual = gateway_->look_interval();
    const ProtocolPort ours{Protocol::udp, port(7)};
    firewall_.obstructed = {{ours, {Protocol::udp, port(8)}},
                            {"inet fw4 forward", "ip filter FORWARD"}};
    const auto found = look();
    ASSERT_THAT(found, SizeIs(2)) << "nobody has port 8";
    for (const auto& conflict : found) {
        EXPECT_EQ(conflict.finding.cause, ConflictCause::foreign_firewall);
        EXPECT_EQ(conflict.finding.port, ours);
        EXPECT_EQ(conflict.finding.owner, "192.168.2.2");
        EXPECT_THAT(explanation(conflict), ::testing::HasSubstr(conflict.evidence.command));
        EXPECT_THAT(actions(conflict), ElementsAre("open-foreign-firewall"));
    }
    EXPECT_EQ(found[0].finding.other, "the chain inet fw4 forward");
    EXPECT_EQ(found[0].evidence.command, "nft insert rule inet fw4 forward ct status dnat accept");
    EXPECT_EQ(found[1].evidence.command,
              "iptables -I FORWARD -m conntrack --ctstate DNAT -j ACCEPT");
    EXPECT_LT(gateway_->look_interval(), usual) << "it may be opened any moment";

    firewall_.obstructed.chains.clear();
    ASSERT_THAT(look(), SizeIs(1)) << "it rejects by a rule";
    EXPECT_EQ(gateway_->conflicts().open()[0].finding.other, "another firewall");
    firewall_.obstructed = {};
    EXPECT_THAT(look(), IsEmpty());
}

// They do what they should, only shorter: nothing is moved, and there is no hurry.
TEST_F(GatewayContactsTest, SaysWhoseFlowsBypassThePacketFilter) {
    reserve_at(anna, 7);
    const auto usual = gateway_->look_interval();
    const auto look = [this](std::vector<SparedFlow> spared) {
        gateway_->look();
        settler_.report = SettleReport{gateway_->settling().ordered(), 0, {}};
        settler_.report->seen.emplace();
        settler_.report->spared = std::move(spared);
        gateway_->settled();
        return gateway_->conflicts().open();
    };
    const auto offloaded = [](std::string_view host, std::uint64_t outside) {
        return SparedFlow{SparedFlow::Why::offloaded,
                          {address(host), Protocol::udp, port(51820)},
                          address("198.51.100.7"),
                          port(443),
                          port(outside)};
    };
    const auto found = look({offloaded("192.168.2.2", 7), offloaded("192.168.2.99", 9)});
    ASSERT_THAT(found, SizeIs(1)) << "somebody else's are his own business";
    EXPECT_EQ(found[0].finding, (Finding{ConflictCause::flow_offload,
                                         {Protocol::udp, port(7)},
                                         "192.168.2.2",
                                         "192.168.2.2:51820"}));
    EXPECT_EQ(found[0].evidence.remote, "198.51.100.7:443");
    EXPECT_THAT(actions(found[0]), ElementsAre("keep-alive", "stop-offloading"));
    EXPECT_EQ(gateway_->look_interval(), usual);
    EXPECT_THAT(look({}), IsEmpty());
}

// Where the kernel could not say in time that all packets are done with, another look is soon.
TEST_F(GatewayContactsTest, LooksAgainSoonWhereItLookedEarly) {
    const auto look = [this](bool early) {
        gateway_->look();
        settler_.report = SettleReport{gateway_->settling().ordered(), 0, {}};
        settler_.report->seen.emplace();
        settler_.report->early = early;
        gateway_->settled();
        return gateway_->look_interval();
    };
    const auto usual = look(false);
    EXPECT_LT(look(true), usual);
    EXPECT_EQ(look(false), usual);
    settler_.orders.clear();
    gateway_->look();
    gateway_->rebuild();
    EXPECT_FALSE(settler_.orders.at(0).gap);
    EXPECT_TRUE(settler_.orders.at(1).gap);
}

TEST_F(GatewayContactsTest, SaysThatTheKernelHasNoTimeouts) {
    const auto warns = [this] {
        return std::ranges::any_of(gateway_->status().warnings, [](const std::string& warning) {
            return warning.starts_with("nat.udp-timeout has no effect");
        });
    };
    EXPECT_FALSE(warns());
    firewall_.timeouts = false;
    EXPECT_TRUE(warns());
}

TEST_F(GatewayContactsTest, RemembersEachOnce) {
    reserve_at(anna, 7);
    const SeenContact twice{{std::get<Address>(anna.host), Protocol::udp, anna.port},
                            port(7),
                            parse<Address>("", "192.0.2.9")};
    settler_.report = SettleReport{gateway_->settling().ordered(), 0, {}};
    settler_.report->contacts = {twice, twice};
    gateway_->settled();
    EXPECT_THAT(firewall_.remembered, SizeIs(1));
}

TEST_F(GatewayContactsTest, NamesNoAddressGoneWhereTheKernelDoesNotFollow) {
    firewall_.outcomes = {Outcome::failure};
    expect_unchanged<KernelFailure>([&] { gateway_->interfaces_changed(home("203.0.113.77")); },
                                    "add element");
    EXPECT_THAT(settler_.orders, IsEmpty());
    gateway_->interfaces_changed(home("203.0.113.78"));
    ASSERT_THAT(settler_.orders, SizeIs(1));
    EXPECT_THAT(settler_.orders[0].gone_addresses, ElementsAre(address("203.0.113.2")));
}

}  // namespace
}  // namespace porthole
