// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/former_owners.hpp"
#include "core_support.hpp"

namespace porthole {
namespace {

using namespace support;
using Rows = std::vector<Reservation>;

Reservation row(std::uint64_t id, std::uint64_t external_port, Protocol protocol = Protocol::udp) {
    return {.id = ReservationId{id},
            .internal = endpoint("192.168.2." + std::to_string(id + 1), 51820, protocol),
            .external_port = port(external_port),
            .filtering = default_filtering,
            .origin = Origin::api,
            .state = ReservationState::settling,
            .comment = Comment()};
}

class FormerOwnersTest : public ::testing::TestWithParam<Protocol> {
  protected:
    [[nodiscard]] bool are_succeeded(const Rows& before, const Rows& after) const {
        return former_.are_succeeded({before, after});
    }
    void follow(const Rows& before, const Rows& after) { former_.follow({before, after}); }

    [[nodiscard]] static Reservation has(std::uint64_t id, std::uint64_t external_port) {
        return row(id, external_port, GetParam());
    }
    [[nodiscard]] static Reservation has_of_other_protocol(std::uint64_t id,
                                                           std::uint64_t external_port) {
        return row(id, external_port, GetParam() == Protocol::udp ? Protocol::tcp : Protocol::udp);
    }

    FormerOwners former_;
};

TEST_P(FormerOwnersTest, AreNotThereAtFirst) {
    EXPECT_FALSE(are_succeeded({}, {}));
    EXPECT_FALSE(are_succeeded({}, {has(1, 7), has(2, 8)}));
    EXPECT_FALSE(are_succeeded({has(1, 7)}, {}));
    EXPECT_FALSE(are_succeeded({has(1, 7)}, {has(1, 8)}));
}

TEST_P(FormerOwnersTest, AreSucceededByWhoGetsTheirPortLater) {
    for (const std::uint64_t left : {1U, 7U, 65535U}) {
        SCOPED_TRACE(left);
        follow({has(1, left)}, {});
        EXPECT_TRUE(are_succeeded({}, {has(2, left)}));
        EXPECT_TRUE(are_succeeded({has(2, 100)}, {has(2, left)}));
        EXPECT_FALSE(are_succeeded({}, {has(2, left == 1 ? 2 : left - 1)}));
        EXPECT_FALSE(are_succeeded({}, {has_of_other_protocol(2, left)}));
    }
}

// Contacts of a port on one address let nobody in to the same port on another one.
TEST_P(FormerOwnersTest, AreSucceededOnTheirAddressOnly) {
    const auto at = [](std::uint64_t id, std::string_view address) {
        auto made = has(id, 7);
        made.external_address = ExternalAddress(parse<Address>("", address));
        return made;
    };
    follow({at(1, "203.0.113.1")}, {});
    EXPECT_TRUE(are_succeeded({}, {at(2, "203.0.113.1")}));
    EXPECT_FALSE(are_succeeded({}, {at(2, "203.0.113.2")}));
    EXPECT_FALSE(are_succeeded({}, {has(2, 7)}));
    EXPECT_FALSE(are_succeeded({}, {at(1, "203.0.113.1")}));
}

// Whom it has sent to is its own affair.
TEST_P(FormerOwnersTest, AreNotSucceededByThemselves) {
    follow({has(1, 7)}, {});
    auto again = has(1, 7);
    again.id = ReservationId{9};
    EXPECT_FALSE(are_succeeded({}, {again}));
    EXPECT_FALSE(are_succeeded({has(1, 7)}, {again}));
    follow({}, {again});
    EXPECT_TRUE(are_succeeded({again}, {has(2, 7)}));
    auto other_service = again;
    other_service.internal.port = port(51821);
    EXPECT_TRUE(are_succeeded({}, {other_service}));
}

TEST_P(FormerOwnersTest, AreSucceededByAnotherHostWithTheirAddress) {
    auto claim = has(1, 7);
    claim.origin = Origin::automatic;
    claim.mac = *TextForm<MacAddress>::parse("02:00:5e:10:00:01");
    follow({claim}, {});
    EXPECT_FALSE(are_succeeded({}, {claim}));
    claim.mac = *TextForm<MacAddress>::parse("02:00:5e:10:00:02");
    EXPECT_TRUE(are_succeeded({}, {claim}));
}

TEST_P(FormerOwnersTest, LeaveAPortByMovingToAnotherOne) {
    follow({has(1, 7)}, {has(1, 8)});
    EXPECT_TRUE(are_succeeded({}, {has(2, 7)}));
    EXPECT_FALSE(are_succeeded({}, {has(2, 8)})) << "nobody has left it";
}

TEST_P(FormerOwnersTest, AreRememberedWhateverElseChanges) {
    follow({has(1, 7)}, {});
    follow({}, {has(2, 8)});
    follow({has(2, 8)}, {has(2, 9)});
    follow({has_of_other_protocol(3, 9)}, {});
    EXPECT_TRUE(are_succeeded({}, {has(4, 100), has(5, 7)}));
    EXPECT_TRUE(are_succeeded({}, {has(4, 8)}));
    EXPECT_FALSE(are_succeeded({}, {has(4, 9)}));
    EXPECT_TRUE(are_succeeded({}, {has_of_other_protocol(4, 9)}));
}

TEST_P(FormerOwnersTest, AreSucceededWithinOneChange) {
    EXPECT_TRUE(are_succeeded({has(1, 7)}, {has(2, 7)}));
    EXPECT_TRUE(are_succeeded({has(1, 7)}, {has(1, 8), has(2, 7)}));
    EXPECT_TRUE(are_succeeded({has(1, 7), has(2, 8)}, {has(1, 8)}));
    EXPECT_FALSE(are_succeeded({has(1, 7)}, {has_of_other_protocol(2, 7)}));
    EXPECT_FALSE(are_succeeded({has(1, 7)}, {has(2, 8)}));
}

TEST_P(FormerOwnersTest, AreSucceededWhereTwoSwapTheirPorts) {
    EXPECT_TRUE(are_succeeded({has(1, 7), has(2, 8)}, {has(1, 8), has(2, 7)}));
    EXPECT_FALSE(are_succeeded({has(1, 7), has_of_other_protocol(2, 8)},
                               {has(1, 8), has_of_other_protocol(2, 7)}));
}

// Given up in an order that is not the order of the ports.
TEST_P(FormerOwnersTest, AreFoundAmongMany) {
    Rows before;
    for (std::uint64_t id = 1; id <= 100; ++id) before.push_back(has(id, 1000 - id));
    for (std::uint64_t id = 1; id <= 100; ++id) {
        EXPECT_TRUE(are_succeeded(before, {has(101, 1000 - id)})) << id;
    }
    EXPECT_FALSE(are_succeeded(before, {has(101, 1000)}));
    EXPECT_FALSE(are_succeeded(before, {has(101, 899)}));
}

TEST_P(FormerOwnersTest, AreNotThoseWhoKeepTheirPorts) {
    auto changed = has(3, 7);
    changed.filtering = Filtering::endpoint_independent;
    changed.comment = comment("laptop");
    changed.state = ReservationState::active;
    changed.expires = now;
    EXPECT_FALSE(are_succeeded({has(3, 7)}, {changed}));
    // Between others that come and go.
    const Rows before{has(1, 5), has(3, 7), has(5, 9)};
    const Rows after{changed, has(6, 6), has(7, 8)};
    EXPECT_FALSE(are_succeeded(before, after));
    follow(before, after);
    EXPECT_FALSE(are_succeeded({}, {has(8, 7)})) << "it was not given up";
    EXPECT_TRUE(are_succeeded({}, {has(8, 5)}));
    EXPECT_TRUE(are_succeeded({}, {has(8, 9)}));
    EXPECT_FALSE(are_succeeded({changed}, {has(3, 7)}));
}

TEST_P(FormerOwnersTest, AreNoMoreOnceTheirContactsAreForgotten) {
    follow({has(1, 7), has_of_other_protocol(2, 7)}, {});
    former_.forget();
    EXPECT_FALSE(are_succeeded({}, {has(3, 7), has_of_other_protocol(4, 7)}));
    follow({has(3, 7)}, {});
    EXPECT_TRUE(are_succeeded({}, {has(5, 7)}));
}

TEST_P(FormerOwnersTest, AreLookedAtWithoutBeingChanged) {
    follow({has(1, 7)}, {});
    EXPECT_TRUE(are_succeeded({has(2, 8)}, {has(2, 7)}));
    EXPECT_TRUE(are_succeeded({has(2, 8)}, {has(2, 7)}));
    EXPECT_FALSE(are_succeeded({}, {has(3, 8)})) << "that change was not made";
}

INSTANTIATE_TEST_SUITE_P(Protocols, FormerOwnersTest,
                         ::testing::Values(Protocol::udp, Protocol::tcp),
                         [](const auto& test) { return to_text(test.param); });

// Contacts of a pinhole are its address's: whoever has that now must not get the other's.
TEST(FormerOwnersOfAddresses, AreSucceededWhereAnAddressChangesHands) {
    const auto at = [](std::uint64_t id, std::string_view mac, std::vector<Address> addresses) {
        return Reservation{.id = ReservationId{id},
                           .internal = endpoint(mac, 51820),
                           .external_port = port(40000 + id),
                           .filtering = default_filtering,
                           .origin = Origin::api,
                           .state = ReservationState::active,
                           .comment = {},
                           .ipv6_addresses = std::move(addresses)};
    };
    const auto place = all<Address>({"2001:db8::2"});
    const auto anna = at(1, "02:00:5e:10:00:01", place);
    const auto anna_away = at(1, "02:00:5e:10:00:01", {});
    const auto ben = at(2, "02:00:5e:10:00:02", place);
    const auto ben_away = at(2, "02:00:5e:10:00:02", {});
    FormerOwners former;
    EXPECT_TRUE(former.are_succeeded({{anna, ben_away}, {anna_away, ben}})) << "at once";
    EXPECT_FALSE(former.are_succeeded({{anna_away}, {anna}}));
    former.follow({{anna}, {anna_away}});
    EXPECT_FALSE(former.are_succeeded({{anna_away}, {anna}})) << "it has come back";
    EXPECT_TRUE(former.are_succeeded({{ben_away}, {ben}}));
    auto other_port = ben;
    other_port.internal.port = port(51821);
    EXPECT_FALSE(former.are_succeeded({{}, {other_port}}));

    auto own = at(3, "02:00:5e:10:00:03", {});
    own.internal.host = place[0];
    own.external_port = own.internal.port;
    EXPECT_TRUE(former.are_succeeded({{}, {own}}));
    former.forget();
    EXPECT_FALSE(former.are_succeeded({{}, {own}}));
}

}  // namespace
}  // namespace porthole
