// SPDX-License-Identifier: GPL-2.0-or-later
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/settling.hpp"
#include "gateway_fixture.hpp"

namespace porthole {
namespace {

using namespace support;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

SeenContact with(std::string_view remote) {
    return {{parse<Address>("", "192.168.2.2"), Protocol::udp, port(51820)},
            port(7),
            parse<Address>("", remote)};
}

class SettlingTest : public ::testing::Test {
  protected:
    void report(std::vector<SeenContact> contacts, const std::string& failure = {}) {
        settler_.report = SettleReport{settling_.ordered(), 0, failure};
        settler_.report->contacts = std::move(contacts);
        settling_.take_report();
    }

    ManualSettler settler_;
    Settling settling_{settler_};
};

TEST_F(SettlingTest, HandsContactsOverOnce) {
    EXPECT_THAT(settling_.take_contacts(), IsEmpty());
    report({with("192.0.2.1"), with("192.0.2.2")});
    EXPECT_THAT(settling_.take_contacts(), ElementsAre(with("192.0.2.1"), with("192.0.2.2")));
    EXPECT_THAT(settling_.take_contacts(), IsEmpty());
}

TEST_F(SettlingTest, KeepsContactsUntilTheyAreTaken) {
    report({with("192.0.2.2")});
    report({});
    settling_.take_report();
    report({with("192.0.2.1")});
    EXPECT_THAT(settling_.take_contacts(),
                UnorderedElementsAre(with("192.0.2.1"), with("192.0.2.2")));
}

TEST_F(SettlingTest, TellsOfContactsWhetherOrNotItLooked) {
    report({with("192.0.2.1")});
    EXPECT_FALSE(settling_.take_look());
    EXPECT_THAT(settling_.take_contacts(), SizeIs(1));
    report({with("192.0.2.1")}, "delete a flow: Operation not permitted");
    EXPECT_THAT(settling_.take_contacts(), SizeIs(1)) << "they are there, whatever failed";
}

TEST_F(SettlingTest, OrdersThatFlowsFromGoneAddressesAreSettled) {
    const auto gone = all<Address>({"203.0.113.2", "203.0.113.3"});
    settling_.order_everything({{}, {mapping(anna, 7)}}, {ReservationId{1}}, {}, gone);
    report({});
    settling_.order({{}, {mapping(ben, 8)}}, {}, {}, {ReservationId{2}});
    settling_.order_everything({}, {});
    ASSERT_THAT(settler_.orders, SizeIs(3));
    EXPECT_EQ(settler_.orders[0].gone_addresses, gone);
    EXPECT_THAT(settler_.orders[0].mappings.added, ElementsAre(mapping(anna, 7)));
    EXPECT_TRUE(settler_.orders[0].look);
    EXPECT_THAT(settler_.orders[1].gone_addresses, IsEmpty());
    EXPECT_FALSE(settler_.orders[1].look);
    EXPECT_THAT(settler_.orders[2].gone_addresses, IsEmpty());
}

// What is there says nothing of what has gone.
TEST_F(SettlingTest, OrdersWhatHasGoneAgainUntilItIsDone) {
    const auto gone = all<Address>({"203.0.113.2"});
    settling_.order({{mapping(anna, 7)}, {mapping(anna, 8)}}, {}, {}, {});
    settling_.order_everything({}, {}, {mapping(ben, 9)}, gone);
    report({}, "list the flows");
    settling_.order_everything({{}, {mapping(anna, 8)}}, {});
    EXPECT_THAT(settler_.orders.back().mappings.removed,
                ElementsAre(mapping(anna, 7), mapping(ben, 9)));
    EXPECT_EQ(settler_.orders.back().gone_addresses, gone);
    settling_.order({{mapping(anna, 8)}, {}}, {}, {}, {});
    settler_.report = SettleReport{settling_.ordered() - 1, 0, {}};
    settling_.take_report();
    EXPECT_EQ(settling_.failure(), "");
    settling_.order_everything({}, {});
    EXPECT_THAT(settler_.orders.back().mappings.removed, ElementsAre(mapping(anna, 8)))
        << "the rest is done";
    EXPECT_THAT(settler_.orders.back().gone_addresses, IsEmpty());
}

// What came in while pinholes were away is looked for again after a failure, once.
TEST_F(SettlingTest, JudgesAgainWhatItFailedToJudge) {
    const auto were_away = [this] { return settler_.orders.back().pinholes_were_away; };
    settling_.order_everything({}, {});
    EXPECT_FALSE(were_away());
    report({});
    settling_.order_everything({}, {}, {}, {}, true, true);
    EXPECT_TRUE(were_away());
    report({}, "list the IPv6 flows");
    settling_.order_everything({}, {});
    EXPECT_TRUE(were_away());
    report({}, "list the IPv6 flows");
    settling_.order_everything({}, {});
    EXPECT_TRUE(were_away());
    report({});
    settling_.order_everything({}, {});
    EXPECT_FALSE(were_away());

    settler_.report = SettleReport{settling_.ordered(), 0, {}};
    settler_.report->early = true;
    settling_.take_report();
    settling_.order_everything({}, {});
    EXPECT_TRUE(were_away()) << "packets were still on their way";
}

}  // namespace
}  // namespace porthole
