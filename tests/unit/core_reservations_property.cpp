// SPDX-License-Identifier: GPL-2.0-or-later
// Random sequences of operations on Reservations, compared with a model that is too simple to be
// wrong: a map by endpoint that is searched from end to end.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <span>
#include <string>
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

class Model {
  public:
    std::map<Endpoint, Reservation> rows;

    [[nodiscard]] const Reservation* owner(Protocol protocol, Port external_port) const {
        for (const auto& [internal, row] : rows) {
            if (internal.protocol == protocol && row.external_port == external_port) return &row;
        }
        return nullptr;
    }

    [[nodiscard]] Port next_free(Protocol protocol, Port from) const {
        const bool well_known = from.value() < 1024;
        auto value = from.value();
        do {
            if (value == (well_known ? 1023 : 65535)) value = well_known ? 0 : 1023;
            ++value;
        } while (owner(protocol, port(value)) != nullptr);
        return port(value);
    }

    void reserve(const ReserveRequest& request, Origin origin, Time when) {
        const auto protocol = request.internal.protocol;
        const auto found = rows.find(request.internal);
        const auto* old = found == rows.end() ? nullptr : &found->second;
        if (old != nullptr && old->origin == Origin::configured) refuse(Refusal::read_only);
        auto external_port = request.external_port.value_or(old != nullptr ? old->external_port
                                                                           : request.internal.port);
        const auto* taken = owner(protocol, external_port);
        if (taken != nullptr && taken != old) {
            if (request.on_conflict == OnConflict::fail) refuse(Refusal::port_taken);
            external_port =
                old != nullptr ? old->external_port : next_free(protocol, external_port);
        }
        Reservation row{
            .id = old != nullptr ? old->id : unknown,
            .internal = request.internal,
            .external_port = external_port,
            .filtering =
                request.filtering.value_or(old != nullptr ? old->filtering : default_filtering),
            .origin = origin,
            .state = std::holds_alternative<MacAddress>(request.internal.host)
                         ? ReservationState::waiting  // nobody has said where it is
                         : ReservationState::settling,
            .comment = request.comment.value_or(old != nullptr ? old->comment : Comment()),
            .expires = expiry(request.lifetime, when),
            .last_seen = never};
        rows.insert_or_assign(request.internal, row);
    }

    void change(ReservationId id, const ReservationChanges& changes, Time when) {
        auto& row = modifiable(id);
        if (changes.external_port) {
            const auto* taken = owner(row.internal.protocol, *changes.external_port);
            if (taken != nullptr && taken != &row) refuse(Refusal::port_taken);
            row.external_port = *changes.external_port;
        }
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
                if (old != before.end()) rows.at(request.internal).id = old->second.id;
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
        static constexpr std::array hosts{"192.168.2.2", "192.168.2.3", "192.168.2.4",
                                          "2001:db8::2", "02:00:5e:10:00:01"};
        ReserveRequest result{.internal = {parse<HostKey>("host", hosts.at(below(hosts.size()))),
                                           one_in(3) ? Protocol::tcp : Protocol::udp, some_port()}};
        if (one_in(2)) result.external_port = some_port();
        if (one_in(2)) result.on_conflict = OnConflict::next;
        if (one_in(4)) result.filtering = some_filtering();
        if (one_in(3)) result.lifetime = std::chrono::seconds(below(5));
        if (one_in(4)) result.comment = some_comment();
        return result;
    }
    ReservationChanges changes() {
        ReservationChanges result;
        if (one_in(2)) result.external_port = some_port();
        if (one_in(4)) result.filtering = some_filtering();
        if (one_in(3)) result.lifetime = std::chrono::seconds(below(5));
        if (one_in(4)) result.comment = some_comment();
        return result;
    }
    std::vector<ReserveRequest> requests(std::size_t most) {
        std::vector<ReserveRequest> result(below(most + 1), request());
        for (auto& entry : result) entry = request();
        return result;
    }
    // Of a row that is there, now and then of one that is not.
    ReservationId id(const Reservations& reservations) {
        return ReservationId{below(number(reservations.next_id()) + 1)};
    }

  private:
    Filtering some_filtering() {
        return one_in(2) ? Filtering::address_dependent : Filtering::endpoint_independent;
    }
    Comment some_comment() { return comment(one_in(2) ? "laptop" : ""); }

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

void expect_same(const Reservations& reservations, const Model& model) {
    ASSERT_THAT(rows_of(reservations), ElementsAreArray(model.by_id()));
    std::set<Endpoint> endpoints;
    std::set<std::pair<Protocol, Port>> external_ports;
    std::optional<Time> next_expiry;
    for (const auto& [id, row] : reservations.rows()) {
        EXPECT_TRUE(endpoints.insert(row.internal).second);
        EXPECT_TRUE(external_ports.emplace(row.internal.protocol, row.external_port).second);
        EXPECT_LT(id, reservations.next_id());
        EXPECT_EQ(reservations.find(id), &row);
        EXPECT_EQ(reservations.find(row.internal), &row);
        EXPECT_EQ(reservations.find(row.internal.protocol, row.external_port), &row);
        if (row.expires != never && (!next_expiry || row.expires < *next_expiry))
            next_expiry = row.expires;
    }
    EXPECT_EQ(reservations.next_expiry(), next_expiry);
}

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
            }
        };
        const auto both = [&](auto real, auto modelled) {
            attempt(refused, [&] { difference = real(); });
            attempt(expected, modelled);
        };
        switch (random.below(8)) {
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
            default: {
                auto wanted = random.requests(4);
                for (auto& request : wanted) request.on_conflict = OnConflict::fail;
                const auto configured = reservations_.configure(wanted, now_);
                difference = configured.difference;
                EXPECT_EQ(configured.refused.size(), after.configure(wanted, now_));
            }
        }
        EXPECT_EQ(refused, expected);
        if (!expected) model_ = after;
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

        reservations_.apply(way.inverse());
        ASSERT_EQ(rows_of(reservations_), before);
        reservations_.apply(way);
        ASSERT_NO_FATAL_FAILURE(expect_same(reservations_, model_));
        if (HasFailure()) FAIL() << "after the first operation that went wrong";
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ReservationsProperty, ::testing::Range<std::uint32_t>(1, 11));

}  // namespace
}  // namespace porthole
