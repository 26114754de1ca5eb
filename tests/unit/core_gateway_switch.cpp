// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway_fixture.hpp"

namespace porthole {
namespace {

using namespace support;

using testing::Contains;
using testing::HasSubstr;
using testing::SizeIs;

class GatewaySwitchTest : public LivelyGatewayFixture {
  protected:
    [[nodiscard]] std::vector<std::string> warnings() const { return gateway_->status().warnings; }
};

TEST_F(GatewaySwitchTest, TakesTheTableOutAndPutsItBack) {
    reserve({anna});
    report();
    gateway_->journal().drain();
    firewall_.forget_calls();
    settler_.orders.clear();

    gateway_->set_enabled(false);
    EXPECT_FALSE(firewall_.held.scope.enabled);
    EXPECT_EQ(firewall_.replaced, 1);
    EXPECT_TRUE(gateway_->journal().drain().reset) << "every row has another state";
    EXPECT_THAT(warnings(), Contains(HasSubstr("switched off")));

    reserve({ben, port(51821)});
    gateway_->look();
    gateway_->rebuild();
    EXPECT_THAT(settler_.orders, SizeIs(0)) << "flows are none of its business";
    EXPECT_EQ(gateway_->settling().ordered(), gateway_->settling().reported());

    gateway_->set_enabled(true);
    EXPECT_TRUE(firewall_.held.scope.enabled);
    EXPECT_THAT(firewall_.held.mappings, SizeIs(2));
    ASSERT_THAT(settler_.orders, SizeIs(1));
    EXPECT_THAT(settler_.orders.front().mappings.added, SizeIs(2));
    EXPECT_TRUE(settler_.orders.front().look);
    report();
    for (const auto& [id, row] : gateway_->reservations().rows()) {
        EXPECT_EQ(row.state, ReservationState::active);
    }
    EXPECT_THAT(warnings(), testing::Not(Contains(HasSubstr("switched off"))));
}

TEST_F(GatewaySwitchTest, DoesNothingWhereItIsSwitchedAlready) {
    gateway_->set_enabled(true);
    EXPECT_EQ(firewall_.replaced, 0);
    EXPECT_TRUE(gateway_->journal().empty());
}

TEST_F(GatewaySwitchTest, StaysOffOverRestartsAndReloads) {
    gateway_->set_enabled(false);
    start({});
    EXPECT_FALSE(gateway_->enabled());
    EXPECT_FALSE(firewall_.held.scope.enabled);
    EXPECT_THAT(settler_.orders, SizeIs(0));
    gateway_->reload(configured({{anna, 51820}}));
    gateway_->interfaces_changed(home("203.0.113.9"));
    EXPECT_FALSE(firewall_.held.scope.enabled);
    EXPECT_THAT(settler_.orders, SizeIs(0));
    gateway_->set_enabled(true);
    start(configured({{anna, 51820}}));
    EXPECT_TRUE(gateway_->enabled());
    EXPECT_THAT(firewall_.held.mappings, SizeIs(1));
}

TEST_F(GatewaySwitchTest, StaysAsItIsWhereTheKernelOrTheStoreFails) {
    reserve({anna});
    gateway_->journal().drain();
    for (const bool enabled : {true, false}) {
        gateway_->set_enabled(enabled);
        gateway_->journal().drain();
        firewall_.outcomes = {Outcome::failure};
        expect_unchanged<KernelFailure>([&] { gateway_->set_enabled(!enabled); }, "add element");
        {
            const FullDisk full;
            expect_unchanged<StorageFailure>([&] { gateway_->set_enabled(!enabled); }, "");
        }
        EXPECT_EQ(gateway_->enabled(), enabled);
    }
}

// A report of before comes in: nobody's flows are moved by it, and nothing is found out.
TEST_F(GatewaySwitchTest, ForgetsWhatItSaw) {
    reserve({anna});
    gateway_->set_enabled(false);
    report();
    EXPECT_EQ(gateway_->conflicts().open().size(), 0U);
    EXPECT_THAT(settler_.orders, SizeIs(1)) << "of the reservation";
}

}  // namespace
}  // namespace porthole
