// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/explanation.hpp"
#include "gateway_fixture.hpp"

namespace porthole {
namespace {

using namespace support;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::ThrowsMessage;

Place place(std::string_view text) { return parse<Place>("place", text); }

/// A kernel that has these flows, and sends everything through one interface.
class OneWay : public Tracer {
  public:
    int way_out(const Address& /*host*/, const Address& /*remote*/) override { return out; }
    std::optional<TrackedFlow> flow_of(Protocol /*protocol*/, const Place& source,
                                       const Place& destination) override {
        for (const auto& flow : flows) {
            const bool first = flow.source == source && flow.destination == destination;
            const bool answer = flow.remote == source && flow.shown == destination;
            if (first || answer) return flow;
        }
        return std::nullopt;
    }

    int out = 2;  ///< the WAN of home()
    std::vector<TrackedFlow> flows;
};

class ExplanationTest : public GatewayFixture {
  protected:
    Explanation explain(const Endpoint& from = anna) {
        return gateway_->explain(from, remote_, kernel_);
    }
    /// A flow of the remote's that came for a port of this address, and was sent on.
    [[nodiscard]] TrackedFlow forwarded(std::string_view to) const {
        return {remote_, place(to), place("192.168.2.9:1"), remote_, true};
    }

    const Place remote_ = place("192.0.2.9:51820");
    OneWay kernel_;
};

TEST_F(ExplanationTest, KnowsNoWayWhereTheInterfaceHasGone) {
    kernel_.out = 77;
    EXPECT_EQ(explain().verdict, Verdict::no_route);
}

TEST_F(ExplanationTest, LooksForWhatIsInTheWayOnTheAddressesOfTheInterface) {
    auto interfaces = home();
    interfaces.links.push_back(
        {5, parse<InterfaceName>("", "wan2"), LinkLayer::ethernet, "", true});
    interfaces.addresses.push_back({5, parse<Address>("", "198.51.100.2"), 24});
    interfaces.default_routes.push_back({5, Family::ipv4, 100});
    gateway_->interfaces_changed(interfaces);
    reserve({.internal = anna});
    auto flow = forwarded("198.51.100.2:51820");
    flow.source = flow.remote = remote_;
    flow.shown = flow.destination;
    kernel_.flows = {flow};
    EXPECT_EQ(explain().verdict, Verdict::reserved) << "the other WAN's is not in the way";
    kernel_.out = 5;
    EXPECT_EQ(explain().verdict, Verdict::blocked);
}

TEST_F(ExplanationTest, SaysWhatBecomesOfAFlowThatIsThere) {
    reserve({.internal = anna, .external_port = port(51900)});
    TrackedFlow flow{place("192.168.2.2:51820"), remote_, remote_, place("203.0.113.2:51900"),
                     true};
    kernel_.flows = {flow};
    EXPECT_EQ(explain().verdict, Verdict::follows_flow);
    EXPECT_EQ(explain().external_port, port(51900));
    EXPECT_THAT(explain().steps, Contains(HasSubstr("That is the port of reservation 1")));

    kernel_.flows[0].shown = place("203.0.113.2:51820");
    EXPECT_THAT(explain().steps, Contains(HasSubstr("is being removed")));

    kernel_.flows[0].shown = place("192.168.2.2:51820");
    EXPECT_THAT(explain().steps, Contains(HasSubstr("not translated")));
    EXPECT_THAT(explain().steps, Not(Contains(HasSubstr("removed"))));

    kernel_.flows[0].shown = place("192.168.2.2:51900");
    EXPECT_THAT(explain().steps, Not(Contains(HasSubstr("That is the port"))));
}

TEST_F(ExplanationTest, IsForHostsOnly) {
    EXPECT_THAT([&] { explain(endpoint("192.168.2.1", 7)); },
                ThrowsMessage<InvalidArgument>(HasSubstr("the gateway's own")));
    EXPECT_THAT([&] { explain(endpoint("02:00:5e:10:00:01", 7)); },
                ThrowsMessage<InvalidArgument>(HasSubstr("02:00:5e:10:00:01")));
    EXPECT_THAT([&] { explain(endpoint("2001:db8::2", 7)); },
                ThrowsMessage<InvalidArgument>(HasSubstr("of the same family")));
}

TEST_F(ExplanationTest, SaysThatAClaimWaits) {
    Reservations reservations({{.id = ReservationId{1},
                                .internal = anna,
                                .external_port = port(51820),
                                .filtering = default_filtering,
                                .origin = Origin::automatic,
                                .state = ReservationState::waiting,
                                .comment = Comment()}},
                              ReservationId{2});
    const auto answer = porthole::explain(
        {Protocol::udp, place("192.168.2.2:51820"), remote_}, gateway_->perimeter(), reservations,
        [](int) { return std::string("wan"); }, kernel_);
    EXPECT_EQ(answer.verdict, Verdict::left_to_others);
    EXPECT_THAT(answer.steps, Contains(HasSubstr("others still use that")));
}

TEST_F(ExplanationTest, SaysWhoComesInToAReservedPort) {
    const auto id = reserve({.internal = anna, .external_port = port(51900)}).id;
    const auto steps = [&](Filtering filtering) {
        gateway_->change(id, {.filtering = filtering}, std::nullopt);
        const auto answer = explain();
        EXPECT_EQ(answer.verdict, Verdict::reserved);
        EXPECT_EQ(answer.external_port, port(51900));
        return answer.steps;
    };
    const auto everybody = HasSubstr("Whoever sends to port 51900 reaches the host");
    const auto contacts = HasSubstr("192.0.2.9 may answer from any port");
    const auto answers = HasSubstr("Packets of 192.0.2.9:51820 to port 51900 are its answers");
    const auto others = HasSubstr("is dropped");

    const auto open = steps(Filtering::endpoint_independent);
    EXPECT_THAT(open, Contains(AllOf(everybody, HasSubstr("endpoint-independent"))));
    EXPECT_THAT(open, Not(Contains(AnyOf(contacts, answers, others))));
    const auto by_address = steps(Filtering::address_dependent);
    EXPECT_THAT(by_address, Contains(AllOf(contacts, HasSubstr("to port 51900"), others)));
    EXPECT_THAT(by_address, Not(Contains(AnyOf(everybody, answers))));
    const auto strict = steps(Filtering::address_and_port_dependent);
    EXPECT_THAT(strict, Contains(AllOf(answers, others)));
    EXPECT_THAT(strict, Not(Contains(AnyOf(everybody, contacts))));
}

TEST_F(ExplanationTest, SaysWhoComesInOnlyWhereThePacketLeavesFromItsPort) {
    reserve({.internal = anna, .filtering = Filtering::endpoint_independent});
    const auto everybody = Contains(HasSubstr("Whoever sends to"));
    EXPECT_THAT(explain(anna).steps, everybody);
    EXPECT_THAT(explain(ben).steps, Not(everybody)) << "it is another host's port";
    auto flow = forwarded("203.0.113.2:51820");
    flow.source = flow.remote = remote_;
    flow.shown = flow.destination;
    kernel_.flows = {flow};
    const auto blocked = explain(anna);
    EXPECT_EQ(blocked.verdict, Verdict::blocked);
    EXPECT_THAT(blocked.steps, Not(everybody));
}

TEST(VerdictText, IsThatOfTheContract) {
    for (const auto* text : {"reserved", "displaced", "masqueraded", "left-to-others",
                             "follows-flow", "blocked", "stays-inside", "no-route"}) {
        const auto verdict = TextForm<Verdict>::parse(text);
        ASSERT_TRUE(verdict) << text;
        EXPECT_EQ(to_text(*verdict), text);
    }
    EXPECT_EQ(TextForm<Verdict>::parse("dropped"), std::nullopt);
}

}  // namespace
}  // namespace porthole
