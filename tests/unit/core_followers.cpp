// SPDX-License-Identifier: GPL-2.0-or-later
// Reservations of hosts that are known by their MAC addresses.
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/desired_firewall.hpp"
#include "core/reservations.hpp"
#include "core_support.hpp"

namespace porthole {
namespace {

using namespace support;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

Address address(std::string_view text) { return parse<Address>("address", text); }

MacAddress mac(unsigned last) {
    return MacAddress::from({2, 0, 0x5E, 0x10, 0, static_cast<std::uint8_t>(last)}).value();
}

// Two hosts, the addresses that they have by turns, and one where they never are.
const auto anna = mac(2);
const auto ben = mac(3);
const auto first = address("192.168.2.2");
const auto second = address("192.168.2.3");
const auto third = address("192.168.2.4");

Endpoint at(const HostKey& host, std::uint64_t internal_port = 51820,
            Protocol protocol = Protocol::udp) {
    return {host, protocol, port(internal_port)};
}

Mapping mapped(std::optional<Address> host, std::uint64_t internal_port,
               std::uint64_t external_port) {
    return {Protocol::udp, host, port(internal_port), port(external_port)};
}

const auto ipv6_first = address("2001:db8:2::2");
const auto ipv6_second = address("2001:db8:2::3");

class FollowersTest : public ::testing::Test {
  protected:
    using Places = std::vector<std::pair<MacAddress, Address>>;

    // Has the hosts be there, and nowhere else.
    ReservationDifference place(const Places& places, const Places& other_holders = {}) {
        Whereabouts where;
        for (const auto& [host, address] : places) {
            where.of.emplace(host, address);
            where.holders.emplace(address, host);
        }
        for (const auto& [host, address] : other_holders) where.holders.emplace(address, host);
        all_.set_whereabouts(where);
        auto difference = all_.follow();
        apply(difference);
        EXPECT_TRUE(all_.follow().empty()) << "not at once";
        return difference;
    }
    // There and back, and there again.
    void apply(const ReservationDifference& difference) {
        const auto before = all_;
        all_.apply(difference);
        const auto after = all_;
        all_.apply(difference.inverse());
        EXPECT_EQ(all_, before);
        for (const auto& row : difference.before) {
            EXPECT_EQ(*all_.find(row.id), row);
            if (row.address) expect_owner(at(*row.address, row.internal.port.value()), row.id);
        }
        all_.apply(difference);
        EXPECT_EQ(all_, after);
    }
    void expect_owner(const Endpoint& from, ReservationId id) const {
        const auto* owner = all_.owner(from);
        ASSERT_NE(owner, nullptr) << to_text(from.host);
        EXPECT_EQ(owner->id, id) << to_text(from.host);
    }
    const Reservation& reserve(const ReserveRequest& request, Origin origin = Origin::api) {
        apply(all_.reserve(request, origin, now));
        return *all_.find(request.internal);
    }
    const Reservation& reserve(const Endpoint& internal) { return reserve({.internal = internal}); }
    const Reservation& reserve_for(const Endpoint& internal, std::uint64_t external_port) {
        return reserve({.internal = internal, .external_port = port(external_port)});
    }
    void release(ReservationId id) { apply(all_.release(std::array{id})); }
    const Reservation& claim(const Endpoint& internal, const MacAddress& seen_as = ben) {
        const std::array claims{Claim{internal, seen_as}};
        const auto claimed = all_.claim(claims, ClaimPolicy(), now);
        EXPECT_THAT(claimed.refused, IsEmpty());
        apply(claimed.difference);
        EXPECT_NE(all_.find(internal), nullptr);
        return *all_.find(internal);
    }
    [[nodiscard]] std::optional<Address> address_of(const MacAddress& host,
                                                    std::uint64_t internal_port = 51820) const {
        return all_.find(at(host, internal_port))->address.get();
    }
    [[nodiscard]] ReservationState state_of(const MacAddress& host) const {
        return all_.find(at(host))->state;
    }
    [[nodiscard]] std::vector<Mapping> mappings() const {
        return desired_firewall({}, all_).mappings;
    }
    void set_active(ReservationId id) { all_.set_state(std::array{id}, ReservationState::active); }

    // Has anna be at her IPv4 address, if at all, and at these.
    ReservationDifference place_ipv6(const std::vector<Address>& addresses,
                                     std::optional<Address> ipv4 = std::nullopt,
                                     const std::map<Address, MacAddress>& other_holders = {}) {
        Whereabouts where;
        where.holders = other_holders;
        if (ipv4) where.of.emplace(anna, *ipv4);
        if (!addresses.empty()) where.ipv6_of.emplace(anna, addresses);
        for (const auto& address : addresses) where.holders.emplace(address, anna);
        all_.set_whereabouts(where);
        auto difference = all_.follow();
        apply(difference);
        EXPECT_TRUE(all_.follow().empty()) << "not at once";
        return difference;
    }
    [[nodiscard]] std::vector<Pinhole> pinholes() const {
        return desired_firewall({}, all_).pinholes;
    }
    [[nodiscard]] static Pinhole pinhole_at(const Address& host,
                                            Filtering filtering = Filtering::address_dependent) {
        return {Protocol::udp, host, port(51820), filtering};
    }

    Reservations all_;
};

TEST_F(FollowersTest, WaitForAHostThatIsNotThere) {
    const auto& row = reserve(at(anna));
    EXPECT_EQ(row.state, ReservationState::waiting);
    EXPECT_EQ(row.address, std::nullopt);
    EXPECT_EQ(row.external_port, port(51820));
    EXPECT_EQ(all_.owner(at(first)), nullptr);
    EXPECT_EQ(all_.owner(at(anna))->id, row.id);
    EXPECT_THAT(mappings(), ElementsAre(mapped(std::nullopt, 51820, 51820)));
    EXPECT_THAT(all_.followed(), IsEmpty());
    EXPECT_TRUE(all_.follows_hosts());
    EXPECT_THAT([&] { reserve(at(third)); },
                is_refused(Refusal::port_taken, "owned by 02:00:5e:10:00:02 (reservation 1, api)"));
    set_active(row.id);
    EXPECT_EQ(row.state, ReservationState::waiting);
}

TEST_F(FollowersTest, AreInForceAtOnceWhereTheHostIsThere) {
    EXPECT_FALSE(all_.follows_hosts());
    place({{anna, first}, {ben, second}});
    EXPECT_FALSE(all_.follows_hosts());
    const auto& row = reserve(at(anna));
    EXPECT_EQ(row.state, ReservationState::settling);
    EXPECT_EQ(row.address, first);
    EXPECT_EQ(row.mac, std::nullopt);
    expect_owner(at(first), row.id);
    EXPECT_EQ(all_.owner(at(second)), nullptr);
    EXPECT_EQ(all_.owner(at(first, 51821)), nullptr);
    EXPECT_EQ(all_.owner(at(first, 51820, Protocol::tcp)), nullptr);
    EXPECT_EQ(all_.find(at(first)), nullptr);
    EXPECT_THAT(mappings(), ElementsAre(mapped(first, 51820, 51820)));
    EXPECT_THAT(all_.followed(), ElementsAre(Pair(anna, first)));
}

TEST_F(FollowersTest, ComeIntoForceWhenTheHostComes) {
    const auto before = reserve(at(anna));
    const auto difference = place({{anna, first}});
    auto expected = before;
    expected.address = first;
    expected.state = ReservationState::settling;
    EXPECT_THAT(difference.before, ElementsAre(before));
    EXPECT_THAT(difference.after, ElementsAre(expected));
}

TEST_F(FollowersTest, GoWhereTheHostGoes) {
    place({{anna, first}});
    const auto id = reserve(at(anna)).id;
    const auto other = reserve(at(anna, 22)).id;
    reserve(at(ben, 23));
    set_active(id);
    const auto difference = place({{anna, second}});
    EXPECT_THAT(difference.before, SizeIs(2));
    EXPECT_EQ(all_.find(id)->state, ReservationState::settling) << "old flows are wrong now";
    EXPECT_EQ(all_.owner(at(first)), nullptr);
    expect_owner(at(second), id);
    expect_owner(at(second, 22), other);
    EXPECT_THAT(mappings(), ElementsAre(mapped(second, 22, 22), mapped(std::nullopt, 23, 23),
                                        mapped(second, 51820, 51820)));
    set_active(id);
    EXPECT_TRUE(place({{anna, second}}).empty());
    EXPECT_EQ(all_.find(id)->state, ReservationState::active);
}

TEST_F(FollowersTest, StayWhereTheHostWasSeenLast) {
    place({{anna, first}});
    const auto id = reserve(at(anna)).id;
    set_active(id);
    EXPECT_TRUE(place({}).empty());
    EXPECT_TRUE(place({{ben, second}}).empty());
    EXPECT_EQ(address_of(anna), first);
    EXPECT_EQ(state_of(anna), ReservationState::active);
    expect_owner(at(first), id);
    EXPECT_THAT(all_.followed(), ElementsAre(Pair(anna, first)));
}

TEST_F(FollowersTest, WaitWhenAnotherHostHasTheAddress) {
    place({{anna, first}});
    const auto before = reserve(at(anna));
    place({{ben, first}});
    auto expected = before;
    expected.address = std::nullopt;
    expected.state = ReservationState::waiting;
    EXPECT_EQ(*all_.find(before.id), expected);
    EXPECT_EQ(all_.owner(at(first)), nullptr);
    EXPECT_THAT(mappings(), ElementsAre(mapped(std::nullopt, 51820, 51820)));
    EXPECT_TRUE(place({}).empty()) << "that was another host's";
    place({{anna, first}});
    expected.address = first;
    expected.state = ReservationState::settling;
    EXPECT_EQ(*all_.find(before.id), expected);
}

TEST_F(FollowersTest, WaitWhenAnotherHostHasTheAddressBesidesItsOwn) {
    place({{anna, first}});
    reserve(at(anna));
    place({{ben, second}}, {{ben, first}});
    EXPECT_EQ(address_of(anna), std::nullopt);
    EXPECT_EQ(state_of(anna), ReservationState::waiting);
}

TEST_F(FollowersTest, StayWhereTheHostHasTheAddressThoughItIsNotReachedThere) {
    place({{anna, first}});
    reserve(at(anna));
    EXPECT_TRUE(place({}, {{anna, first}}).empty());
}

TEST_F(FollowersTest, LeaveAnAddressToTheHostThatComesThere) {
    place({{anna, first}});
    reserve(at(anna));
    const auto id = reserve_for(at(ben), 7).id;
    place({{ben, first}});
    EXPECT_EQ(address_of(anna), std::nullopt);
    expect_owner(at(first), id);
    EXPECT_THAT(mappings(),
                ElementsAre(mapped(first, 51820, 7), mapped(std::nullopt, 51820, 51820)));
}

TEST_F(FollowersTest, ExchangeTheirAddresses) {
    place({{anna, first}, {ben, second}});
    const auto of_anna = reserve(at(anna)).id;
    const auto of_ben = reserve_for(at(ben), 7).id;
    const auto difference = place({{ben, first}, {anna, second}});
    EXPECT_THAT(difference.before, SizeIs(2));
    EXPECT_THAT(difference.after, SizeIs(2));
    expect_owner(at(first), of_ben);
    expect_owner(at(second), of_anna);
    EXPECT_THAT(mappings(), ElementsAre(mapped(first, 51820, 7), mapped(second, 51820, 51820)));
    place({{anna, first}, {ben, second}});
    expect_owner(at(first), of_anna);
    expect_owner(at(second), of_ben);
}

TEST_F(FollowersTest, MoveUpOneAfterTheOther) {
    const auto carl = mac(4);
    place({{anna, first}, {ben, second}, {carl, third}});
    const auto of_anna = reserve(at(anna)).id;
    const auto of_ben = reserve_for(at(ben), 7).id;
    const auto of_carl = reserve_for(at(carl), 8).id;
    place({{anna, second}, {ben, third}, {carl, first}});
    expect_owner(at(second), of_anna);
    expect_owner(at(third), of_ben);
    expect_owner(at(first), of_carl);
    place({{anna, third}, {ben, first}});
    expect_owner(at(third), of_anna);
    expect_owner(at(first), of_ben);
    EXPECT_EQ(address_of(carl), std::nullopt);
}

TEST_F(FollowersTest, WaitWhereTheAddressHasAReservation) {
    const auto of_address = reserve_for(at(first), 7).id;
    const auto id = reserve(at(anna)).id;
    place({{anna, first}});
    EXPECT_EQ(address_of(anna), std::nullopt);
    EXPECT_EQ(state_of(anna), ReservationState::waiting);
    expect_owner(at(first), of_address);
    EXPECT_THAT(mappings(),
                ElementsAre(mapped(first, 51820, 7), mapped(std::nullopt, 51820, 51820)));

    const auto other = reserve(at(anna, 22)).id;
    expect_owner(at(first, 22), other);
    place({{anna, second}});
    expect_owner(at(second), id);
}

TEST_F(FollowersTest, WaitWhenSomebodyReservesForTheAddress) {
    place({{anna, first}});
    for (const bool by_file : {false, true}) {
        SCOPED_TRACE(by_file ? "configure" : "reserve");
        const auto id = reserve(at(anna)).id;
        set_active(id);
        const std::array wanted{ReserveRequest{.internal = at(first), .external_port = port(7)}};
        const auto difference = by_file ? all_.configure(wanted, now).difference
                                        : all_.reserve(wanted[0], Origin::api, now);
        EXPECT_THAT(difference.before, SizeIs(1));
        EXPECT_THAT(difference.after, SizeIs(2));
        apply(difference);
        EXPECT_EQ(address_of(anna), std::nullopt);
        EXPECT_EQ(state_of(anna), ReservationState::waiting);
        EXPECT_EQ(all_.find(id)->external_port, port(51820));
        expect_owner(at(first), all_.find(at(first))->id);
        EXPECT_EQ(all_.owner(at(first))->external_port, port(7));
        if (!by_file) release(all_.find(at(first))->id);
    }
}

TEST_F(FollowersTest, ComeIntoForceWhenTheAddressIsReleased) {
    place({{anna, first}});
    const auto of_address = reserve_for(at(first), 7);
    const auto waiting = reserve(at(anna));
    const auto difference = all_.release(std::array{of_address.id});
    auto expected = waiting;
    expected.address = first;
    expected.state = ReservationState::settling;
    EXPECT_THAT(difference.before, ElementsAre(of_address, waiting));
    EXPECT_THAT(difference.after, ElementsAre(expected));
    apply(difference);
    expect_owner(at(first), waiting.id);
    EXPECT_THAT(mappings(), ElementsAre(mapped(first, 51820, 51820)));
}

TEST_F(FollowersTest, ComeIntoForceWhenTheAddressRunsOut) {
    place({{anna, first}});
    reserve({.internal = at(first), .external_port = port(7), .lifetime = 10s});
    const auto id = reserve(at(anna)).id;
    EXPECT_TRUE(all_.expire(now + 9s).empty());
    const auto difference = all_.expire(now + 10s);
    EXPECT_THAT(difference.before, SizeIs(2));
    EXPECT_THAT(difference.after, SizeIs(1));
    apply(difference);
    expect_owner(at(first), id);
}

TEST_F(FollowersTest, ComeIntoForceWhenTheConfigurationLeavesTheAddress) {
    place({{anna, first}});
    const std::array wanted{ReserveRequest{.internal = at(first), .external_port = port(7)}};
    apply(all_.configure(wanted, now).difference);
    const auto id = reserve(at(anna)).id;
    EXPECT_EQ(address_of(anna), std::nullopt);
    EXPECT_TRUE(all_.configure(wanted, now).difference.empty());
    apply(all_.configure({}, now).difference);
    expect_owner(at(first), id);
}

TEST_F(FollowersTest, DoNotComeIntoForceWhereTheHostIsNotAnyMore) {
    place({{anna, first}});
    const auto of_address = reserve_for(at(first), 7).id;
    reserve(at(anna));
    place({{ben, first}});
    release(of_address);
    EXPECT_EQ(address_of(anna), std::nullopt);
    EXPECT_EQ(all_.owner(at(first)), nullptr);
}

TEST_F(FollowersTest, OfOneHostWaitForTheirOwnPortsOnly) {
    place({{anna, first}});
    const auto blocked = reserve(at(anna, 22)).id;
    const auto free = reserve(at(anna, 23)).id;
    reserve_for(at(first, 22), 7);
    EXPECT_EQ(all_.find(blocked)->address, std::nullopt);
    EXPECT_EQ(all_.find(free)->address, first);
    EXPECT_THAT(all_.followed(), ElementsAre(Pair(anna, first)));
    place({});
    EXPECT_EQ(all_.find(free)->address, first);
    place({{anna, second}});
    EXPECT_EQ(all_.find(blocked)->address, second);
    EXPECT_EQ(all_.find(free)->address, second);
}

TEST_F(FollowersTest, TakeOverWhatWasClaimedForTheHost) {
    place({{anna, first}});
    const auto claimed = claim(at(first));
    set_active(claimed.id);
    const auto difference = all_.reserve({.internal = at(anna)}, Origin::api, now);
    EXPECT_THAT(difference.before, SizeIs(1));
    EXPECT_THAT(difference.after, SizeIs(1));
    apply(difference);
    const auto& row = *all_.find(at(anna));
    EXPECT_EQ(row.id, claimed.id);
    EXPECT_EQ(row.external_port, port(51820));
    EXPECT_EQ(row.origin, Origin::api);
    EXPECT_EQ(row.address, first);
    EXPECT_EQ(row.mac, std::nullopt);
    EXPECT_EQ(all_.find(at(first)), nullptr);
    EXPECT_EQ(all_.size(), 1U);
    EXPECT_THAT(all_.claims(), IsEmpty());
}

TEST_F(FollowersTest, TakeOverTheAlternateThatWasClaimedForTheHost) {
    place({{anna, first}});
    reserve_for(at(third), 51820);
    const auto claimed = claim(at(first));
    ASSERT_NE(claimed.external_port, port(51820));
    const auto& row = reserve(at(anna));
    EXPECT_EQ(row.id, claimed.id);
    EXPECT_EQ(row.external_port, claimed.external_port);
}

TEST_F(FollowersTest, TakeOverAClaimWithAnotherPortWhereTheyAskForIt) {
    place({{anna, first}});
    const auto claimed = claim(at(first));
    const auto& row = reserve_for(at(anna), 7);
    EXPECT_EQ(row.id, claimed.id);
    EXPECT_EQ(row.external_port, port(7));
    EXPECT_EQ(all_.size(), 1U);
    EXPECT_EQ(all_.find(Protocol::udp, port(51820)), nullptr);
}

TEST_F(FollowersTest, OfTheConfigurationTakeOverWhatWasClaimedForTheHost) {
    place({{anna, first}});
    const auto claimed = claim(at(first));
    const std::array wanted{ReserveRequest{.internal = at(anna)}};
    const auto configured = all_.configure(wanted, now);
    EXPECT_THAT(configured.refused, IsEmpty());
    apply(configured.difference);
    EXPECT_EQ(all_.find(at(anna))->id, claimed.id);
    EXPECT_EQ(all_.find(at(anna))->origin, Origin::configured);
    EXPECT_EQ(address_of(anna), first);
    EXPECT_EQ(all_.size(), 1U);
    EXPECT_TRUE(all_.configure(wanted, now).difference.empty());
}

TEST_F(FollowersTest, TakeOverAClaimThatWaits) {
    place({{anna, first}});
    const auto claimed = claim(at(first));
    apply(all_.hold_back({{Protocol::udp, port(51820)}}));
    ASSERT_THAT(mappings(), IsEmpty());
    EXPECT_EQ(reserve(at(anna)).id, claimed.id);
    EXPECT_EQ(state_of(anna), ReservationState::settling);
    EXPECT_THAT(mappings(), ElementsAre(mapped(first, 51820, 51820)));
}

TEST_F(FollowersTest, LeaveTheClaimsOfOtherAddressesAlone) {
    place({{anna, first}, {ben, second}});
    const auto of_ben = claim(at(second, 51821));
    const auto of_port = claim(at(first, 51822));
    reserve(at(anna));
    EXPECT_EQ(*all_.find(of_ben.id), of_ben);
    EXPECT_EQ(*all_.find(of_port.id), of_port);
}

TEST_F(FollowersTest, HaveClaimsMakeWayWhereTheHostComes) {
    const auto id = reserve_for(at(anna), 7).id;
    claim(at(first));
    place({{anna, first}});
    expect_owner(at(first), id);
    EXPECT_EQ(all_.find(at(first)), nullptr);
    EXPECT_EQ(all_.find(id)->external_port, port(7));
    EXPECT_THAT(all_.claims(), IsEmpty());
    EXPECT_THAT(mappings(), ElementsAre(mapped(first, 51820, 7)));
}

TEST_F(FollowersTest, HaveNoClaimsMadeForWhatTheyOwn) {
    place({{anna, first}});
    reserve_for(at(anna), 7);
    const std::array claims{Claim{at(first), anna}, Claim{at(second), ben}};
    const auto claimed = all_.claim(claims, ClaimPolicy(), now);
    EXPECT_THAT(claimed.refused, IsEmpty());
    ASSERT_THAT(claimed.difference.after, SizeIs(1));
    EXPECT_EQ(claimed.difference.after[0].internal, at(second));
}

// Whoever was seen sending may be read from the neighbour table before it is followed there.
TEST_F(FollowersTest, HaveNoClaimsMadeForThemWhileTheyWait) {
    reserve_for(at(anna), 7);
    const std::array claims{Claim{at(first), anna}, Claim{at(first, 51821), anna}};
    const auto claimed = all_.claim(claims, ClaimPolicy(), now);
    ASSERT_THAT(claimed.difference.after, SizeIs(1)) << "another port of the host is its own";
    EXPECT_EQ(claimed.difference.after[0].internal, at(first, 51821));
}

TEST_F(FollowersTest, AreNotMovedByClaims) {
    reserve(at(anna));
    EXPECT_NE(claim(at(first)).external_port, port(51820)) << "it is kept for its host";
    EXPECT_EQ(all_.find(at(anna))->external_port, port(51820));
    EXPECT_TRUE(all_.forget(now + 1h).after.empty());
    EXPECT_THAT(all_.forget(now + 1h).before, SizeIs(1));
}

TEST_F(FollowersTest, HaveClaimsMakeWayForTheirExternalPort) {
    claim(at(first));
    EXPECT_EQ(reserve(at(anna)).external_port, port(51820));
    EXPECT_NE(all_.find(at(first))->external_port, port(51820));
}

TEST_F(FollowersTest, RenewedWhileTheHostIsAwayKeepTheirAddress) {
    place({{anna, first}});
    const auto before = reserve(at(anna));
    place({});
    EXPECT_TRUE(all_.reserve({.internal = at(anna)}, Origin::api, now + 1s).empty());
    apply(all_.change(before.id, {.external_port = port(7)}, now));
    auto expected = before;
    expected.external_port = port(7);
    EXPECT_EQ(*all_.find(before.id), expected);
    expect_owner(at(first), before.id);
}

TEST_F(FollowersTest, OfTheConfigurationKeepTheAddressOfAHostThatIsAway) {
    place({{anna, first}});
    const std::array wanted{ReserveRequest{.internal = at(anna)}};
    apply(all_.configure(wanted, now).difference);
    EXPECT_EQ(address_of(anna), first);
    place({});
    EXPECT_TRUE(all_.configure(wanted, now).difference.empty());
    const std::array other{ReserveRequest{.internal = at(anna), .external_port = port(7)}};
    apply(all_.configure(other, now).difference);
    EXPECT_EQ(address_of(anna), first);
    apply(all_.configure({}, now).difference);
    EXPECT_FALSE(all_.follows_hosts());
    EXPECT_EQ(all_.owner(at(first)), nullptr);
}

TEST_F(FollowersTest, ChangedWhileTheyWaitStillWait) {
    const auto id = reserve(at(anna)).id;
    apply(all_.change(id, {.external_port = port(7), .comment = comment("laptop")}, now));
    EXPECT_EQ(state_of(anna), ReservationState::waiting);
    EXPECT_THAT(mappings(), ElementsAre(mapped(std::nullopt, 51820, 7)));
    reserve_for(at(first), 8);
    place({{anna, first}});
    apply(all_.change(id, {.external_port = port(9), .lifetime = 10s}, now));
    EXPECT_EQ(state_of(anna), ReservationState::waiting);
    EXPECT_EQ(address_of(anna), std::nullopt);
}

TEST_F(FollowersTest, KeepTheirStateWhenTheyAreRenewed) {
    place({{anna, first}});
    const auto id = reserve(at(anna)).id;
    set_active(id);
    EXPECT_TRUE(all_.reserve({.internal = at(anna)}, Origin::api, now).empty());
    apply(all_.change(id, {.comment = comment("laptop")}, now));
    EXPECT_EQ(state_of(anna), ReservationState::active);
}

TEST_F(FollowersTest, ReservedTogetherWithTheAddressWait) {
    place({{anna, first}});
    std::vector<ReservationId> ids;
    for (const bool address_is_first : {false, true}) {
        SCOPED_TRACE(address_is_first);
        std::array requests{ReserveRequest{.internal = at(anna)},
                            ReserveRequest{.internal = at(first), .external_port = port(7)}};
        if (address_is_first) std::swap(requests[0], requests[1]);
        apply(all_.reserve_many(requests, Origin::api, now, ids));
        EXPECT_EQ(address_of(anna), std::nullopt);
        EXPECT_EQ(state_of(anna), ReservationState::waiting);
        expect_owner(at(first), all_.find(at(first))->id);
        apply(all_.release(ids));
        EXPECT_EQ(all_.size(), 0U);
    }
}

TEST_F(FollowersTest, ReleasedTogetherWithTheAddressAreGone) {
    place({{anna, first}});
    const auto of_address = reserve_for(at(first), 7).id;
    const auto of_host = reserve(at(anna)).id;
    const std::array both{of_host, of_address};
    const auto difference = all_.release(both);
    EXPECT_THAT(difference.before, SizeIs(2));
    EXPECT_THAT(difference.after, IsEmpty());
    apply(difference);
    EXPECT_EQ(all_.owner(at(first)), nullptr);
    EXPECT_FALSE(all_.follows_hosts());
}

TEST_F(FollowersTest, LeaveTheAddressWhenTheyAreReleased) {
    place({{anna, first}});
    release(reserve(at(anna)).id);
    EXPECT_EQ(all_.owner(at(first)), nullptr);
    EXPECT_THAT(all_.followed(), IsEmpty());
    EXPECT_EQ(claim(at(first)).external_port, port(51820));
}

TEST_F(FollowersTest, LastAsLongAsTheyWereAskedFor) {
    place({{anna, first}});
    reserve({.internal = at(anna), .lifetime = 10s});
    place({{anna, second}});
    EXPECT_EQ(all_.next_expiry(), now + 10s);
    apply(all_.expire(now + 10s));
    EXPECT_EQ(all_.size(), 0U);
    EXPECT_EQ(all_.owner(at(second)), nullptr);
}

TEST_F(FollowersTest, AreSeenAtTheAddressOfTheHost) {
    place({{anna, first}});
    const auto id = reserve(at(anna)).id;
    all_.saw(at(first), now + 1s);
    EXPECT_EQ(all_.find(id)->last_seen, now + 1s);
    all_.saw(at(second), now + 2s);
    EXPECT_EQ(all_.find(id)->last_seen, now + 1s);
    place({{anna, second}});
    EXPECT_EQ(all_.find(id)->last_seen, now + 1s);
}

// What was decided before hosts moved, and what was decided for where they are now, do not meet.
TEST_F(FollowersTest, HaveOneOwnerEachWhereNobodyHasFollowedYet) {
    place({{anna, first}, {ben, second}});
    const auto of_anna = reserve(at(anna)).id;
    Whereabouts swapped;
    swapped.of = {{anna, second}, {ben, first}};
    swapped.holders = {{first, ben}, {second, anna}};
    all_.set_whereabouts(swapped);
    const auto of_ben = reserve_for(at(ben), 7).id;
    std::map<Address, ReservationId> owners;
    for (const auto id : {of_anna, of_ben}) {
        const auto* row = all_.find(id);
        if (row->address) {
            EXPECT_TRUE(owners.emplace(*row->address, id).second) << "two owners";
            expect_owner(at(*row->address), id);
        }
    }
    apply(all_.follow());
    expect_owner(at(second), of_anna);
    expect_owner(at(first), of_ben);
}

TEST_F(FollowersTest, AreLoadedWhereTheyWere) {
    place({{anna, first}});
    reserve(at(anna));
    reserve_for(at(ben), 7);
    std::vector<Reservation> rows;
    for (const auto& entry : all_.rows()) {
        rows.push_back(entry.second);
        rows.back().state = ReservationState::settling;
    }
    const Reservations loaded(rows, all_.next_id());
    EXPECT_EQ(loaded, all_);
    EXPECT_EQ(loaded.find(at(anna))->address, first);
    EXPECT_EQ(loaded.find(at(anna))->state, ReservationState::settling);
    EXPECT_EQ(loaded.find(at(ben))->state, ReservationState::waiting);
    EXPECT_EQ(loaded.owner(at(first))->internal.host, HostKey(anna));
    EXPECT_TRUE(loaded.follow().empty());
    EXPECT_THAT(loaded.followed(), ElementsAre(Pair(anna, first)));
}

TEST_F(FollowersTest, AreLoadedWithoutAnAddressThatIsAnothers) {
    place({{anna, first}});
    auto of_anna = reserve(at(anna));
    auto of_ben = reserve_for(at(ben), 7);
    auto of_address = of_anna;
    of_address.internal = at(first);
    of_address.address = second;
    of_ben.address = first;
    for (const auto& owner : {of_anna, of_address}) {
        SCOPED_TRACE(to_text(owner.internal.host));
        const Reservations loaded({owner, of_ben}, all_.next_id());
        EXPECT_EQ(loaded.owner(at(first))->id, owner.id);
        EXPECT_EQ(loaded.owner(at(second)), nullptr);
        EXPECT_EQ(loaded.find(of_ben.id)->address, std::nullopt);
        EXPECT_EQ(loaded.find(of_ben.id)->state, ReservationState::waiting);
        EXPECT_TRUE(loaded.follow().empty());
    }
}

TEST_F(FollowersTest, CopiedAreTheSame) {
    place({{anna, first}});
    const auto id = reserve(at(anna)).id;
    const auto copy = all_;
    release(id);
    EXPECT_EQ(copy.owner(at(first))->id, id);
    EXPECT_EQ(copy.owner(at(first)), copy.find(id));
    EXPECT_EQ(copy.whereabouts(), all_.whereabouts());
    EXPECT_THAT(copy.followed(), ElementsAre(Pair(anna, first)));
    EXPECT_TRUE(copy.follow().empty());
}

TEST_F(FollowersTest, AreAtAllTheirIpv6Addresses) {
    const auto id = reserve_for(at(anna), 40001).id;
    EXPECT_FALSE(all_.has_pinholes());
    place_ipv6({ipv6_first, ipv6_second}, first);
    EXPECT_THAT(mappings(), ElementsAre(mapped(first, 51820, 40001)));
    EXPECT_THAT(pinholes(), ElementsAre(pinhole_at(ipv6_first), pinhole_at(ipv6_second)))
        << "with the port inside";
    expect_owner(at(ipv6_first), id);
    expect_owner(at(ipv6_second), id);
    EXPECT_THAT(all_.followed_ipv6(),
                ElementsAre(Pair(anna, ElementsAre(ipv6_first, ipv6_second))));
    EXPECT_TRUE(all_.has_pinholes());

    set_active(id);
    const auto moved = firewall_difference(place_ipv6({ipv6_second}, first));
    EXPECT_EQ(state_of(anna), ReservationState::settling);
    EXPECT_THAT(moved.pinholes.removed, ElementsAre(pinhole_at(ipv6_first)));
    EXPECT_TRUE(moved.mappings.empty());
    EXPECT_EQ(all_.owner(at(ipv6_first)), nullptr);

    apply(all_.change(id, {.filtering = Filtering::endpoint_independent}, now));
    EXPECT_THAT(pinholes(), ElementsAre(pinhole_at(ipv6_second, Filtering::endpoint_independent)));
    release(id);
    EXPECT_THAT(pinholes(), IsEmpty());
    EXPECT_FALSE(all_.has_pinholes());
}

TEST_F(FollowersTest, AreFoundByThePortsOfTheirIpv6Addresses) {
    const auto id = reserve_for(at(anna), 40001).id;
    const auto found = [this](std::uint64_t number) {
        std::vector<ReservationId> ids;
        for (const auto* row : all_.all_outside({Protocol::udp, port(number)})) {
            ids.push_back(row->id);
        }
        return ids;
    };
    EXPECT_THAT(found(40001), ElementsAre(id));
    EXPECT_THAT(found(51820), IsEmpty());
    place_ipv6({ipv6_first});
    EXPECT_THAT(found(40001), ElementsAre(id));
    EXPECT_THAT(found(51820), ElementsAre(id));
    apply(all_.change(id, {.external_port = port(51820)}, now));
    EXPECT_THAT(found(51820), ElementsAre(id)) << "once";
}

TEST_F(FollowersTest, AreInForceWithIpv6Alone) {
    const auto id = reserve(at(anna)).id;
    EXPECT_EQ(state_of(anna), ReservationState::waiting);
    place_ipv6({ipv6_first});
    EXPECT_EQ(state_of(anna), ReservationState::settling);
    EXPECT_THAT(mappings(), ElementsAre(mapped(std::nullopt, 51820, 51820)))
        << "its port is kept for it";
    set_active(id);
    place_ipv6({});
    EXPECT_EQ(all_.find(id)->ipv6_addresses, std::vector{ipv6_first}) << "nobody else is there";
    EXPECT_EQ(state_of(anna), ReservationState::active);
    place_ipv6({}, std::nullopt, {{ipv6_first, ben}});
    EXPECT_EQ(state_of(anna), ReservationState::waiting);
    EXPECT_THAT(pinholes(), IsEmpty());
}

TEST_F(FollowersTest, LeaveAnIpv6AddressToWhoReservesForIt) {
    reserve(at(anna));
    place_ipv6({ipv6_first, ipv6_second});
    const auto own =
        reserve({.internal = at(ipv6_first), .filtering = Filtering::address_and_port_dependent})
            .id;
    EXPECT_THAT(pinholes(),
                ElementsAre(pinhole_at(ipv6_first, Filtering::address_and_port_dependent),
                            pinhole_at(ipv6_second)));
    expect_owner(at(ipv6_first), own);
    EXPECT_THAT(place_ipv6({ipv6_first, ipv6_second}).after, IsEmpty());
    release(own);
    EXPECT_THAT(pinholes(), ElementsAre(pinhole_at(ipv6_first), pinhole_at(ipv6_second)));

    // Another port of that address is nobody's.
    reserve(at(ipv6_first, 7));
    EXPECT_THAT(pinholes(), SizeIs(3));
    // The last address taken, the row waits.
    place_ipv6({ipv6_second});
    reserve(at(ipv6_second));
    EXPECT_EQ(state_of(anna), ReservationState::waiting);
}

TEST_F(FollowersTest, KeepTheirIpv6AddressesWhereTheyAreRenewedStoredAndConfigured) {
    reserve(at(anna));
    place_ipv6({ipv6_first, ipv6_second}, first);
    reserve({.internal = at(anna), .comment = comment("laptop")});
    EXPECT_THAT(pinholes(), SizeIs(2));
    std::vector<Reservation> rows;
    for (const auto& [id, row] : all_.rows()) rows.push_back(row);
    const Reservations loaded(rows, all_.next_id());
    EXPECT_EQ(loaded, all_);
    EXPECT_THAT(desired_firewall({}, loaded).pinholes, SizeIs(2));

    const std::array wanted{ReserveRequest{.internal = at(anna)}};
    apply(all_.configure(wanted, now).difference);
    EXPECT_THAT(pinholes(), SizeIs(2));

    // Rows that contradict each other: the address's own goes first, as it is the older one here.
    const Reservation of_address{.id = ReservationId{1},
                                 .internal = at(ipv6_first),
                                 .external_port = port(51820),
                                 .filtering = default_filtering,
                                 .origin = Origin::api,
                                 .state = ReservationState::active,
                                 .comment = {}};
    auto of_host = rows.front();
    of_host.id = ReservationId{2};
    const Reservations both({of_address, of_host}, ReservationId{3});
    EXPECT_EQ(both.find(ReservationId{2})->ipv6_addresses, std::vector{ipv6_second});
}

}  // namespace
}  // namespace porthole
