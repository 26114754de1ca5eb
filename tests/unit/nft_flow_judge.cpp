// SPDX-License-Identifier: GPL-2.0-or-later
// Flows that a remote has begun and the rules have sent on to an owner, and whom owners have flows
// with.
#include <cstdint>
#include <optional>
#include <ostream>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core_support.hpp"
#include "flow.hpp"
#include "types/place.hpp"

namespace porthole::nft {

// NOLINTNEXTLINE(readability-identifier-naming): GoogleTest's
void PrintTo(FlowVerdict verdict, std::ostream* out) {
    *out << "verdict " << static_cast<unsigned>(verdict);
}

namespace {

using namespace support;
using testing::Optional;

FlowEnd end_at(std::string_view text) {
    const auto place = parse<Place>("place", text);
    return {place.address.v4_value(), place.port.value()};
}

const auto wan = parse<Address>("", "203.0.113.2");
const auto former_wan = parse<Address>("", "203.0.113.77");
const auto remote_address = parse<Address>("", "192.0.2.9");

const auto anna = end_at("192.168.2.2:51820");
const auto ben = end_at("192.168.2.3:51820");
const auto remote = end_at("192.0.2.9:40000");
const auto shown = end_at("203.0.113.2:7");

Mapping mapped(const FlowEnd& host, std::uint64_t external_port,
               Protocol protocol = Protocol::udp) {
    return {protocol, Address::v4(host.address), port(host.port), port(external_port)};
}

Sighting sighting(const FlowEnd& host, Protocol protocol = Protocol::udp) {
    return {Address::v4(host.address), protocol, port(host.port)};
}

/// What `from` has begun, and the rules have sent on from `to` to `host`.
Flow inbound(const FlowEnd& from, const FlowEnd& to, const FlowEnd& host, bool answered = true) {
    return {1, Protocol::udp, {from, to}, {host, from}, answered};
}

/// What `host` has begun, and shows to `to` as `as`.
Flow outbound(const FlowEnd& host, const FlowEnd& to, const FlowEnd& as, bool answered = true) {
    return {1, Protocol::udp, {host, to}, {to, as}, answered};
}

Flow of_tcp(Flow flow) {
    flow.protocol = Protocol::tcp;
    return flow;
}

class FlowJudgeTest : public testing::Test {
  protected:
    FlowJudgeTest() {
        scope_.nat_sources = all<Network>({"192.168.2.0/24"});
        scope_.wan_addresses = {wan};
        scope_.watched = PortRange::from(port(51820), port(51899));
    }

    SettleOrder order(std::vector<Mapping> removed, std::vector<Mapping> added) {
        SettleOrder made;
        made.ticket = ++ticket_;
        made.mappings = {std::move(removed), std::move(added)};
        made.scope = scope_;
        return made;
    }
    void settle(std::vector<Mapping> removed, std::vector<Mapping> added) {
        judge_.follow(order(std::move(removed), std::move(added)));
    }
    void look(std::vector<Mapping> added) {
        auto everything = order({}, std::move(added));
        everything.look = true;
        judge_.follow(everything);
    }
    // The WAN has this address now, and not that one.
    void readdress(const Address& now, const Address& gone, std::vector<Mapping> added) {
        scope_.wan_addresses = {now};
        auto everything = order({}, std::move(added));
        everything.gone_addresses = {gone};
        judge_.follow(everything);
    }

    void expect_fine(const Flow& flow) const { EXPECT_EQ(judge_.judge(flow), FlowVerdict::fine); }
    void expect_wrong(const Flow& flow) const { EXPECT_EQ(judge_.judge(flow), FlowVerdict::wrong); }

    Scope scope_;
    std::uint64_t ticket_ = 0;
    FlowJudge judge_;
};

const std::optional<Sighting> nobody;
const std::optional<SeenContact> no_contact;

TEST_F(FlowJudgeTest, FindsFineWhatCameInToTheOwner) {
    settle({}, {mapped(anna, 7)});
    expect_fine(inbound(remote, shown, anna));
    expect_fine(inbound(remote, shown, anna, false));
    expect_fine(outbound(anna, remote, shown));
}

TEST_F(FlowJudgeTest, EndsWhatCameInByAMappingThatWasRemoved) {
    settle({mapped(anna, 7)}, {});
    expect_wrong(inbound(remote, shown, anna));
    expect_wrong(inbound(remote, shown, anna, false));
    expect_fine(outbound(anna, remote, shown));  // nobody has the port
}

TEST_F(FlowJudgeTest, HasToLookWhereAMappingWasRemoved) {
    EXPECT_TRUE(judge_.finds_all_fine());
    settle({mapped(anna, 7)}, {});
    EXPECT_FALSE(judge_.finds_all_fine());
    settle({}, {mapped(anna, 7)});
    EXPECT_FALSE(judge_.finds_all_fine());
}

TEST_F(FlowJudgeTest, HasNothingToEndOfAHostThatWasAway) {
    auto away = mapped(anna, 7);
    away.host.reset();
    settle({away}, {});
    EXPECT_TRUE(judge_.finds_all_fine());
    expect_fine(inbound(remote, shown, anna));
}

TEST_F(FlowJudgeTest, LeavesAloneWhatOtherMappingsAndPortForwardsSendOn) {
    settle({mapped(anna, 7)}, {});
    expect_fine(inbound(remote, shown, ben));
    expect_fine(inbound(remote, shown, end_at("192.168.2.2:51821")));
    expect_fine(inbound(remote, end_at("203.0.113.2:8"), anna));
    expect_fine(of_tcp(inbound(remote, shown, anna)));
    expect_fine(inbound(remote, end_at("198.51.100.9:7"), anna));  // no address of the gateway's
}

TEST_F(FlowJudgeTest, LeavesAPortForwardAloneWhoseverThePortIs) {
    settle({}, {mapped(anna, 7)});
    expect_fine(inbound(remote, shown, ben));
    expect_fine(inbound(remote, shown, ben, false));
    settle({mapped(anna, 7)}, {mapped(anna, 8)});
    expect_fine(inbound(remote, shown, ben));
}

TEST_F(FlowJudgeTest, EndsWhatCameInByThePortThatAnOwnerHadBefore) {
    settle({mapped(anna, 7)}, {mapped(anna, 8)});
    expect_wrong(inbound(remote, shown, anna));
    expect_fine(inbound(remote, end_at("203.0.113.2:8"), anna));
}

TEST_F(FlowJudgeTest, EndsWhatCameInToWhoHadThePortBefore) {
    settle({mapped(anna, 7)}, {mapped(ben, 7)});
    expect_wrong(inbound(remote, shown, anna));
    expect_wrong(outbound(anna, remote, shown));
    expect_fine(inbound(remote, shown, ben));
    EXPECT_EQ(judge_.contact_of(inbound(remote, shown, anna)), no_contact);
}

TEST_F(FlowJudgeTest, EndsWhatCameInToBothWhereTheySwapPorts) {
    const auto eight = end_at("203.0.113.2:8");
    settle({mapped(anna, 7), mapped(ben, 8)}, {mapped(ben, 7), mapped(anna, 8)});
    expect_wrong(inbound(remote, shown, anna));
    expect_wrong(inbound(remote, eight, ben));
    expect_fine(inbound(remote, shown, ben));
    expect_fine(inbound(remote, eight, anna));
}

TEST_F(FlowJudgeTest, LeavesAloneWhatIsThereWhereOnlyTheFilteringChanges) {
    auto open = mapped(anna, 7);
    open.filtering = Filtering::endpoint_independent;
    auto strict = mapped(anna, 7);
    strict.filtering = Filtering::address_and_port_dependent;
    settle({open}, {strict});
    expect_fine(inbound(remote, shown, anna));
    expect_fine(inbound(remote, shown, anna, false));
    expect_fine(outbound(anna, remote, shown));
    settle({strict}, {mapped(anna, 7)});
    expect_fine(inbound(remote, shown, anna));
    settle({mapped(anna, 7)}, {});
    expect_wrong(inbound(remote, shown, anna));
}

// Orders that wait are done together.
TEST_F(FlowJudgeTest, GoesByTheLatestOfSeveralOrders) {
    settle({mapped(anna, 7)}, {});
    settle({}, {mapped(anna, 7)});
    expect_fine(inbound(remote, shown, anna));
    settle({mapped(anna, 7)}, {});
    settle({}, {mapped(ben, 7)});
    expect_wrong(inbound(remote, shown, anna));
    settle({}, {mapped(anna, 8)});
    expect_wrong(inbound(remote, shown, anna));
}

// All that wait are settled together.
TEST_F(FlowJudgeTest, KnowsEveryPortThatAnOwnerHadInSeveralOrders) {
    settle({mapped(anna, 7)}, {mapped(anna, 8)});
    settle({mapped(anna, 8)}, {mapped(anna, 9)});
    expect_wrong(inbound(remote, shown, anna));
    expect_wrong(inbound(remote, end_at("203.0.113.2:8"), anna));
    expect_fine(inbound(remote, end_at("203.0.113.2:9"), anna));
}

TEST_F(FlowJudgeTest, KeepsTheProtocolsApart) {
    settle({mapped(anna, 7, Protocol::tcp)}, {mapped(anna, 7)});
    expect_wrong(of_tcp(inbound(remote, shown, anna)));
    expect_fine(inbound(remote, shown, anna));
}

TEST_F(FlowJudgeTest, EndsWhatCameInAtAnAddressThatIsGone) {
    const auto old = end_at("203.0.113.77:7");
    readdress(wan, former_wan, {mapped(anna, 7)});
    expect_wrong(inbound(remote, old, anna));
    expect_wrong(inbound(remote, old, anna, false));
    expect_fine(inbound(remote, shown, anna));
}

TEST_F(FlowJudgeTest, LeavesPortForwardsOfAGoneAddressAlone) {
    readdress(wan, former_wan, {mapped(anna, 7)});
    expect_fine(inbound(remote, end_at("203.0.113.77:7"), ben));
    expect_fine(inbound(remote, end_at("203.0.113.77:8"), anna));
    expect_fine(inbound(remote, end_at("203.0.113.78:7"), anna));  // never one of the gateway's
}

TEST_F(FlowJudgeTest, EndsWhatCameInAtAGoneAddressByARemovedMapping) {
    settle({mapped(anna, 7)}, {});
    expect_fine(inbound(remote, end_at("203.0.113.77:7"), anna));
    readdress(wan, former_wan, {});
    expect_wrong(inbound(remote, end_at("203.0.113.77:7"), anna));
    expect_wrong(inbound(remote, shown, anna));
}

TEST_F(FlowJudgeTest, RemembersGoneAddressesUntilTheyAreBack) {
    const auto old = end_at("203.0.113.77:7");
    readdress(wan, former_wan, {mapped(anna, 7)});
    settle({}, {mapped(ben, 8)});
    expect_wrong(inbound(remote, old, anna));
    readdress(former_wan, wan, {mapped(anna, 7)});
    expect_fine(inbound(remote, old, anna));
    expect_wrong(inbound(remote, shown, anna));
}

TEST_F(FlowJudgeTest, IsShownTheOwnerByWhatHeHasAnswered) {
    look({mapped(anna, 7)});
    EXPECT_THAT(judge_.shows(inbound(remote, shown, anna)), Optional(sighting(anna)));
    EXPECT_EQ(judge_.shows(inbound(remote, shown, anna, false)), nobody) << "he may be off";
    EXPECT_EQ(judge_.shows(inbound(remote, shown, ben)), nobody) << "a port forward";
    EXPECT_EQ(judge_.shows(inbound(remote, end_at("203.0.113.2:8"), anna)), nobody);
    EXPECT_EQ(judge_.shows(inbound(remote, end_at("203.0.113.77:7"), anna)), nobody);
    EXPECT_EQ(judge_.shows(of_tcp(inbound(remote, shown, anna))), nobody);
}

TEST_F(FlowJudgeTest, IsShownTheOwnerByWhatHeHasBegun) {
    look({mapped(anna, 7), mapped(end_at("192.168.2.2:80"), 80, Protocol::tcp)});
    EXPECT_THAT(judge_.shows(outbound(anna, remote, shown)), Optional(sighting(anna)));
    EXPECT_THAT(judge_.shows(outbound(anna, remote, shown, false)), Optional(sighting(anna)));
    EXPECT_THAT(judge_.shows(outbound(anna, remote, anna)), Optional(sighting(anna)))
        << "whatever becomes of it";
    const auto web = end_at("192.168.2.2:80");
    EXPECT_THAT(judge_.shows(of_tcp(outbound(web, remote, end_at("203.0.113.2:80")))),
                Optional(sighting(web, Protocol::tcp)));
}

TEST_F(FlowJudgeTest, IsShownHostsOnWatchedPorts) {
    look({mapped(anna, 7)});
    const auto as = end_at("203.0.113.2:51820");
    EXPECT_THAT(judge_.shows(outbound(ben, remote, as)), Optional(sighting(ben)));
    EXPECT_EQ(judge_.shows(of_tcp(outbound(ben, remote, as))), nobody);
    EXPECT_EQ(judge_.shows(outbound(end_at("192.168.2.3:51900"), remote, as)), nobody);
    EXPECT_EQ(judge_.shows(outbound(end_at("192.168.3.3:51820"), remote, as)), nobody);
    EXPECT_EQ(judge_.shows(outbound(ben, remote, ben)), nobody) << "it is not translated";
    EXPECT_EQ(judge_.shows(outbound(ben, remote, end_at("10.9.0.1:51820"))), nobody);
}

TEST_F(FlowJudgeTest, IsShownNobodyByTheGatewaysFlows) {
    scope_.nat_sources = all<Network>({"0.0.0.0/0"});
    look({mapped(anna, 7)});
    EXPECT_EQ(judge_.shows(outbound(end_at("203.0.113.2:51820"), remote, shown)), nobody);
}

TEST_F(FlowJudgeTest, IsShownNobodyWhereNobodyWantsToKnow) {
    settle({}, {mapped(anna, 7)});
    EXPECT_FALSE(judge_.looks());
    EXPECT_EQ(judge_.shows(inbound(remote, shown, anna)), nobody);
    EXPECT_EQ(judge_.shows(outbound(anna, remote, shown)), nobody);
    look({mapped(anna, 7)});
    settle({}, {mapped(ben, 8)});
    EXPECT_THAT(judge_.shows(inbound(remote, shown, anna)), Optional(sighting(anna)));
}

TEST_F(FlowJudgeTest, CountsAsContactsWhomTheOwnerHasSentTo) {
    settle({}, {mapped(anna, 7)});
    const SeenContact expected{sighting(anna), port(7), remote_address};
    EXPECT_THAT(judge_.contact_of(outbound(anna, remote, shown)), Optional(expected));
    EXPECT_THAT(judge_.contact_of(outbound(anna, remote, shown, false)), Optional(expected));
    EXPECT_THAT(judge_.contact_of(inbound(remote, shown, anna)), Optional(expected));
    EXPECT_EQ(judge_.contact_of(inbound(remote, shown, anna, false)), no_contact)
        << "he has sent nothing there";
}

TEST_F(FlowJudgeTest, CountsAsContactWhoAnswers) {
    settle({}, {mapped(anna, 7)});
    auto redirected = outbound(anna, end_at("198.51.100.9:53"), shown);
    redirected.reply.source = remote;
    EXPECT_THAT(judge_.contact_of(redirected),
                Optional(SeenContact{sighting(anna), port(7), remote_address}));
}

TEST_F(FlowJudgeTest, CountsNoContactsOfOtherPorts) {
    settle({}, {mapped(anna, 7)});
    EXPECT_EQ(judge_.contact_of(outbound(anna, remote, end_at("203.0.113.2:8"))), no_contact);
    EXPECT_EQ(judge_.contact_of(outbound(anna, remote, end_at("203.0.113.77:7"))), no_contact);
    EXPECT_EQ(judge_.contact_of(outbound(anna, remote, anna)), no_contact) << "untranslated";
    EXPECT_EQ(judge_.contact_of(outbound(end_at("192.168.2.2:51821"), remote, shown)), no_contact);
    EXPECT_EQ(judge_.contact_of(outbound(ben, remote, shown)), no_contact);
    EXPECT_EQ(judge_.contact_of(of_tcp(outbound(anna, remote, shown))), no_contact);
    EXPECT_EQ(judge_.contact_of(inbound(remote, end_at("203.0.113.2:8"), anna)), no_contact);
    EXPECT_EQ(judge_.contact_of(inbound(remote, end_at("203.0.113.77:7"), anna)), no_contact);
    EXPECT_EQ(judge_.contact_of(inbound(remote, shown, ben)), no_contact) << "a port forward";
    EXPECT_EQ(judge_.contact_of(of_tcp(inbound(remote, shown, anna))), no_contact);
    EXPECT_EQ(judge_.contact_of(outbound(end_at("203.0.113.2:7"), remote, shown)), no_contact)
        << "the gateway's own";
}

TEST_F(FlowJudgeTest, CountsContactsOfThePortThatTheOwnerHasNow) {
    const auto eight = end_at("203.0.113.2:8");
    settle({mapped(anna, 7)}, {mapped(anna, 8)});
    EXPECT_EQ(judge_.contact_of(outbound(anna, remote, shown)), no_contact);
    EXPECT_EQ(judge_.contact_of(inbound(remote, shown, anna)), no_contact);
    const SeenContact expected{sighting(anna), port(8), remote_address};
    EXPECT_THAT(judge_.contact_of(outbound(anna, remote, eight)), Optional(expected));
    EXPECT_THAT(judge_.contact_of(inbound(remote, eight, anna)), Optional(expected));
    settle({mapped(anna, 8)}, {});
    EXPECT_EQ(judge_.contact_of(outbound(anna, remote, eight)), no_contact);
    EXPECT_EQ(judge_.contact_of(inbound(remote, eight, anna)), no_contact);
}

// Several addresses on one WAN, and mappings that are bound to one of them.
class FlowJudgeOfFixedAddresses : public FlowJudgeTest {
  protected:
    FlowJudgeOfFixedAddresses() { scope_.wan_addresses = {wan, other_wan}; }
    static Mapping fixed(const FlowEnd& host, const Address& address) {
        auto mapping = mapped(host, 7);
        mapping.external_address = ExternalAddress(address);
        return mapping;
    }
    static inline const auto other_wan = parse<Address>("", "203.0.113.3");
    const FlowEnd elsewhere = end_at("203.0.113.3:7");
};

TEST_F(FlowJudgeOfFixedAddresses, LetsTwoHaveOnePort) {
    settle({}, {fixed(anna, wan), fixed(ben, other_wan)});
    expect_fine(outbound(anna, remote, shown));
    expect_wrong(outbound(anna, remote, elsewhere));
    expect_fine(outbound(ben, remote, elsewhere));
    expect_wrong(outbound(ben, remote, shown));
    expect_fine(inbound(remote, shown, anna));
    expect_fine(inbound(remote, elsewhere, ben));
    EXPECT_EQ(judge_.contact_of(outbound(anna, remote, elsewhere)), no_contact);
    EXPECT_NE(judge_.contact_of(outbound(anna, remote, shown)), no_contact);
    EXPECT_EQ(judge_.contact_of(inbound(remote, elsewhere, anna)), no_contact);
}

TEST_F(FlowJudgeOfFixedAddresses, LeavesThePortOfOtherAddressesToOthers) {
    settle({}, {fixed(anna, wan)});
    expect_wrong(outbound(ben, remote, shown));
    expect_fine(outbound(ben, remote, elsewhere));
    const Flow to_gateway{1, Protocol::udp, {remote, elsewhere}, {elsewhere, remote}, false};
    expect_fine(to_gateway);
    const Flow unsolicited{1, Protocol::udp, {remote, shown}, {shown, remote}, false};
    expect_wrong(unsolicited);
}

TEST_F(FlowJudgeOfFixedAddresses, EndsWhatCameInWhereAMappingIsNoMore) {
    settle({}, {fixed(anna, wan)});
    settle({fixed(anna, wan)}, {fixed(anna, other_wan)});
    expect_wrong(inbound(remote, shown, anna));
    expect_fine(inbound(remote, elsewhere, anna));
    // On all addresses it is on the one that it had, too.
    settle({fixed(anna, other_wan)}, {mapped(anna, 7)});
    expect_fine(inbound(remote, elsewhere, anna));
    settle({mapped(anna, 7)}, {fixed(anna, wan)});
    expect_wrong(inbound(remote, elsewhere, anna));
    expect_fine(inbound(remote, shown, anna));
}

TEST_F(FlowJudgeOfFixedAddresses, TakesAnEndpointBackFromWhoHadAClaimOnIt) {
    auto claim = mapped(ben, 8);
    claim.claimed = true;
    settle({}, {fixed(anna, wan), claim});
    expect_wrong(outbound(ben, remote, shown));
    EXPECT_EQ(judge_.judge(outbound(ben, remote, elsewhere)), FlowVerdict::departs_from_claim);
}

TEST_F(FlowJudgeOfFixedAddresses, EndsWhatNobodyHasAnyMoreWithItsAddress) {
    readdress(wan, other_wan, {mapped(ben, 8)});
    EXPECT_EQ(judge_.judge(outbound(anna, remote, elsewhere)), FlowVerdict::wrong_if_through_wan);
    expect_fine(outbound(anna, remote, shown));
}

TEST_F(FlowJudgeOfFixedAddresses, EndsWhatIsPinnedToAnAddressThatWentUnseen) {
    scope_.wan_addresses = {wan};
    look({fixed(anna, other_wan)});
    expect_wrong(inbound(remote, elsewhere, anna));
    EXPECT_EQ(judge_.judge(outbound(anna, remote, elsewhere)), FlowVerdict::wrong_if_through_wan);
}

TEST_F(FlowJudgeOfFixedAddresses, EndsWhatIsPinnedToAnAddressThatIsGone) {
    readdress(wan, other_wan, {fixed(anna, other_wan), fixed(ben, wan)});
    EXPECT_EQ(judge_.judge(outbound(anna, remote, elsewhere)), FlowVerdict::wrong_if_through_wan);
    expect_wrong(inbound(remote, elsewhere, anna));
    // What else its owner does meanwhile is as anybody's.
    expect_fine(outbound(anna, remote, end_at("203.0.113.2:51820")));
    expect_wrong(outbound(anna, remote, shown));
}

}  // namespace
}  // namespace porthole::nft
