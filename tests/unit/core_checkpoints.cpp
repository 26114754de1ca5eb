// SPDX-License-Identifier: GPL-2.0-or-later
#include <random>

#include "core/checkpoints.hpp"
#include "tunnels_fixture.hpp"

namespace porthole {
namespace {

using namespace support;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const auto wg1 = interface("wg1");

class CheckpointsTest : public TunnelsFixture {
  protected:
    void SetUp() override {
        TunnelsFixture::SetUp();
        open_checkpoints();
    }
    void TearDown() override {
        checkpoints_.reset();
        TunnelsFixture::TearDown();
    }
    void open_checkpoints() {
        checkpoints_.emplace(
            *gateway_, *tunnels_, stored_checkpoint_, [this] { return now_; },
            [this] { return monotonic_; });
    }
    void restart_all(const Configuration& configuration = {}) {
        checkpoints_.reset();
        restart(configuration);
        open_checkpoints();
    }
    // What comes back: not when somebody was seen, and not whether flows are settled.
    [[nodiscard]] std::vector<Reservation> rows() const {
        std::vector<Reservation> all;
        for (const auto& [id, row] : gateway_->reservations().rows()) {
            all.push_back(row);
            all.back().state = ReservationState::settling;
            all.back().last_seen = never;
        }
        return all;
    }
    void expect_as_before(const std::vector<Reservation>& before,
                          const std::map<InterfaceName, Tunnel>& tunnels) {
        EXPECT_EQ(rows(), before);
        EXPECT_EQ(tunnels_->all(), tunnels);
        expect_the_kernel_has_what_it_should();
        expect_the_interfaces_are_the_tunnels();
    }
    std::vector<std::pair<std::uint64_t, CheckpointEnd>> ended() {
        std::vector<std::pair<std::uint64_t, CheckpointEnd>> all;
        for (const auto& [id, how] : checkpoints_->take_ended()) all.emplace_back(number(id), how);
        return all;
    }
    // Two reservations and a tunnel with a peer; then one of each goes, changes and comes.
    void make_something() {
        first_ = reserve({.internal = endpoint("192.168.2.2", 1000)}).id;
        second_ = reserve({.internal = endpoint("192.168.2.3", 2000)}).id;
        TunnelSettings settings;
        settings.peers = {peer_with({.public_key = peer_})};
        tunnels_->create(wg0, settings);
    }
    void change_everything() {
        release(first_);
        gateway_->change(second_, {.external_port = port(1000)}, std::nullopt);
        reserve({.internal = endpoint("192.168.2.4", 2000)});
        tunnels_->create(wg1, {});
        tunnels_->set_peer(wg0, {.public_key = new_key()});
        tunnels_->remove_peer(wg0, peer_);
    }

    ReservationId first_{};
    ReservationId second_{};
    const PublicKey peer_ = new_key();
    std::optional<Checkpoints> checkpoints_;
};

TEST_F(CheckpointsTest, AreGoneBackToOnDemand) {
    make_something();
    const auto before = rows();
    const auto tunnels = tunnels_->all();
    const auto checkpoint = checkpoints_->start(60s);
    change_everything();
    ASSERT_NE(rows(), before);
    checkpoints_->roll_back(checkpoint.id);
    expect_as_before(before, tunnels);
    EXPECT_FALSE(checkpoints_->active());
    EXPECT_THAT(ended(), ElementsAre(std::pair(1, CheckpointEnd::rolled_back)));
    restart_all();
    expect_as_before(before, tunnels);
    EXPECT_FALSE(checkpoints_->active());
}

TEST_F(CheckpointsTest, AreGoneBackToUnlessSomebodyCommits) {
    make_something();
    const auto before = rows();
    const auto tunnels = tunnels_->all();
    checkpoints_->start(60s);
    change_everything();
    const auto after = rows();
    pass(59s);
    checkpoints_->expire();
    EXPECT_EQ(rows(), after);
    EXPECT_EQ(checkpoints_->time_left(), 1s);
    pass(1s);
    checkpoints_->expire();
    expect_as_before(before, tunnels);
    EXPECT_THAT(ended(), ElementsAre(std::pair(1, CheckpointEnd::expired)));

    const auto second = checkpoints_->start(60s);
    EXPECT_EQ(number(second.id), 2U);
    change_everything();
    const auto committed = rows();
    const auto their_tunnels = tunnels_->all();
    checkpoints_->commit(second.id);
    pass(61s);
    checkpoints_->expire();
    expect_as_before(committed, their_tunnels);
    EXPECT_THAT(ended(), ElementsAre(std::pair(2, CheckpointEnd::committed)));
    restart_all();
    expect_as_before(committed, their_tunnels);
}

TEST_F(CheckpointsTest, AreWhetherTheRulesWereInForce) {
    for (const bool before : {true, false}) {
        gateway_->set_enabled(before);
        checkpoints_->start(60s);
        gateway_->set_enabled(!before);
        reserve({.internal = endpoint("192.168.2.2", 1000)});
        restart_all();
        pass(60s);
        checkpoints_->expire();
        EXPECT_EQ(gateway_->enabled(), before);
        EXPECT_THAT(gateway_->reservations().rows(), IsEmpty());
        expect_the_kernel_has_what_it_should();
        restart_all();
        EXPECT_EQ(gateway_->enabled(), before);
    }
    checkpoints_->start(60s);
    gateway_->set_enabled(true);
    checkpoints_->commit(checkpoints_->active()->id);
    EXPECT_TRUE(gateway_->enabled());
}

TEST_F(CheckpointsTest, LastLongerIfSomebodySaysSo) {
    const auto id = checkpoints_->start(10s).id;
    reserve({.internal = endpoint("192.168.2.2", 1000)});
    pass(9s);
    checkpoints_->extend(id, 20s);
    restart_all();
    EXPECT_EQ(checkpoints_->time_left(), 20s);
    pass(19s);
    checkpoints_->expire();
    EXPECT_THAT(rows(), SizeIs(1));
    pass(1s);
    checkpoints_->expire();
    EXPECT_THAT(rows(), IsEmpty());
}

TEST_F(CheckpointsTest, SurviveTheService) {
    make_something();
    const auto before = rows();
    const auto tunnels = tunnels_->all();
    checkpoints_->start(60s);
    change_everything();
    const auto after = rows();
    pass(20s);
    restart_all();
    ASSERT_TRUE(checkpoints_->active());
    EXPECT_EQ(checkpoints_->time_left(), 40s);
    checkpoints_->expire();
    EXPECT_EQ(rows(), after);
    pass(100s);
    restart_all();
    EXPECT_EQ(checkpoints_->time_left(), 0s);
    checkpoints_->expire();
    expect_as_before(before, tunnels);
}

// A gateway without a clock of its own starts in the past.
TEST_F(CheckpointsTest, LastNoLongerThanWasAskedFor) {
    const auto id = checkpoints_->start(60s).id;
    now_ -= 24h * 365;
    restart_all();
    EXPECT_EQ(checkpoints_->time_left(), 60s);
    checkpoints_->commit(id);
    checkpoints_->start(60s);
    now_ += 24h;
    EXPECT_EQ(checkpoints_->time_left(), 60s);
}

TEST_F(CheckpointsTest, AreOneAtATime) {
    const auto id = checkpoints_->start(60s).id;
    EXPECT_EQ(refusal_of([&] { checkpoints_->start(60s); }), Refusal::busy);
    const CheckpointId other{number(id) + 1};
    for (const auto& call : std::vector<std::function<void()>>{
             [&] { checkpoints_->extend(other, 1s); }, [&] { checkpoints_->commit(other); },
             [&] { checkpoints_->roll_back(other); }}) {
        EXPECT_EQ(refusal_of(call), Refusal::no_such_checkpoint);
    }
    checkpoints_->commit(id);
    EXPECT_EQ(refusal_of([&] { checkpoints_->commit(id); }), Refusal::no_such_checkpoint);
}

// Each call to the kernel fails in turn, and whatever is interrupted is done by the next attempt,
// before or after a restart. Half of it cannot be committed.
TEST_F(CheckpointsTest, AreGoneBackToInTheEnd) {
    make_something();
    const auto before = rows();
    const auto tunnels = tunnels_->all();
    bool done = false;
    int calls = 0;
    for (; !done; ++calls) {
        ASSERT_LT(calls, 100);
        const auto id = checkpoints_->start(60s).id;
        change_everything();
        backend_.calls_before_failure = calls;
        try {
            checkpoints_->roll_back(id);
            done = true;
        } catch (const KernelFailure&) {
            EXPECT_EQ(refusal_of([&] { checkpoints_->commit(id); }), Refusal::busy);
            EXPECT_EQ(refusal_of([&] { checkpoints_->extend(id, 60s); }), Refusal::busy);
            if (calls % 2 == 0) restart_all();
            EXPECT_EQ(checkpoints_->time_left(), 0s);
            checkpoints_->expire();
        }
        backend_.calls_before_failure = -1;
        expect_as_before(before, tunnels);
        EXPECT_THAT(ended(), ElementsAre(std::pair(number(id), CheckpointEnd::rolled_back)));
    }
    EXPECT_GE(calls, 4);
}

TEST_F(CheckpointsTest, GiveTunnelsTheirPortsBackThatHaveSwappedThem) {
    tunnels_->create(wg0, {.listen_port = port(51820)});
    tunnels_->create(wg1, {.listen_port = port(51821)});
    const auto tunnels = tunnels_->all();
    const auto id = checkpoints_->start(60s).id;
    tunnels_->configure(wg0, {.listen_port = port(51822)});
    tunnels_->configure(wg1, {.listen_port = port(51820)});
    tunnels_->configure(wg0, {.listen_port = port(51821)});
    checkpoints_->roll_back(id);
    expect_as_before({}, tunnels);
}

TEST_F(CheckpointsTest, GiveATunnelThePortBackThatSomebodyHasReservedSince) {
    tunnels_->create(wg0, {.listen_port = port(51820)});
    const auto tunnels = tunnels_->all();
    const auto id = checkpoints_->start(60s).id;
    tunnels_->remove(wg0);
    reserve({.internal = endpoint("192.168.2.2", 51820)});
    checkpoints_->roll_back(id);
    expect_as_before({}, tunnels);
}

TEST_F(CheckpointsTest, LeaveTheConfigurationFileAlone) {
    const auto row = reserve({.internal = endpoint("192.168.2.2", 1000)});
    const auto id = checkpoints_->start(60s).id;
    release(row.id);
    Configuration configuration;
    configuration.reservations = {{endpoint("192.168.2.3", 5), port(1000), {}, {}}};
    gateway_->reload(configuration);
    checkpoints_->roll_back(id);
    ASSERT_THAT(rows(), SizeIs(1));
    EXPECT_EQ(rows().front().origin, Origin::configured);
    expect_the_kernel_has_what_it_should();
}

TEST_F(CheckpointsTest, BringNothingBackThatHasRunOutMeanwhile) {
    ReserveRequest request{.internal = endpoint("192.168.2.2", 1000)};
    request.lifetime = 30s;
    reserve(request);
    const auto id = checkpoints_->start(60s).id;
    pass(31s);
    gateway_->expire();
    checkpoints_->roll_back(id);
    EXPECT_THAT(rows(), IsEmpty());
}

// Random changes of every kind, from random states: what was there is there again.
class RestoredReservations : public testing::TestWithParam<unsigned> {
  protected:
    unsigned below(unsigned limit) {
        return std::uniform_int_distribution<unsigned>(0, limit - 1)(random_);
    }
    Endpoint some_endpoint() {
        const auto host = below(4) == 0   ? "02:00:5e:10:00:0" + std::to_string(below(3))
                          : below(4) == 0 ? "2001:db8::" + std::to_string(below(4) + 1)
                                          : "192.168.2." + std::to_string(below(6) + 2);
        return endpoint(host, 51820 + below(6), below(3) == 0 ? Protocol::tcp : Protocol::udp);
    }
    ReservationId some_id() { return ReservationId{below(40) + 1}; }
    void step() {
        try {
            switch (below(6)) {
                case 0:
                    return reservations_.apply(reservations_.release(std::array{some_id()}));
                case 1: {
                    ReservationChanges changes{.external_port = port(51820 + below(8))};
                    changes.comment = comment("changed");
                    return reservations_.apply(reservations_.change(some_id(), changes, now));
                }
                case 2: {
                    const auto from = some_endpoint();
                    const Claim claim{from, parse<MacAddress>("mac", "02:00:5e:20:00:01")};
                    if (!std::holds_alternative<Address>(from.host) || is_ipv6(from)) return;
                    return reservations_.apply(
                        reservations_.claim(std::array{claim}, {}, now).difference);
                }
                default: {
                    ReserveRequest request{.internal = some_endpoint()};
                    if (below(2) == 0) request.external_port = port(51820 + below(8));
                    if (below(2) == 0) request.on_conflict = OnConflict::next;
                    return reservations_.apply(reservations_.reserve(request, Origin::api, now));
                }
            }
        } catch (const Error&) {
            ++refused_;
        }
    }
    [[nodiscard]] std::vector<Reservation> rows() const {
        std::vector<Reservation> all;
        for (const auto& [id, row] : reservations_.rows()) {
            all.push_back(row);
            all.back().state = ReservationState::settling;
        }
        return all;
    }

    Reservations reservations_;
    int refused_ = 0;

  private:
    std::mt19937 random_{GetParam()};
};

TEST_P(RestoredReservations, AreWhatTheyWere) {
    Whereabouts where;
    where.of.emplace(parse<MacAddress>("mac", "02:00:5e:10:00:00"),
                     parse<Address>("address", "192.168.2.2"));
    reservations_.set_whereabouts(where);
    for (int round = 0; round < 30; ++round) {
        for (int i = 0; i < 20; ++i) step();
        const auto before = rows();
        for (int i = 0; i < 20; ++i) step();
        std::set<ReservationId> since;  // claims that may stay
        for (const auto id : reservations_.claims()) {
            if (std::ranges::find(before, id, &Reservation::id) == before.end()) since.insert(id);
        }
        const auto restored = reservations_.restore(before, now);
        EXPECT_THAT(restored.refused, IsEmpty());
        reservations_.apply(restored.difference);
        auto after = rows();
        std::erase_if(after, [&](const Reservation& row) { return since.contains(row.id); });
        ASSERT_EQ(after, before);
        EXPECT_TRUE(reservations_.restore(before, now).difference.empty());
    }
    EXPECT_GT(refused_, 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RestoredReservations, testing::Range(0U, 8U));

}  // namespace
}  // namespace porthole
