// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/hosts.hpp"
#include "core_support.hpp"

namespace porthole {
namespace {

using namespace support;
using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr int lan = 3;
constexpr int guests = 4;

Address address(std::string_view text) { return parse<Address>("address", text); }

MacAddress mac(std::size_t last) {
    return MacAddress::from({2, 0, 0x5E, 0x10, static_cast<std::uint8_t>(last >> 8U),
                             static_cast<std::uint8_t>(last)})
        .value();
}

const auto anna = mac(2);
const auto ben = mac(3);

Neighbour confirmed(std::string_view host, const MacAddress& mac, int link_index = lan,
                    std::chrono::seconds ago = 0s) {
    return {link_index, address(host), mac, true, ago};
}

Neighbour silent(std::string_view host, const MacAddress& mac, int link_index = lan,
                 std::chrono::seconds ago = 60s) {
    return {link_index, address(host), mac, false, ago};
}

Lease lease(std::string_view host, const MacAddress& mac, std::string name = {}) {
    return {address(host), mac, std::move(name)};
}

auto is_at(std::string_view host, bool neighbour, bool confirmed, bool leased) {
    return AllOf(Field("address", &Host::At::address, address(host)),
                 Field("link_index", &Host::At::link_index, neighbour ? lan : 0),
                 Field("confirmed", &Host::At::confirmed, confirmed),
                 Field("leased", &Host::At::leased, leased));
}

class HostsTest : public ::testing::Test {
  protected:
    bool update(const std::vector<Neighbour>& neighbours, const std::vector<Lease>& leases = {},
                Time when = now) {
        return hosts_.update(neighbours, leases, when);
    }
    [[nodiscard]] const Host& host(const MacAddress& mac) const { return hosts_.all().at(mac); }
    [[nodiscard]] std::vector<Address> addresses(const MacAddress& mac) const {
        std::vector<Address> result;
        for (const auto& place : host(mac).addresses) result.push_back(place.address);
        return result;
    }
    [[nodiscard]] Whereabouts locate(const std::map<MacAddress, Address>& current = {}) const {
        return hosts_.locate(current, [](const Address&) { return true; });
    }
    // Where Anna is, if she is there so far.
    [[nodiscard]] std::string place_of_anna(std::string_view current = {}) const {
        std::map<MacAddress, Address> before;
        if (!current.empty()) before.emplace(anna, address(current));
        const auto where = locate(before);
        const auto found = where.of.find(anna);
        return found == where.of.end() ? "" : to_text(found->second);
    }

    Hosts hosts_;
};

TEST_F(HostsTest, AreWhoTheNeighbourTableHas) {
    EXPECT_TRUE(update({confirmed("192.168.2.9", anna, lan, 7s), silent("192.168.2.2", anna),
                        silent("192.168.3.3", ben, guests, 100s)}));
    EXPECT_THAT(hosts_.all(), SizeIs(2));
    EXPECT_THAT(host(anna).addresses, ElementsAre(is_at("192.168.2.2", true, false, false),
                                                  is_at("192.168.2.9", true, true, false)));
    EXPECT_EQ(host(anna).link_index, lan);
    EXPECT_EQ(host(anna).last_seen, now - 7s);
    EXPECT_EQ(host(anna).name, "");
    EXPECT_THAT(addresses(ben), ElementsAre(address("192.168.3.3")));
    EXPECT_EQ(host(ben).link_index, guests);
    EXPECT_EQ(host(ben).last_seen, now - 100s);
}

TEST_F(HostsTest, AreWhoHasALease) {
    EXPECT_TRUE(update({}, {lease("192.168.2.2", anna, "laptop")}));
    EXPECT_EQ(host(anna).name, "laptop");
    EXPECT_EQ(host(anna).link_index, 0);
    EXPECT_EQ(host(anna).last_seen, never);
    EXPECT_THAT(host(anna).addresses, ElementsAre(is_at("192.168.2.2", false, false, true)));
}

TEST_F(HostsTest, AreOneWhereTheTableAndALeaseAgree) {
    update({confirmed("192.168.2.2", anna)}, {lease("192.168.2.2", anna, "laptop")});
    EXPECT_THAT(hosts_.all(), SizeIs(1));
    EXPECT_EQ(host(anna).name, "laptop");
    EXPECT_THAT(host(anna).addresses, ElementsAre(is_at("192.168.2.2", true, true, true)));
}

TEST_F(HostsTest, HaveALeaseOnlyWhereTheKernelDoesNotHearAnotherHost) {
    update({silent("192.168.2.2", ben)}, {lease("192.168.2.2", anna, "laptop")});
    EXPECT_FALSE(hosts_.all().contains(anna));
    EXPECT_THAT(host(ben).addresses, ElementsAre(is_at("192.168.2.2", true, false, false)));
    EXPECT_EQ(host(ben).name, "");
    EXPECT_EQ(locate().holders, (std::map{std::pair{address("192.168.2.2"), ben}}));
}

TEST_F(HostsTest, AreKnownByTheirAddressToServersThatKnowNoMacAddress) {
    update({confirmed("2001:db8::2", anna)}, {{address("2001:db8::2"), std::nullopt, "laptop"},
                                              {address("2001:db8::9"), std::nullopt, "printer"}});
    EXPECT_THAT(hosts_.all(), SizeIs(1));
    EXPECT_EQ(host(anna).name, "laptop");
    EXPECT_THAT(host(anna).addresses, ElementsAre(is_at("2001:db8::2", true, true, true)));
}

TEST_F(HostsTest, KeepTheirNameWhereALeaseHasNone) {
    update({}, {lease("192.168.2.2", anna, "laptop")});
    EXPECT_FALSE(update({}, {lease("192.168.2.2", anna)}));
    EXPECT_EQ(host(anna).name, "laptop");
}

TEST_F(HostsTest, AreHeardOnTheLinkWhereTheyAnswer) {
    for (const bool answer_comes_first : {false, true}) {
        SCOPED_TRACE(answer_comes_first);
        hosts_ = Hosts();
        std::vector<Neighbour> neighbours{silent("192.168.2.2", anna),
                                          confirmed("192.168.2.2", ben, guests)};
        if (answer_comes_first) std::ranges::reverse(neighbours);
        update(neighbours);
        EXPECT_THAT(addresses(ben), ElementsAre(address("192.168.2.2")));
        EXPECT_EQ(host(ben).link_index, guests);
        EXPECT_FALSE(hosts_.all().contains(anna) && !addresses(anna).empty());
        EXPECT_THAT(locate().of, ElementsAre(Pair(ben, address("192.168.2.2"))));
        EXPECT_THAT(locate().holders, ElementsAre(Pair(address("192.168.2.2"), ben)));
    }
}

TEST_F(HostsTest, ThatMoveToAnotherLinkAreThere) {
    update({confirmed("192.168.2.2", anna)});
    EXPECT_TRUE(update({confirmed("192.168.2.2", anna, guests)}));
    EXPECT_EQ(host(anna).link_index, guests);
    EXPECT_THAT(addresses(anna), SizeIs(1));
}

TEST_F(HostsTest, DoNotCountAtLinkLocalAddresses) {
    update({confirmed("169.254.7.7", anna), confirmed("fe80::2", anna)});
    EXPECT_THAT(hosts_.all(), IsEmpty());
    EXPECT_EQ(locate(), Whereabouts());
}

TEST_F(HostsTest, DoNotCountAtLinkLocalAddressesThatALeaseNames) {
    update({}, {lease("169.254.7.7", anna), lease("192.168.2.2", anna)});
    EXPECT_EQ(place_of_anna(), "192.168.2.2");
}

TEST_F(HostsTest, SayWhetherAnythingButTimesHasChanged) {
    EXPECT_FALSE(update({}));
    const std::vector neighbours{confirmed("192.168.2.2", anna, lan, 1s)};
    EXPECT_TRUE(update(neighbours));
    EXPECT_FALSE(update(neighbours));
    EXPECT_FALSE(update({confirmed("192.168.2.2", anna, lan, 2s)}, {}, now + 5s));
    EXPECT_EQ(host(anna).last_seen, now + 3s);

    const std::vector leases{lease("192.168.2.2", anna, "laptop")};
    EXPECT_TRUE(update(neighbours, leases)) << "another name";
    EXPECT_FALSE(update(neighbours, leases));
    const std::vector both{confirmed("192.168.2.2", anna), confirmed("192.168.2.9", anna)};
    EXPECT_TRUE(update(both, leases)) << "another address";
    EXPECT_FALSE(update(both, leases));
    EXPECT_TRUE(update({confirmed("192.168.2.7", anna), both[1]}, leases)) << "as many addresses";
    EXPECT_TRUE(update(both, leases));
    EXPECT_TRUE(update(neighbours, leases)) << "an address less";
    EXPECT_TRUE(update({neighbours[0], confirmed("192.168.2.3", ben)}, leases)) << "another host";
    EXPECT_TRUE(update(neighbours, leases)) << "a host less";
    EXPECT_FALSE(update(neighbours, leases)) << "still a host less";
}

TEST_F(HostsTest, AreRememberedWhenTheyHaveGone) {
    update({confirmed("192.168.2.2", anna)}, {lease("192.168.2.2", anna, "laptop")});
    EXPECT_TRUE(update({}, {}, now + 9s));
    EXPECT_THAT(host(anna).addresses, IsEmpty());
    EXPECT_EQ(host(anna).name, "laptop");
    EXPECT_EQ(host(anna).link_index, lan);
    EXPECT_EQ(host(anna).last_seen, now);
    EXPECT_EQ(locate(), Whereabouts());
    EXPECT_FALSE(update({}, {}, now + 10s));

    EXPECT_TRUE(update({silent("192.168.2.7", anna, lan, 1h)}, {}, now + 20s));
    EXPECT_THAT(addresses(anna), ElementsAre(address("192.168.2.7")));
    EXPECT_EQ(host(anna).name, "laptop");
    EXPECT_EQ(host(anna).last_seen, now) << "nobody is seen longer ago than before";
}

std::string nth_address(std::size_t i) {
    return "10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256);
}

TEST_F(HostsTest, ThatHaveGoneAreRememberedAsLongAsThereIsRoom) {
    std::vector<Neighbour> neighbours;
    for (std::size_t i = 0; i < Hosts::capacity; ++i) {
        // The 700th and then the 300th are those that were seen longest ago.
        const auto ago = i == 700 ? 9s : i == 300 ? 8s : 1s;
        neighbours.push_back(confirmed(nth_address(i), mac(i), lan, ago));
    }
    update(neighbours);
    update({});
    EXPECT_THAT(hosts_.all(), SizeIs(Hosts::capacity));

    const auto stranger = mac(5000);
    EXPECT_TRUE(update({confirmed("192.168.2.2", stranger)}, {}, now + 1s));
    EXPECT_THAT(hosts_.all(), SizeIs(Hosts::capacity));
    EXPECT_TRUE(hosts_.all().contains(stranger));
    EXPECT_FALSE(hosts_.all().contains(mac(700)));
    EXPECT_TRUE(hosts_.all().contains(mac(300)));

    EXPECT_TRUE(
        update({confirmed("192.168.2.2", stranger), silent("192.168.2.3", mac(5001), lan, 1h)}));
    EXPECT_THAT(hosts_.all(), SizeIs(Hosts::capacity));
    EXPECT_TRUE(hosts_.all().contains(mac(5001))) << "who is there goes before who was";
    EXPECT_FALSE(hosts_.all().contains(mac(300)));
}

TEST_F(HostsTest, HaveTheNameThatTheirLeaseSays) {
    update({confirmed("192.168.2.2", anna), confirmed("2001:db8::2", anna),
            confirmed("192.168.2.3", ben)},
           {lease("192.168.2.2", anna, "laptop"), lease("192.168.2.7", mac(7), "printer")});
    EXPECT_EQ(hosts_.name_of(address("192.168.2.2")), "laptop");
    EXPECT_EQ(hosts_.name_of(address("2001:db8::2")), "laptop") << "it is the same host";
    EXPECT_EQ(hosts_.name_of(anna), "laptop");
    EXPECT_EQ(hosts_.name_of(address("192.168.2.7")), "printer");
    EXPECT_EQ(hosts_.name_of(address("192.168.2.3")), "");
    EXPECT_EQ(hosts_.name_of(ben), "");
    EXPECT_EQ(hosts_.name_of(address("192.168.2.9")), "");
    EXPECT_EQ(hosts_.name_of(mac(9)), "");

    update({confirmed("192.168.2.2", ben)});
    EXPECT_EQ(hosts_.name_of(anna), "laptop");
    EXPECT_EQ(hosts_.name_of(address("192.168.2.2")), "") << "somebody else has it now";
}

TEST_F(HostsTest, AreLocatedWithAllWhoHoldAddresses) {
    update({confirmed("192.168.2.2", anna), confirmed("2001:db8::2", anna)},
           {lease("192.168.2.3", ben)});
    const auto where = locate();
    EXPECT_THAT(where.of, UnorderedElementsAre(Pair(anna, address("192.168.2.2")),
                                               Pair(ben, address("192.168.2.3"))));
    EXPECT_THAT(where.holders, UnorderedElementsAre(Pair(address("192.168.2.2"), anna),
                                                    Pair(address("2001:db8::2"), anna),
                                                    Pair(address("192.168.2.3"), ben)));
}

TEST_F(HostsTest, StayWhereTheKernelStillHasThem) {
    update({silent("192.168.2.2", anna), confirmed("192.168.2.3", anna),
            confirmed("192.168.2.9", anna)});
    EXPECT_EQ(place_of_anna("192.168.2.2"), "192.168.2.2");
    EXPECT_EQ(place_of_anna("192.168.2.3"), "192.168.2.3");
    EXPECT_EQ(place_of_anna("192.168.2.9"), "192.168.2.9");
}

TEST_F(HostsTest, MoveWhenTheKernelDoesNotHaveThemAnyMore) {
    update({confirmed("192.168.2.9", anna)});
    EXPECT_EQ(place_of_anna("192.168.2.2"), "192.168.2.9");
    update({silent("192.168.2.9", anna)}, {lease("192.168.2.2", anna)});
    EXPECT_EQ(place_of_anna("192.168.2.2"), "192.168.2.9") << "a server remembers longer";
}

TEST_F(HostsTest, MoveWhereALeaseAndTheKernelSay) {
    const std::vector both{confirmed("192.168.2.2", anna), silent("192.168.2.9", anna)};
    update(both, {lease("192.168.2.9", anna)});
    EXPECT_EQ(place_of_anna("192.168.2.2"), "192.168.2.9");
    update(both, {lease("192.168.2.2", anna)});
    EXPECT_EQ(place_of_anna("192.168.2.2"), "192.168.2.2");
    update(both, {lease("192.168.2.2", anna), lease("192.168.2.9", anna)});
    EXPECT_EQ(place_of_anna("192.168.2.2"), "192.168.2.2");
    EXPECT_EQ(place_of_anna("192.168.2.9"), "192.168.2.9");
    update({both[0]}, {lease("192.168.2.9", anna)});
    EXPECT_EQ(place_of_anna("192.168.2.2"), "192.168.2.2") << "nobody has heard them there";
}

TEST_F(HostsTest, AreWhereALeaseSaysIfTheKernelHasThemNowhere) {
    update({}, {lease("192.168.2.9", anna)});
    EXPECT_EQ(place_of_anna(), "192.168.2.9");
    EXPECT_EQ(place_of_anna("192.168.2.2"), "192.168.2.9");
    update({}, {lease("192.168.2.2", anna), lease("192.168.2.9", anna)});
    EXPECT_EQ(place_of_anna("192.168.2.2"), "192.168.2.2");
    EXPECT_EQ(place_of_anna("192.168.2.9"), "192.168.2.9");
    update({confirmed("2001:db8::2", anna)}, {lease("192.168.2.9", anna)});
    EXPECT_EQ(place_of_anna("192.168.2.2"), "192.168.2.9") << "an IPv6 address says nothing";
}

TEST_F(HostsTest, ThatAreNewAreWhereTheyAnswerOrHaveALease) {
    update(
        {silent("192.168.2.2", anna), confirmed("192.168.2.3", anna), silent("192.168.2.9", anna)});
    EXPECT_EQ(place_of_anna(), "192.168.2.3");
    update(
        {silent("192.168.2.2", anna), confirmed("192.168.2.3", anna), silent("192.168.2.9", anna)},
        {lease("192.168.2.9", anna)});
    EXPECT_EQ(place_of_anna(), "192.168.2.9");
}

TEST_F(HostsTest, AreNeverAtIpv6AddressesWhereIpv4IsMeant) {
    update({confirmed("2001:db8::2", anna)}, {lease("2001:db8::2", anna)});
    EXPECT_THAT(addresses(anna), ElementsAre(address("2001:db8::2")));
    EXPECT_THAT(locate().of, IsEmpty());
    EXPECT_THAT(locate().holders, ElementsAre(Pair(address("2001:db8::2"), anna)));
    update({confirmed("2001:db8::2", anna), silent("192.168.2.2", anna)},
           {lease("2001:db8::2", anna)});
    EXPECT_EQ(place_of_anna(), "192.168.2.2");
}

TEST_F(HostsTest, AreAtAllTheirIpv6AddressesAtOnce) {
    const std::vector<Address> none;
    const auto places = [&](const std::vector<Address>& current = {},
                            std::string_view unusable = "::") {
        const auto usable = [&](const Address& place) { return place != address(unusable); };
        const auto where = hosts_.locate({}, usable, {{anna, current}, {ben, current}});
        const auto found = where.ipv6_of.find(anna);
        return found != where.ipv6_of.end() ? found->second : none;
    };
    const auto temporary = address("2001:db8::2:2");
    const auto stable = address("2001:db8::2");
    EXPECT_THAT(places({stable}), IsEmpty()) << "nobody knows anything of anna";
    update({confirmed("2001:db8::2:2", anna), silent("2001:db8::2", anna),
            silent("192.168.2.2", anna)},
           {lease("2001:db8::1", anna)});
    EXPECT_THAT(places(), ElementsAre(address("2001:db8::1"), stable, temporary));
    EXPECT_THAT(places({}, "2001:db8::2"), ElementsAre(address("2001:db8::1"), temporary));

    update({silent("2001:db8::2", anna)});
    EXPECT_THAT(places({temporary}), ElementsAre(stable, temporary)) << "it may come back";
    EXPECT_THAT(places({temporary}, "2001:db8::2:2"), ElementsAre(stable));
    update({silent("2001:db8::2", anna), confirmed("2001:db8::2:2", ben)});
    EXPECT_THAT(places({temporary}), ElementsAre(stable)) << "somebody else has it now";

    std::vector<Address> many;
    for (char last = 'a'; last <= 'f'; ++last) {
        for (char first = 'a'; first <= 'f'; ++first) {
            many.push_back(address(std::string("2001:db8::") + first + last));
        }
    }
    EXPECT_THAT(places(many),
                testing::AllOf(SizeIs(Host::most_addresses), testing::Contains(stable)));
}

TEST_F(HostsTest, AreNeverAtAddressesThatAreNotUsable) {
    const auto usable = [](const Address& place) { return place != address("10.9.9.9"); };
    const std::map current{std::pair{anna, address("10.9.9.9")}};
    update({confirmed("10.9.9.9", anna)}, {lease("10.9.9.9", anna)});
    EXPECT_THAT(hosts_.locate(current, usable).of, IsEmpty());
    EXPECT_THAT(hosts_.locate(current, usable).holders,
                ElementsAre(Pair(address("10.9.9.9"), anna)));
    EXPECT_EQ(place_of_anna(), "10.9.9.9");

    update({confirmed("10.9.9.9", anna), silent("192.168.2.2", anna)}, {lease("10.9.9.9", anna)});
    EXPECT_THAT(hosts_.locate(current, usable).of, ElementsAre(Pair(anna, address("192.168.2.2"))));
    update({confirmed("10.9.9.9", anna)}, {lease("192.168.2.2", anna)});
    EXPECT_THAT(hosts_.locate(current, usable).of, ElementsAre(Pair(anna, address("192.168.2.2"))))
        << "the kernel has no address that counts";
}

// On two links, and both answer: it stays whose it was.
TEST_F(HostsTest, KeepAnAddressThatTwoOfThemHave) {
    const auto holders = [this] {
        return hosts_.locate({}, [](const Address&) { return true; }).holders;
    };
    update({confirmed("192.168.2.2", anna, lan), confirmed("192.168.2.2", ben, guests)});
    const auto first = holders();
    ASSERT_THAT(first, SizeIs(1));
    update({confirmed("192.168.2.2", ben, guests), confirmed("192.168.2.2", anna, lan)});
    EXPECT_EQ(holders(), first);
    const auto holder = first.begin()->second;
    const auto other = holder == anna ? ben : anna;
    update({silent("192.168.2.2", holder, lan), confirmed("192.168.2.2", other, guests)});
    EXPECT_THAT(holders(), ElementsAre(Pair(address("192.168.2.2"), other)));
}

TEST_F(HostsTest, AreNoMoreThanThereIsRoomFor) {
    std::vector<Lease> leases;
    for (std::uint32_t i = 0; i < Hosts::capacity + 100; ++i) {
        const auto high = static_cast<std::uint8_t>(i >> 8U);
        const auto low = static_cast<std::uint8_t>(i);
        leases.push_back(
            {Address::v4(0x0A000000U + i), MacAddress::from({2, 0, 0, 1, high, low}), "host"});
    }
    update({confirmed("192.168.2.2", anna)}, leases);
    EXPECT_THAT(hosts_.all(), SizeIs(Hosts::capacity));
    EXPECT_TRUE(hosts_.all().contains(anna)) << "neighbours go first";
    std::vector<Neighbour> places;
    for (std::uint32_t i = 0; i < Host::most_addresses + 5; ++i) {
        places.push_back({lan, Address::v4(0xC0A80300U + i), anna, true, {}});
    }
    update(places);
    EXPECT_THAT(host(anna).addresses, SizeIs(Host::most_addresses));
}

class AskedHostsTest : public HostsTest {
  protected:
    [[nodiscard]] std::vector<LinkNeighbour> asked(Time when = now) {
        return hosts_.take_unasked(current_, when);
    }
    const std::map<MacAddress, Address> current_{{anna, address("192.168.2.2")}};
    const LinkNeighbour question_{lan, address("192.168.2.2")};
    const std::vector<Neighbour> at_two_{silent("192.168.2.2", anna),
                                         confirmed("192.168.2.9", anna)};
};

TEST_F(AskedHostsTest, AreAskedOnceWhenTheyShowUpElsewhere) {
    update({silent("192.168.2.2", anna)});
    EXPECT_THAT(asked(), IsEmpty());
    update(at_two_);
    EXPECT_THAT(asked(), ElementsAre(question_));
    EXPECT_THAT(asked(), IsEmpty());
    update(at_two_);
    EXPECT_THAT(asked(), IsEmpty());
    update({silent("192.168.2.2", anna)});
    update(at_two_);
    EXPECT_THAT(asked(), IsEmpty()) << "they have not answered yet";
}

TEST_F(AskedHostsTest, AreAskedAgainWhenTheyHaveAnsweredOrHaveGoneMeanwhile) {
    update(at_two_);
    EXPECT_THAT(asked(), SizeIs(1));
    update({confirmed("192.168.2.2", anna), confirmed("192.168.2.9", anna)});
    EXPECT_THAT(asked(), IsEmpty());
    update(at_two_);
    EXPECT_THAT(asked(), ElementsAre(question_));
    update({confirmed("192.168.2.9", anna)});
    EXPECT_THAT(asked(), IsEmpty());
    update(at_two_);
    EXPECT_THAT(asked(), ElementsAre(question_));
}

// The question may have been lost, or the link may have been gone.
TEST_F(AskedHostsTest, AreAskedAgainWhenTheyNeitherAnswerNorGo) {
    update(at_two_);
    EXPECT_THAT(asked(), SizeIs(1));
    EXPECT_THAT(asked(now + std::chrono::seconds(9)), IsEmpty());
    EXPECT_THAT(asked(now + std::chrono::seconds(10)), ElementsAre(question_));
    EXPECT_THAT(asked(now + std::chrono::seconds(11)), IsEmpty());
    EXPECT_THAT(asked(now - std::chrono::hours(1)), ElementsAre(question_)) << "the clock was set";
}

TEST_F(AskedHostsTest, AreAskedOnlyIfTheyAreFollowed) {
    update({silent("192.168.2.2", anna), confirmed("192.168.2.9", anna), silent("192.168.2.3", ben),
            confirmed("192.168.2.10", ben)});
    EXPECT_THAT(hosts_.take_unasked({}, now), IsEmpty());
    EXPECT_THAT(asked(), ElementsAre(question_));
    EXPECT_THAT(
        hosts_.take_unasked({{ben, address("192.168.2.3")}, {mac(9), question_.address}}, now),
        ElementsAre(LinkNeighbour{lan, address("192.168.2.3")}));
}

TEST_F(AskedHostsTest, AreNotAskedWhereTheKernelDoesNotHaveThem) {
    update({confirmed("192.168.2.9", anna)}, {lease("192.168.2.2", anna)});
    EXPECT_THAT(asked(), IsEmpty());
    update({silent("192.168.2.2", anna)}, {lease("192.168.2.9", anna)});
    EXPECT_THAT(asked(), IsEmpty()) << "they have not shown up elsewhere";
}

TEST_F(AskedHostsTest, AreNotAskedBecauseOfAnIpv6Address) {
    update({silent("192.168.2.2", anna), confirmed("2001:db8::2", anna)});
    EXPECT_THAT(asked(), IsEmpty());
}

TEST_F(AskedHostsTest, AreAskedOnTheLinkOfTheAddress) {
    const auto old_place = silent("192.168.2.2", anna, lan);
    const auto new_place = confirmed("192.168.3.2", anna, guests);
    update({old_place, new_place});
    EXPECT_THAT(asked(), ElementsAre(question_));
    hosts_ = Hosts();
    update({new_place, old_place});
    EXPECT_THAT(asked(), ElementsAre(question_));
}

}  // namespace
}  // namespace porthole
