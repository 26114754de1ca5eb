// SPDX-License-Identifier: GPL-2.0-or-later
// Reservations of IPv6 hosts that are translated.
#include <array>
#include <map>
#include <random>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/desired_firewall.hpp"
#include "core/reservations.hpp"
#include "core_support.hpp"

namespace porthole {
namespace {

using namespace support;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::ThrowsMessage;

const auto inside = all<Network>({"fd00:2::/64"});
const auto anna = endpoint("fd00:2::2", 51820);
const auto ben = endpoint("fd00:2::3", 51820);
const auto global = endpoint("2001:db8:2::2", 51820);
const auto ipv4 = endpoint("192.168.2.2", 51820);
const auto mac = parse<MacAddress>("", "02:00:5e:10:00:01");
const Endpoint by_mac{mac, Protocol::udp, port(51820)};

class Nat66Rows : public ::testing::Test {
  protected:
    Nat66Rows() { all_.set_perimeter({}, inside); }
    const Reservation& reserve(const ReserveRequest& request) {
        all_.apply(all_.reserve(request, Origin::api, now));
        return *all_.find(request.internal);
    }
    void translate(std::vector<Network> networks) {
        all_.set_perimeter({}, std::move(networks));
        all_.apply(all_.follow_perimeter());
    }
    void locate(const std::vector<std::string>& addresses) {
        Whereabouts whereabouts;
        for (const auto& text : addresses) {
            whereabouts.ipv6_of[mac].push_back(parse<Address>("", text));
        }
        all_.set_whereabouts(whereabouts);
        all_.apply(all_.follow());
    }
    [[nodiscard]] const Reservation* outside(unsigned number) const {
        return all_.find(Protocol::udp, port(number), Family::ipv6);
    }
    Reservations all_;
};

TEST_F(Nat66Rows, HaveThePortsOfTheirFamilyToThemselves) {
    EXPECT_TRUE(reserve({.internal = anna}).nat66);
    EXPECT_EQ(outside(51820)->internal, anna);
    EXPECT_THAT([&] { reserve({.internal = ben}); },
                is_refused(Refusal::port_taken, "fd00:2::2 (reservation 1, api)"));
    EXPECT_EQ(reserve({.internal = ben, .on_conflict = OnConflict::next}).external_port,
              port(51821));
    EXPECT_EQ(reserve({.internal = ipv4}).external_port, port(51820));
    const auto& elsewhere = reserve({.internal = global});
    EXPECT_FALSE(elsewhere.nat66);
    EXPECT_THAT(
        [&] { reserve({.internal = global, .external_port = port(7)}); },
        ThrowsMessage<InvalidArgument>(HasSubstr("what IPv6 hosts send is not translated")));
    EXPECT_THAT(
        [&] { all_.apply(all_.change(outside(51821)->id, {.external_port = port(51820)}, now)); },
        is_refused(Refusal::port_taken, "fd00:2::2"));
    all_.apply(all_.change(outside(51821)->id, {.external_port = port(7)}, now));
    EXPECT_EQ(outside(7)->internal, ben);
    EXPECT_EQ(outside(51821), nullptr);
    EXPECT_THAT(all_.all_outside({Protocol::udp, port(7)}), ElementsAre(all_.find(ben)));
    EXPECT_THAT(all_.all_outside({Protocol::udp, port(51820)}), SizeIs(3))
        << "one of each family, and one that is not translated";
}

TEST_F(Nat66Rows, OfMacAddressesHaveTheirPortInBothFamilies) {
    EXPECT_TRUE(reserve({.internal = by_mac}).nat66) << "wherever its host is";
    EXPECT_THAT([&] { reserve({.internal = anna}); }, is_refused(Refusal::port_taken, "02:00:5e"));
    EXPECT_THAT([&] { reserve({.internal = ipv4}); }, is_refused(Refusal::port_taken, "02:00:5e"));
    reserve({.internal = anna, .external_port = port(51821)});
    EXPECT_EQ(all_.change(outside(51820)->id, {.external_port = port(51822)}, now).after[0].nat66,
              true);
    EXPECT_THAT(
        [&] { all_.apply(all_.change(outside(51820)->id, {.external_port = port(51821)}, now)); },
        is_refused(Refusal::port_taken, "fd00:2::2"));
}

TEST_F(Nat66Rows, ShowOneAddressOfAHost) {
    reserve({.internal = by_mac});
    EXPECT_FALSE(nat66_host(*all_.find(by_mac)));
    locate({"2001:db8:2::9", "fd00:2::9", "fd00:2::99"});
    const auto shown = [&] { return to_text(*nat66_host(*all_.find(by_mac))); };
    EXPECT_EQ(shown(), "fd00:2::9");
    EXPECT_TRUE(all_.translate(endpoint("fd00:2::9", 51820)).empty());
    EXPECT_TRUE(all_.translate(endpoint("2001:db8:2::9", 51820)).empty()) << "not translated";
    EXPECT_TRUE(all_.translate(endpoint("fd00:2::99", 7)).empty()) << "not its port";
    const auto change = all_.translate(endpoint("fd00:2::99", 51820));
    ASSERT_THAT(change.after, SizeIs(1));
    EXPECT_EQ(change.after[0].state, ReservationState::settling);
    all_.apply(change);
    EXPECT_EQ(shown(), "fd00:2::99");
    // It is kept while others come and go.
    locate({"fd00:2::1:1", "fd00:2::9", "fd00:2::99"});
    EXPECT_EQ(shown(), "fd00:2::99");
    locate({"fd00:2::99"});
    EXPECT_EQ(shown(), "fd00:2::99");
    locate({"fd00:2::9"});
    EXPECT_EQ(shown(), "fd00:2::9");
    // Somebody asks for the address itself.
    reserve({.internal = endpoint("fd00:2::9", 51820), .external_port = port(7)});
    EXPECT_FALSE(nat66_host(*all_.find(by_mac)));
}

TEST_F(Nat66Rows, MakeWayForOneAnotherWhereNat66IsSwitchedOn) {
    translate({});
    reserve({.internal = anna});
    reserve({.internal = ben});
    EXPECT_EQ(outside(51820), nullptr);
    translate(inside);
    EXPECT_EQ(outside(51820)->internal, anna);
    EXPECT_EQ(all_.find(ben)->state, ReservationState::waiting);
    EXPECT_THAT(all_.crowded_out(), ElementsAre(all_.find(ben)->id));
    EXPECT_FALSE(reserve({.internal = ben}).nat66) << "asking again changes nothing";
    EXPECT_TRUE(all_.follow_perimeter().empty());
    all_.apply(all_.release(std::array{all_.find(anna)->id}));
    EXPECT_EQ(outside(51820)->internal, ben);
    EXPECT_EQ(all_.find(ben)->state, ReservationState::settling);
    EXPECT_THAT(all_.crowded_out(), IsEmpty());
    all_.apply(all_.change(all_.find(ben)->id, {.external_port = port(7)}, now));
    translate({});
    EXPECT_EQ(all_.find(ben)->external_port, port(51820)) << "its own again";
    EXPECT_EQ(outside(7), nullptr);
}

TEST_F(Nat66Rows, AreLoadedWhateverTheyShowed) {
    reserve({.internal = anna, .external_port = port(7)});
    reserve({.internal = by_mac});
    std::vector<Reservation> rows;
    for (const auto& [id, row] : all_.rows()) {
        rows.push_back(row);
        rows.back().nat66 = false;  // it is not stored
    }
    Reservations loaded(rows, all_.next_id());
    loaded.set_perimeter({}, inside);
    loaded.apply(loaded.follow_perimeter());
    EXPECT_EQ(loaded.find(Protocol::udp, port(7), Family::ipv6)->internal, anna);
    EXPECT_EQ(loaded.find(Protocol::udp, port(51820), Family::ipv6)->internal, by_mac);
    Reservations elsewhere(rows, all_.next_id());
    elsewhere.apply(elsewhere.follow_perimeter());
    EXPECT_EQ(elsewhere.find(anna)->external_port, port(51820));
}

// A fixed address of the WAN's that is gone is waited for, whatever the host does over IPv6.
TEST_F(Nat66Rows, GoOnWaitingForAnExternalAddress) {
    reserve({.internal = by_mac,
             .external_address = ExternalAddress(parse<Address>("", "203.0.113.1"))});
    locate({"fd00:2::9", "fd00:2::99"});
    ASSERT_EQ(all_.find(by_mac)->state, ReservationState::waiting);
    all_.apply(all_.translate(endpoint("fd00:2::99", 51820)));
    EXPECT_EQ(all_.find(by_mac)->state, ReservationState::waiting);
    EXPECT_EQ(to_text(*nat66_host(*all_.find(by_mac))), "fd00:2::99");
}

TEST_F(Nat66Rows, TakeNeitherTheGatewaysPortsNorThoseOfThePool) {
    translate({});
    const auto ssh = endpoint("fd00:2::2", 22, Protocol::tcp);
    const auto of_pool = endpoint("fd00:2::2", 62000);
    reserve({.internal = ssh});
    reserve({.internal = of_pool});
    all_.set_own_ports({{Protocol::tcp, port(22)}});
    translate(inside);
    EXPECT_FALSE(all_.find(ssh)->nat66);
    EXPECT_FALSE(all_.find(of_pool)->nat66);
    EXPECT_THAT(all_.crowded_out(), SizeIs(2));
    // Who has it already keeps it.
    reserve({.internal = anna});
    all_.set_own_ports({{Protocol::udp, port(51820)}});
    EXPECT_TRUE(all_.follow_perimeter().empty() || all_.find(anna)->nat66);
    all_.apply(all_.follow_perimeter());
    EXPECT_TRUE(all_.find(anna)->nat66);
}

// The same one before and after a restart.
TEST_F(Nat66Rows, GoByTheirAge) {
    const auto elsewhere = endpoint("fd00:7::2", 51820);
    reserve({.internal = elsewhere});
    reserve({.internal = anna});
    EXPECT_EQ(outside(51820)->internal, anna);
    translate(all<Network>({"fd00:2::/64", "fd00:7::/64"}));
    EXPECT_EQ(outside(51820)->internal, elsewhere);
    EXPECT_EQ(all_.find(anna)->state, ReservationState::waiting);
    std::vector<Reservation> rows;
    for (const auto& [id, row] : all_.rows()) rows.push_back(row);
    for (auto& row : rows) row.nat66 = false;
    Reservations loaded(rows, all_.next_id());
    loaded.set_perimeter({}, all<Network>({"fd00:2::/64", "fd00:7::/64"}));
    loaded.apply(loaded.follow_perimeter());
    EXPECT_EQ(loaded.find(Protocol::udp, port(51820), Family::ipv6)->internal, elsewhere);
}

TEST_F(Nat66Rows, OfTheConfigurationGoByThatToo) {
    const auto configure = [&](const std::vector<ReserveRequest>& wanted) {
        const auto configured = all_.configure(wanted, now);
        all_.apply(configured.difference);
        return configured.refused;
    };
    translate({});
    EXPECT_THAT(configure({{.internal = ben}}), IsEmpty());
    reserve({.internal = anna});
    all_.set_perimeter({}, inside);
    EXPECT_THAT(configure({{.internal = ben}}), IsEmpty());
    EXPECT_EQ(outside(51820)->internal, ben) << "it is older";
    // Who is not translated any more makes room in the same step.
    all_.set_perimeter({}, all<Network>({"fd00:7::/64"}));
    EXPECT_THAT(configure({{.internal = ben}, {.internal = endpoint("fd00:7::2", 51820)}}),
                IsEmpty());
    EXPECT_EQ(outside(51820)->internal, endpoint("fd00:7::2", 51820));
}

// Whatever happens: nobody shares a port, nobody waits for one that is free, and the table that
// follows change by change is the one that is built.
TEST_F(Nat66Rows, KeepTheirPromisesWhateverHappens) {
    std::mt19937 random(20261123);
    const auto pick = [&random](std::size_t count) {
        return std::uniform_int_distribution<std::size_t>(0, count - 1)(random);
    };
    const std::array hosts{
        anna,
        ben,
        global,
        ipv4,
        endpoint("fd00:7::2", 51820),
        endpoint("fd00:2::9", 51820),
        by_mac,
        Endpoint{parse<MacAddress>("", "02:00:5e:10:00:02"), Protocol::udp, port(51820)}};
    const std::array perimeters{std::vector<Network>(), inside,
                                all<Network>({"fd00:2::/64", "fd00:7::/64"})};
    auto networks = inside;
    auto firewall = desired_firewall({}, all_);
    std::size_t refused = 0;
    std::size_t waited = 0;
    for (int step = 0; step < 3000; ++step) {
        ReservationDifference change;
        try {
            const auto what = pick(10);
            const auto& host = hosts.at(pick(hosts.size()));
            if (what < 5) {
                ReserveRequest request{.internal = host};
                if (pick(2) == 0) request.external_port = port(51820 + pick(3));
                if (pick(3) == 0) request.on_conflict = OnConflict::next;
                change = all_.reserve(request, Origin::api, now);
            } else if (what < 7 && all_.size() != 0) {
                const auto row =
                    std::next(all_.rows().begin(), static_cast<std::ptrdiff_t>(pick(all_.size())));
                change = pick(2) == 0 ? all_.release(std::array{row->first})
                                      : all_.change(row->first,
                                                    {.external_port = port(51820 + pick(3))}, now);
            } else if (what == 7) {
                networks = perimeters.at(pick(perimeters.size()));
                all_.set_perimeter({}, networks);
                change = all_.follow_perimeter();
            } else if (what == 8) {
                Whereabouts whereabouts;
                for (const auto* text : {"fd00:2::9", "fd00:2::99", "fd00:7::9", "2001:db8:2::9"}) {
                    if (pick(2) == 0) continue;
                    const auto& owner = std::get<MacAddress>(hosts.at(6 + pick(2)).host);
                    whereabouts.ipv6_of[owner].push_back(parse<Address>("", text));
                    whereabouts.holders.insert_or_assign(parse<Address>("", text), owner);
                }
                all_.set_whereabouts(whereabouts);
                change = all_.follow();
            } else if (pick(2) == 0) {
                std::vector<ReserveRequest> wanted;
                for (std::size_t i = 0; i < pick(3); ++i)
                    wanted.push_back({.internal = hosts.at(pick(hosts.size()))});
                change = all_.configure(wanted, now).difference;
            } else {
                change = all_.translate(endpoint(pick(2) == 0 ? "fd00:2::9" : "fd00:2::99", 51820));
            }
        } catch (const Refused&) {
            ++refused;
        } catch (const InvalidArgument&) {
            ++refused;
        }
        const auto way = firewall_difference(change);
        all_.apply(change);
        const auto built = desired_firewall({}, all_);
        ASSERT_EQ(difference(firewall, built).mappings, way.mappings) << step;
        ASSERT_EQ(difference(firewall, built).pinholes, way.pinholes) << step;
        firewall = built;

        std::map<Port, ReservationId> owners;
        std::map<Address, ReservationId> shown;
        for (const auto& [id, row] : all_.rows()) {
            const bool wants = all_.translates_ipv6(row.internal.host);
            if (row.nat66) {
                ASSERT_TRUE(wants) << step;
                ASSERT_TRUE(owners.emplace(row.external_port, id).second) << step;
                ASSERT_EQ(all_.find(Protocol::udp, row.external_port, Family::ipv6)->id, id);
            }
            if (const auto host = nat66_host(row)) {
                ASSERT_TRUE(all_.translates_ipv6(*host)) << step;
                ASSERT_TRUE(shown.emplace(*host, id).second) << step;
            }
            ASSERT_EQ(all_.crowded_out().contains(id), wants && !row.nat66) << step;
        }
        for (const auto id : all_.crowded_out()) {
            const auto& row = *all_.find(id);
            const auto state = row.state;
            ASSERT_EQ(state == ReservationState::waiting,
                      is_ipv6(row.internal) || (!row.address && row.ipv6_addresses.empty()))
                << step;
            ++waited;
            ASSERT_TRUE(owners.contains(all_.find(id)->external_port)) << step << ": it is free";
        }
    }
    EXPECT_GT(refused, 100U);
    EXPECT_GT(waited, 100U);
}

}  // namespace
}  // namespace porthole
