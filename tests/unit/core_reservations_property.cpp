// SPDX-License-Identifier: GPL-2.0-or-later
// Random sequences of operations on Reservations, compared with a model that is too simple to be
// wrong: a map by endpoint that is searched from end to end. Hosts come, go, and exchange their
// addresses meanwhile, and so do the WANs' addresses.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
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
using ::testing::ElementsAreArray;

Endpoint at(const Address& host, const Endpoint& internal) {
    return {host, internal.protocol, internal.port};
}

const MacAddress* mac_of(const Reservation& row) {
    return std::get_if<MacAddress>(&row.internal.host);
}

// Stands for InvalidArgument here.
constexpr auto no_argument = Refusal::unsupported;

class Model {
  public:
    std::map<Endpoint, Reservation> rows;
    Whereabouts where;
    std::vector<Address> wan;  // its addresses

    [[nodiscard]] const Reservation* taken(const ExternalEndpoint& outside,
                                           const Reservation* except = nullptr) const {
        for (const auto& [internal, row] : rows) {
            if (is_ipv6(internal) || &row == except) continue;
            const bool same_address = row.external_address == outside.address ||
                                      row.external_address.is_any() || outside.address.is_any();
            if (internal.protocol == outside.protocol && row.external_port == outside.port &&
                same_address) {
                return &row;
            }
        }
        return nullptr;
    }

    [[nodiscard]] Port next_free(const ExternalEndpoint& outside) const {
        const bool well_known = outside.port.value() < 1024;
        auto value = outside.port.value();
        do {
            if (value == (well_known ? 1023 : 65535)) value = well_known ? 0 : 1023;
            ++value;
        } while (taken({outside.protocol, port(value), outside.address}) != nullptr);
        return port(value);
    }

    void reserve(const ReserveRequest& request, Origin origin, Time when) {
        const auto protocol = request.internal.protocol;
        const auto found = rows.find(request.internal);
        const auto* old = found == rows.end() ? nullptr : &found->second;
        if (old != nullptr && old->origin == Origin::configured) refuse(Refusal::read_only);
        auto external_port = request.external_port.value_or(old != nullptr ? old->external_port
                                                                           : request.internal.port);
        const auto kept = old != nullptr ? old->external_address : ExternalAddress();
        const auto address = request.external_address.value_or(kept);
        const bool translated = !is_ipv6(request.internal);
        if (!translated && (external_port != request.internal.port || !address.is_any())) {
            refuse(no_argument);
        }
        if (translated && taken({protocol, external_port, address}, old) != nullptr) {
            if (request.on_conflict == OnConflict::fail) refuse(Refusal::port_taken);
            const bool stays = old != nullptr && address == kept;
            external_port =
                stays ? old->external_port : next_free({protocol, external_port, address});
        }
        Reservation row{
            .id = old != nullptr ? old->id : unknown,
            .internal = request.internal,
            .external_port = external_port,
            .filtering =
                request.filtering.value_or(old != nullptr ? old->filtering : default_filtering),
            .origin = origin,
            .state = ReservationState::settling,
            .external_address = address,
            .comment = request.comment.value_or(old != nullptr ? old->comment : Comment()),
            .expires = expiry(request.lifetime, when),
            .last_seen = never};
        if (old != nullptr) {
            row.address = old->address;
            row.ipv6_addresses = old->ipv6_addresses;
        }
        rows.insert_or_assign(request.internal, row);
    }

    // Has the rows of MAC addresses be where these are now, and those with a fixed external address
    // wait for it, after anything else was done.
    void follow() {
        for (auto& [internal, row] : rows) {
            const auto fixed = row.external_address.fixed();
            const bool lacking = fixed && std::ranges::count(wan, *fixed) == 0;
            row.state = lacking ? ReservationState::waiting : ReservationState::settling;
            const auto* mac = mac_of(row);
            if (mac == nullptr) continue;
            const auto holder =
                row.address ? where.holders.find(*row.address) : where.holders.end();
            if (where.of.contains(*mac)) {
                row.address = where.of.at(*mac);
            } else if (holder != where.holders.end() && holder->second != *mac) {
                row.address.reset();
            }
            if (row.address && rows.contains(at(*row.address, internal))) row.address.reset();
            if (where.ipv6_of.contains(*mac)) row.ipv6_addresses = where.ipv6_of.at(*mac);
            std::erase_if(row.ipv6_addresses, [&, &of = internal](const Address& address) {
                const auto other = where.holders.find(address);
                return rows.contains(at(address, of)) ||
                       (other != where.holders.end() && other->second != *mac);
            });
            const bool away = !row.address && row.ipv6_addresses.empty();
            if (away) row.state = ReservationState::waiting;
        }
    }

    void change(ReservationId id, const ReservationChanges& changes, Time when) {
        auto& row = modifiable(id);
        const ExternalEndpoint outside{row.internal.protocol,
                                       changes.external_port.value_or(row.external_port),
                                       changes.external_address.value_or(row.external_address)};
        if (!is_ipv6(row.internal)) {
            if (taken(outside, &row) != nullptr) refuse(Refusal::port_taken);
        } else if (outside != external_endpoint(row)) {
            refuse(no_argument);
        }
        row.external_port = outside.port;
        row.external_address = outside.address;
        row.filtering = changes.filtering.value_or(row.filtering);
        row.comment = changes.comment.value_or(row.comment);
        if (changes.lifetime) row.expires = expiry(changes.lifetime, when);
    }

    void release(std::span<const ReservationId> ids) {
        for (const auto id : std::set(ids.begin(), ids.end())) modifiable(id);
        std::erase_if(
            rows, [&](const auto& entry) { return std::ranges::count(ids, entry.second.id) > 0; });
    }

    void expire(Time when) {
        std::erase_if(rows, [&](const auto& entry) {
            return entry.second.expires != never && entry.second.expires <= when;
        });
    }

    // How many of `wanted` are refused.
    std::size_t configure(std::span<const ReserveRequest> wanted, Time when) {
        const auto before = rows;
        std::erase_if(rows,
                      [](const auto& entry) { return entry.second.origin == Origin::configured; });
        std::size_t refused = 0;
        for (const auto& request : wanted) {
            try {
                reserve(request, Origin::configured, when);
                const auto old = before.find(request.internal);
                if (old == before.end()) continue;
                rows.at(request.internal).id = old->second.id;
                rows.at(request.internal).address = old->second.address;
                rows.at(request.internal).ipv6_addresses = old->second.ipv6_addresses;
            } catch (const Refused&) {
                ++refused;
            }
        }
        return refused;
    }

    // New rows take the ids that they were given.
    void learn_ids(const Reservations& reservations) {
        for (auto& [internal, row] : rows) {
            if (row.id != unknown) continue;
            const auto* given = reservations.find(internal);
            ASSERT_NE(given, nullptr) << to_text(internal.host);
            ASSERT_TRUE(used_ids_.insert(given->id).second) << "id used again";
            row.id = given->id;
        }
    }

    [[nodiscard]] std::vector<Reservation> by_id() const {
        std::vector<Reservation> result;
        for (const auto& [internal, row] : rows) result.push_back(row);
        std::ranges::sort(result, {}, &Reservation::id);
        return result;
    }

  private:
    static constexpr ReservationId unknown{0};

    [[noreturn]] static void refuse(Refusal reason) { throw Refused(reason, "refused"); }

    static Time expiry(std::optional<std::chrono::seconds> lifetime, Time when) {
        if (!lifetime || lifetime->count() == 0) return never;
        return when + *lifetime;
    }

    Reservation& modifiable(ReservationId id) {
        for (auto& [internal, row] : rows) {
            if (row.id != id) continue;
            if (row.origin == Origin::configured) refuse(Refusal::read_only);
            return row;
        }
        refuse(Refusal::no_such_reservation);
    }

    std::set<ReservationId> used_ids_;
};

constexpr std::array addresses{"192.168.2.2", "192.168.2.3", "192.168.2.4"};
constexpr std::array ipv6_addresses{"2001:db8::2", "2001:db8::3", "2001:db8::4"};
constexpr std::array wan_addresses{"203.0.113.1", "203.0.113.2", "203.0.113.3"};
constexpr std::array mac_addresses{"02:00:5e:10:00:02", "02:00:5e:10:00:03", "02:00:5e:10:00:04"};

// Few hosts and ports, so that requests meet; the ports lie at the edges of the ranges.
class RandomRequests {
  public:
    explicit RandomRequests(std::uint32_t seed) : engine_(seed) {}

    std::size_t below(std::size_t count) {
        return std::uniform_int_distribution<std::size_t>(0, count - 1)(engine_);
    }
    bool one_in(std::size_t count) { return below(count) == 0; }

    Port some_port() {
        static constexpr std::array ports{1U,    2U,     1022U,  1023U, 1024U,
                                          1025U, 51820U, 65534U, 65535U};
        return port(ports.at(below(ports.size())));
    }
    ReserveRequest request() {
        ReserveRequest result{
            .internal = {some_host(), one_in(3) ? Protocol::tcp : Protocol::udp, some_port()}};
        if (one_in(2)) result.external_port = some_port();
        if (one_in(3)) result.external_address = some_external_address();
        if (one_in(2)) result.on_conflict = OnConflict::next;
        if (one_in(4)) result.filtering = some_filtering();
        if (one_in(3)) result.lifetime = std::chrono::seconds(below(5));
        if (one_in(4)) result.comment = some_comment();
        return result;
    }
    ReservationChanges changes() {
        ReservationChanges result;
        if (one_in(2)) result.external_port = some_port();
        if (one_in(4)) result.external_address = some_external_address();
        if (one_in(4)) result.filtering = some_filtering();
        if (one_in(3)) result.lifetime = std::chrono::seconds(below(5));
        if (one_in(4)) result.comment = some_comment();
        return result;
    }
    std::vector<Address> addresses_of_wan() {
        std::vector<Address> result;
        for (const auto* text : wan_addresses) {
            if (!one_in(3)) result.push_back(parse<Address>("address", text));
        }
        return result;
    }
    std::vector<ReserveRequest> requests(std::size_t most) {
        std::vector<ReserveRequest> result(below(most + 1), request());
        for (auto& entry : result) entry = request();
        return result;
    }
    // Each address is somebody's or nobody's. Who has several is reached at one of them, or at
    // none if that is not to be used.
    Whereabouts whereabouts() {
        Whereabouts result;
        for (const auto* text : addresses) {
            if (one_in(3)) continue;
            const auto address = parse<Address>("address", text);
            const auto mac = some_mac();
            result.holders.emplace(address, mac);
            if (!one_in(4)) result.of.insert_or_assign(mac, address);
        }
        for (const auto* text : ipv6_addresses) {
            if (one_in(3)) continue;
            const auto address = parse<Address>("address", text);
            const auto mac = some_mac();
            result.holders.emplace(address, mac);
            if (!one_in(4)) result.ipv6_of[mac].push_back(address);
        }
        return result;
    }
    // Those that are somewhere exchange their addresses.
    Whereabouts rotated(const Whereabouts& before) {
        if (before.of.size() < 2) return whereabouts();
        auto result = before;
        auto next = before.of.begin();
        for (auto& [mac, address] : result.of) {
            if (++next == before.of.end()) next = before.of.begin();
            address = next->second;
            result.holders.insert_or_assign(address, mac);
        }
        return result;
    }
    Claim claim() {
        const Endpoint internal{parse<Address>("address", addresses.at(below(addresses.size()))),
                                one_in(3) ? Protocol::tcp : Protocol::udp, some_port()};
        return {internal, some_mac()};
    }
    std::set<ProtocolPort> ports() {
        std::set<ProtocolPort> result;
        for (auto count = below(4); count > 0; --count) {
            result.insert({one_in(3) ? Protocol::tcp : Protocol::udp, some_port()});
        }
        return result;
    }
    // Of a row that is there, now and then of one that is not.
    ReservationId id(const Reservations& reservations) {
        const auto& rows = reservations.rows();
        if (!rows.empty() && !one_in(4)) return std::next(rows.begin(), place(rows.size()))->first;
        return ReservationId{below(number(reservations.next_id()) + 1)};
    }

  private:
    HostKey some_host() {
        switch (below(8)) {
            case 0:
                return parse<HostKey>("host", ipv6_addresses.at(below(2)));
            case 1:
            case 2:
            case 3:
                return some_mac();
            default:
                return parse<HostKey>("host", addresses.at(below(addresses.size())));
        }
    }
    ExternalAddress some_external_address() {
        if (one_in(3)) return {};
        return ExternalAddress(
            parse<Address>("address", wan_addresses.at(below(wan_addresses.size()))));
    }
    MacAddress some_mac() {
        return parse<MacAddress>("mac", mac_addresses.at(below(mac_addresses.size())));
    }
    Filtering some_filtering() {
        return one_in(2) ? Filtering::address_dependent : Filtering::endpoint_independent;
    }
    Comment some_comment() { return comment(one_in(2) ? "laptop" : ""); }

    std::ptrdiff_t place(std::size_t count) { return static_cast<std::ptrdiff_t>(below(count)); }

    std::mt19937 engine_;
};

std::vector<Reservation> rows_of(const Reservations& reservations) {
    std::vector<Reservation> rows;
    for (const auto& [id, row] : reservations.rows()) rows.push_back(row);
    return rows;
}

void expect_well_formed(const ReservationDifference& difference) {
    for (const auto* rows : {&difference.before, &difference.after}) {
        EXPECT_TRUE(std::ranges::is_sorted(*rows, std::less(), &Reservation::id));
        EXPECT_EQ(std::ranges::adjacent_find(*rows, {}, &Reservation::id), rows->end());
    }
    for (const auto& row : difference.before) {
        EXPECT_EQ(std::ranges::count(difference.after, row), 0) << "not minimal";
    }
}

// That everything which leaves from an endpoint is of one row, and that owner() knows which one.
void expect_one_owner_each(const Reservations& reservations) {
    std::map<Endpoint, ReservationId> owners;
    for (const auto& [id, row] : reservations.rows()) {
        EXPECT_TRUE(owners.emplace(row.internal, id).second) << to_text(row.internal.host);
        auto places = row.ipv6_addresses;
        EXPECT_TRUE(std::ranges::is_sorted(places));
        if (row.address) places.push_back(*row.address);
        EXPECT_TRUE(places.empty() || mac_of(row) != nullptr);
        for (const auto& place : places) {
            EXPECT_TRUE(owners.emplace(at(place, row.internal), id).second)
                << to_text(place) << ' ' << to_text(row.internal.port);
        }
    }
    for (const auto& [internal, row] : std::map<Endpoint, ReservationId>(owners)) {
        auto all_addresses = std::vector<const char*>(addresses.begin(), addresses.end());
        std::ranges::copy(ipv6_addresses, std::back_inserter(all_addresses));
        for (const auto* address : all_addresses) {
            const auto from = at(parse<Address>("address", address), internal);
            const auto owner = owners.find(from);
            const auto* found = reservations.owner(from);
            ASSERT_EQ(found != nullptr, owner != owners.end()) << address;
            if (found != nullptr) {
                EXPECT_EQ(found->id, owner->second) << address;
            }
        }
    }
}

std::map<MacAddress, Address> followed_in(const Reservations& reservations) {
    std::map<MacAddress, Address> result;
    for (const auto& [id, row] : reservations.rows()) {
        if (row.address) result.emplace(*mac_of(row), *row.address);
    }
    return result;
}

void expect_same(const Reservations& reservations, const Model& model) {
    ASSERT_THAT(rows_of(reservations), ElementsAreArray(model.by_id()));
    std::set<Endpoint> endpoints;
    std::set<ExternalEndpoint> outsides;
    std::optional<Time> next_expiry;
    for (const auto& [id, row] : reservations.rows()) {
        EXPECT_TRUE(endpoints.insert(row.internal).second);
        EXPECT_LT(id, reservations.next_id());
        EXPECT_EQ(reservations.find(id), &row);
        EXPECT_EQ(reservations.find(row.internal), &row);
        const ProtocolPort outside{row.internal.protocol, row.external_port};
        EXPECT_EQ(std::ranges::count(reservations.all_outside(outside), &row), 1);
        if (!is_ipv6(row.internal)) {
            EXPECT_TRUE(outsides.insert(external_endpoint(row)).second);
            const auto* any = reservations.find(outside.protocol, outside.port);
            EXPECT_EQ(any, row.external_address.is_any() ? &row : nullptr);
        } else {
            EXPECT_EQ(row.external_port, row.internal.port);
        }
        if (row.expires != never && (!next_expiry || row.expires < *next_expiry))
            next_expiry = row.expires;
    }
    EXPECT_EQ(reservations.next_expiry(), next_expiry);
    EXPECT_EQ(reservations.followed(), followed_in(reservations));
    EXPECT_EQ(reservations.follows_hosts(), std::ranges::any_of(model.rows, [](const auto& entry) {
                  return mac_of(entry.second) != nullptr;
              }));
    ASSERT_NO_FATAL_FAILURE(expect_one_owner_each(reservations));
}

// What a packet filter has after all differences.
struct Sum {
    std::set<Mapping> mappings;
    std::set<Pinhole> pinholes;
    void change(const FirewallDifference& difference) {
        change(mappings, difference.mappings);
        change(pinholes, difference.pinholes);
    }

  private:
    template <typename T>
    static void change(std::set<T>& values, const SetDifference<T>& difference) {
        for (const auto& value : difference.removed) {
            EXPECT_EQ(values.erase(value), 1U) << "removes what is not there";
        }
        for (const auto& value : difference.added) {
            EXPECT_TRUE(values.insert(value).second) << "adds what is there";
        }
    }
};

class ReservationsProperty : public ::testing::TestWithParam<std::uint32_t> {
  protected:
    // One random operation on both. Returns the way there; empty if both refuse it.
    ReservationDifference step(RandomRequests& random) {
        if (random.one_in(3)) now_ += std::chrono::seconds(1);
        auto after = model_;
        ReservationDifference difference;
        std::optional<Refusal> refused;
        std::optional<Refusal> expected;
        const auto attempt = [](std::optional<Refusal>& reason, auto operation) {
            try {
                operation();
            } catch (const Refused& refusal) {
                reason = refusal.reason();
            } catch (const InvalidArgument&) {
                reason = no_argument;
            }
        };
        const auto both = [&](auto real, auto modelled) {
            attempt(refused, [&] { difference = real(); });
            attempt(expected, modelled);
        };
        switch (random.below(12)) {
            case 0:
            case 1:
            case 2: {
                const auto request = random.request();
                const auto origin = Origin::api;
                both([&] { return reservations_.reserve(request, origin, now_); },
                     [&] { after.reserve(request, origin, now_); });
                break;
            }
            case 3: {
                const auto requests = random.requests(3);
                both([&] { return reservations_.reserve_many(requests, Origin::api, now_, ids_); },
                     [&] {
                         for (const auto& request : requests) {
                             after.reserve(request, Origin::api, now_);
                         }
                     });
                if (!refused) many_ = requests;
                break;
            }
            case 4: {
                const auto id = random.id(reservations_);
                const auto changes = random.changes();
                both([&] { return reservations_.change(id, changes, now_); },
                     [&] { after.change(id, changes, now_); });
                break;
            }
            case 5: {
                const std::array ids{random.id(reservations_), random.id(reservations_)};
                both([&] { return reservations_.release(ids); }, [&] { after.release(ids); });
                break;
            }
            case 6:
                both([&] { return reservations_.expire(now_); }, [&] { after.expire(now_); });
                break;
            case 7:
            case 8:
            case 9:
                after.where =
                    random.one_in(3) ? random.rotated(model_.where) : random.whereabouts();
                reservations_.set_whereabouts(after.where);
                difference = reservations_.follow();
                break;
            case 10:
                after.wan = random.addresses_of_wan();
                reservations_.set_perimeter(after.wan);
                difference = reservations_.follow_perimeter();
                break;
            default: {
                auto wanted = random.requests(4);
                for (auto& request : wanted) {
                    request.on_conflict = OnConflict::fail;
                    if (!is_ipv6(request.internal)) continue;
                    request.external_port.reset();
                    request.external_address.reset();
                }
                const auto configured = reservations_.configure(wanted, now_);
                difference = configured.difference;
                EXPECT_EQ(configured.refused.size(), after.configure(wanted, now_));
            }
        }
        EXPECT_EQ(refused, expected);
        if (!expected) {
            after.follow();
            model_ = after;
        }
        return difference;
    }

    Reservations reservations_;
    Model model_;
    Time now_ = now;
    std::vector<ReserveRequest> many_;  // the last accepted ones, and their ids
    std::vector<ReservationId> ids_;
};

TEST_P(ReservationsProperty, AgreeWithTheModelAndWithTheirDifferences) {
    RandomRequests random(GetParam());
    reservations_.set_pool(*PortRange::from(port(40000), port(40999)));  // out of the way
    Sum sum;
    for (int operation = 0; operation < 300; ++operation) {
        SCOPED_TRACE("operation " + std::to_string(operation));
        const auto before = rows_of(reservations_);
        const auto firewall_before = desired_firewall({}, reservations_);
        many_.clear();
        const auto way = step(random);
        ASSERT_EQ(rows_of(reservations_), before) << "deciding changed something";
        expect_well_formed(way);
        const auto firewall_planned = desired_firewall({}, reservations_, way);

        reservations_.apply(way);
        ASSERT_NO_FATAL_FAILURE(model_.learn_ids(reservations_));
        ASSERT_NO_FATAL_FAILURE(expect_same(reservations_, model_));
        for (std::size_t i = 0; i < many_.size(); ++i) {
            EXPECT_EQ(reservations_.find(ids_[i]), reservations_.find(many_[i].internal));
        }

        const auto firewall_after = desired_firewall({}, reservations_);
        EXPECT_EQ(firewall_planned, firewall_after);
        EXPECT_EQ(firewall_difference(way), difference(firewall_before, firewall_after));
        EXPECT_EQ(firewall_difference(way.inverse()), firewall_difference(way).inverse());
        sum.change(firewall_difference(way));
        EXPECT_THAT(firewall_after.mappings, ElementsAreArray(sum.mappings));
        EXPECT_THAT(firewall_after.pinholes, ElementsAreArray(sum.pinholes));

        reservations_.apply(way.inverse());
        ASSERT_EQ(rows_of(reservations_), before);
        ASSERT_NO_FATAL_FAILURE(expect_one_owner_each(reservations_));
        reservations_.apply(way);
        ASSERT_NO_FATAL_FAILURE(expect_same(reservations_, model_));
        if (HasFailure()) FAIL() << "after the first operation that went wrong";
    }
}

// With claims, which a model would have to choose ports for. What has to hold is said instead.
class FollowersProperty : public ::testing::TestWithParam<std::uint32_t> {
  protected:
    ReservationDifference step(RandomRequests& random) {
        const auto origin = Origin::api;
        followed_ = false;
        switch (random.below(12)) {
            case 0:
            case 1:
                return reservations_.reserve(random.request(), origin, now_);
            case 2:
                return reservations_.reserve_many(random.requests(3), origin, now_, ids_);
            case 3:
                return reservations_.change(random.id(reservations_), random.changes(), now_);
            case 4:
                return reservations_.release(std::array{random.id(reservations_)});
            case 5:
                now_ += std::chrono::seconds(1);
                return reservations_.expire(now_);
            case 6:
                return reservations_.configure(random.requests(4), now_).difference;
            case 7:
            case 8: {
                const std::array claims{random.claim(), random.claim()};
                return reservations_.claim(claims, ClaimPolicy(), now_).difference;
            }
            case 9:
                return random.one_in(4) ? reservations_.forget(now_)
                                        : reservations_.hold_back(random.ports());
            default: {
                const auto where = random.one_in(3) ? random.rotated(reservations_.whereabouts())
                                                    : random.whereabouts();
                reservations_.set_whereabouts(where);
                // As after a call that has failed: nobody has followed.
                if (fails_ && random.one_in(3)) return {};
                followed_ = true;
                return reservations_.follow();
            }
        }
    }

    void expect_the_rules(const std::vector<Reservation>& before) const {
        const auto& where = reservations_.whereabouts();
        for (const auto& [id, row] : reservations_.rows()) {
            SCOPED_TRACE("reservation " + std::to_string(number(id)));
            const auto* mac = mac_of(row);
            if (mac == nullptr) continue;
            const bool away = !row.address && row.ipv6_addresses.empty();
            EXPECT_EQ(row.state == ReservationState::waiting,
                      away || reservations_.lacks_address(row));
            const auto here = where.of.find(*mac);
            if (here != where.of.end()) {
                const auto* owner = reservations_.owner(at(here->second, row.internal));
                ASSERT_NE(owner, nullptr);
                EXPECT_NE(owner->origin, Origin::automatic) << "a claim goes before the host";
                EXPECT_EQ(row.address.get(),
                          owner->id == id ? std::optional(here->second) : std::nullopt);
                continue;
            }
            const auto old = std::ranges::find(before, row.internal, &Reservation::internal);
            const auto last = old != before.end() ? old->address : std::nullopt;
            const auto holder = last ? where.holders.find(*last) : where.holders.end();
            const bool lost = holder != where.holders.end() && holder->second != *mac;
            const bool reserved = last && reservations_.find(at(*last, row.internal)) != nullptr;
            if (last) {
                EXPECT_EQ(row.address, lost || reserved ? std::nullopt : last);
            }
        }
    }
    // Who asked for a port keeps it, whatever hosts do.
    void expect_ports_kept(const std::vector<Reservation>& before) const {
        for (const auto& row : before) {
            if (row.origin == Origin::automatic) continue;
            const auto* after = reservations_.find(row.id);
            ASSERT_NE(after, nullptr) << number(row.id);
            EXPECT_EQ(after->external_port, row.external_port) << number(row.id);
        }
    }

    void run(bool fails) {
        fails_ = fails;
        RandomRequests random(GetParam());
        reservations_.set_pool(*PortRange::from(port(40000), port(40999)));
        Sum sum;
        for (int operation = 0; operation < 500; ++operation) {
            SCOPED_TRACE("operation " + std::to_string(operation));
            const auto before = rows_of(reservations_);
            ReservationDifference way;
            try {
                way = step(random);
            } catch (const Refused&) {
                continue;
            } catch (const InvalidArgument&) {
                continue;
            }
            ASSERT_EQ(rows_of(reservations_), before) << "deciding changed something";
            expect_well_formed(way);
            reservations_.apply(way);
            ASSERT_NO_FATAL_FAILURE(expect_one_owner_each(reservations_));
            if (followed_ || !fails_) {
                ASSERT_NO_FATAL_FAILURE(expect_the_rules(before));
                EXPECT_TRUE(reservations_.follow().empty());
            }
            if (followed_) expect_ports_kept(before);
            EXPECT_EQ(reservations_.followed(), followed_in(reservations_));
            sum.change(firewall_difference(way));
            EXPECT_THAT(desired_firewall({}, reservations_).mappings,
                        ElementsAreArray(sum.mappings));

            if (HasFailure()) FAIL() << "after the first operation that went wrong";

            const auto after = rows_of(reservations_);
            reservations_.apply(way.inverse());
            ASSERT_EQ(rows_of(reservations_), before);
            ASSERT_NO_FATAL_FAILURE(expect_one_owner_each(reservations_));
            reservations_.apply(way);
            ASSERT_EQ(rows_of(reservations_), after);
            if (!random.one_in(10)) continue;
            const Reservations loaded(after, reservations_.next_id());
            ASSERT_NO_FATAL_FAILURE(expect_one_owner_each(loaded));
            EXPECT_EQ(loaded.followed(), reservations_.followed());
        }
    }

    Reservations reservations_;
    Time now_ = now;
    bool fails_ = false;
    bool followed_ = false;
    std::vector<ReservationId> ids_;
};

TEST_P(FollowersProperty, HaveOneOwnerForEachEndpoint) { run(false); }

TEST_P(FollowersProperty, HaveOneOwnerForEachEndpointWhereFollowingFailsNowAndThen) { run(true); }

INSTANTIATE_TEST_SUITE_P(Seeds, FollowersProperty, ::testing::Range<std::uint32_t>(1, 11));

INSTANTIATE_TEST_SUITE_P(Seeds, ReservationsProperty, ::testing::Range<std::uint32_t>(1, 11));

}  // namespace
}  // namespace porthole
