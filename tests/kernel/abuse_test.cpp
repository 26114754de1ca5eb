// SPDX-License-Identifier: GPL-2.0-or-later
// Clients that want to keep others from being served: these are, and nothing stays behind.
#include "abuse.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bus_client.hpp"
#include "dbus/limits.hpp"
#include "lab/polkit.hpp"
#include "lab/two_sites.hpp"
#include "types/limits.hpp"

namespace porthole {
namespace {

using namespace abuse;
using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

namespace limits = dbus::limits;

constexpr auto limit_exceeded = "org.porthole.Gateway1.Error.LimitExceeded";
constexpr auto busy = "org.porthole.Gateway1.Error.Busy";
constexpr auto no_such_checkpoint = "org.porthole.Gateway1.Error.NoSuchCheckpoint";
constexpr auto invalid_arguments = "org.freedesktop.DBus.Error.InvalidArgs";
constexpr auto access_denied = "org.freedesktop.DBus.Error.AccessDenied";

// What the service takes at most, whatever clients do, and what may be left afterwards.
constexpr std::size_t most_memory = std::size_t{96} << 20U;
constexpr std::size_t left_over = std::size_t{6} << 20U;

constexpr std::size_t large = 60'000;

constexpr bool sanitized = lab::Porthole::keeps_what_it_frees;
constexpr int many = sanitized ? 100 : 1000;

/// A bystander, who is answered as if nothing was, while others do what a test has them do.
class Abuse : public testing::Test {
  protected:
    using Seconds = std::chrono::duration<double>;

    Abuse() { porthole.start(group_.setting()); }
    void SetUp() override {
        bystander.emplace(porthole);
        serve(100);
        waited_.clear();
        before_ = memory();
    }
    void TearDown() override {
        if (waited_.empty()) return;  // it was left out
        EXPECT_LT(p99().count(), patience.count());
        RecordProperty("calls", static_cast<int>(waited_.size()));
        RecordProperty("p99-us", static_cast<int>(p99().count() * 1e6));
        RecordProperty("longest-us", static_cast<int>(waited_.back().count() * 1e6));
        RecordProperty("most-memory-kib", static_cast<int>(most_seen_ >> 10U));
        if (sanitized) return;
        EXPECT_LT(most_seen_, most_memory);
        // It is given back when nothing has been settled for two seconds.
        EXPECT_TRUE(lab::comes_true([this] { return memory() < before_ + left_over; }))
            << before_ << " bytes before, " << memory() << " afterwards";
    }

    [[nodiscard]] lab::BusSocket client(uid_t user, gid_t group = nobody) const {
        return connect(porthole.bus(), user, group);
    }
    [[nodiscard]] BusClient well_behaved(uid_t user, gid_t group = nobody) const {
        const As somebody(user, group);
        return BusClient(porthole);
    }
    [[nodiscard]] std::size_t memory() { return memory_of(porthole.process()->id()); }

    // The bystander reserves and releases.
    void serve(int times = 100) {
        for (int i = 0; i < times; ++i) {
            const auto begin = std::chrono::steady_clock::now();
            const auto row = bystander->reserve("192.168.2.3", "udp", 40'000);
            waited_.emplace_back(std::chrono::steady_clock::now() - begin);
            ASSERT_EQ(row.get<3>(), 40'000);
            bystander->release({row.get<0>()});
        }
        most_seen_ = std::max(most_seen_, memory());
    }
    void reserve_with_long_comments(std::uint16_t count, char filling = 'x') {
        std::vector<dbus::RequestRow> rows;
        for (std::uint16_t port = 10'000; port < 10'000 + count; ++port) {
            rows.emplace_back("192.168.2.2", "udp", port, port, "", std::string(128, filling));
        }
        bystander->reserve_many(rows);
    }
    void release_all() {
        while (true) {
            const auto page = std::get<0>(bystander->list());
            if (page.empty()) return;
            std::vector<std::uint64_t> ids;
            for (const auto& row : page) ids.push_back(row.get<0>());
            bystander->release(ids);
        }
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a};
    std::optional<BusClient> bystander;
    /// Of the bystander, for 99 of 100 reservations. Who is kept from being served waits for many
    /// seconds; what others wait for is measured by tests/bench/abuse.cpp.
    Seconds patience = sanitized ? 5s : 500ms;

  private:
    Seconds p99() {
        std::ranges::sort(waited_);
        return waited_.at(waited_.size() * 99 / 100);
    }

    PortholeGroup group_;
    std::size_t before_ = 0;
    std::size_t most_seen_ = 0;
    std::vector<Seconds> waited_;
};

TEST_F(Abuse, FloodsWithCalls) {
    const auto flooding = client(nobody);
    std::atomic<bool> refused = false;
    const Meanwhile flood([&] {
        flooding.send(repeated(status(), 100));
        if (flooding.receive().find(busy) != std::string::npos) refused = true;
    });
    serve(many);
    // Under the sanitizers the bus does not come to more calls than a user may make.
    EXPECT_TRUE(sanitized || lab::comes_true([&] {
                    serve(1);
                    return refused.load();
                }));
    auto other_user = well_behaved(man);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(error_of([&] { other_user.status(); }).second, "");
}

// The bus keeps as many calls of one client as it likes, and takes nobody else's then, so that they
// come in thousands here.
TEST_F(Abuse, FloodsWithCallsThatWantNoAnswer) {
    const auto flooding = client(nobody);
    auto call = status();
    call.answered = false;
    std::atomic<bool> refused = false;
    const Meanwhile flood([&] {
        flooding.send(repeated(call, 1000) + repeated(status(), 1));
        EXPECT_TRUE(flooding.wait());
        if (flooding.receive().find(busy) != std::string::npos) refused = true;
    });
    serve(many);
    EXPECT_TRUE(lab::comes_true([&] {
        serve(1);
        return flood.times() >= 10 && (refused || sanitized);
    }));
}

TEST_F(Abuse, OpensFiveHundredConnections) {
    std::vector<lab::BusSocket> all;
    for (int i = 0; i < 250; ++i) {
        for (const auto user : {nobody, man}) {
            all.push_back(client(user));
            ASSERT_TRUE(
                all.back().send(repeated(status(), 1) + repeated(reserve("192.168.2.2", 1), 1)));
        }
        serve(1);
    }
    for (const auto& each : all) EXPECT_TRUE(each.wait());
    serve();
}

// More calls than a user may make at once, of as many connections as it takes that none makes many;
// those of root come in between.
TEST_F(Abuse, ComesAnewForEachCall) {
    std::atomic<bool> refused = false;
    {
        const Meanwhile newcomers([&] {
            std::vector<lab::BusSocket> all;
            while (all.size() < 20) {
                all.push_back(client(nobody));
                all.back().send(repeated(status(), 16));
            }
            for (const auto& each : all) {
                if (each.wait() && each.receive().find(busy) != std::string::npos) refused = true;
            }
        });
        EXPECT_TRUE(lab::comes_true([&] {
            serve(1);
            BusClient root(porthole);
            EXPECT_NO_THROW(root.status()) << "its first call";
            return newcomers.times() >= 10;
        }));
    }
    EXPECT_TRUE(refused);
    serve();
}

// Whose calls all fail is counted like everybody else.
TEST_F(Abuse, HasNeverMadeAGoodCall) {
    const auto bad = client(nobody);
    EXPECT_TRUE(lab::comes_true([&] {
        bad.send(repeated(reserve_with_depth(30), 20) + repeated(reserve_with_options(1000), 20));
        serve(1);
        return bad.wait() && bad.receive().find(busy) != std::string::npos;
    }));
    serve();
}

// The bus takes a little of an answer, then looks at a hundred calls, and so on.
TEST_F(Abuse, ListsOverAHundredConnections) {
    if (sanitized) GTEST_SKIP() << "the sanitizers take too long";
    patience = 20s;
    reserve_with_long_comments(500);
    std::vector<lab::BusSocket> all;
    for (int i = 0; i < 100; ++i) all.push_back(client(i % 2 == 0 ? nobody : man));
    {
        const Meanwhile lists([&] {
            for (const auto& each : all) each.send(repeated(list(), 2) + repeated(ping_bus(), 1));
            for (const auto& each : all) {
                EXPECT_TRUE(each.wait());
                each.receive();
            }
        });
        EXPECT_TRUE(lab::comes_true([&] {
            serve(1);
            return lists.times() >= 5;
        }));
    }
    serve();
    release_all();
}

// The bus would take nothing from the service any more at 127 MiB.
TEST_F(Abuse, NeverReadsItsAnswers) {
    reserve_with_long_comments(500);
    BusStatistics bus(porthole.bus());
    const std::array deaf{client(nobody), client(man)};
    const auto call_and_do_not_read = [&] {
        for (const auto& each : deaf) each.send(repeated(list(), 20));
        serve(1);
    };
    EXPECT_TRUE(lab::comes_true([&] {
        call_and_do_not_read();
        return bus.unread_of_service() > limits::unread_bytes;
    }));
    std::size_t most_unread = 0;
    for (int i = 0; i < many; ++i) {
        call_and_do_not_read();
        most_unread = std::max(most_unread, bus.unread_of_service());
    }
    RecordProperty("most-unread-kib", static_cast<int>(most_unread >> 10U));
    EXPECT_LT(most_unread, 2 * limits::unread_bytes);
    // Nor does a silence help.
    const auto serve_for = [&](lab::Duration time) {
        const lab::Deadline end(time);
        while (!end.passed()) serve(1);
    };
    const auto silent = client(games);
    silent.send(repeated(list(), 5));
    EXPECT_TRUE(lab::comes_true([&] {
        silent.send(repeated(status(), 1));
        serve_for(lab::Duration(60));
        return bus.unread_of(silent.name()) > limits::unread_bytes_of_a_client;
    }));
    silent.send(repeated(status(), 1));
    serve_for(lab::Duration(1'100));
    const auto unread_before = bus.unread_of(silent.name());
    silent.send(repeated(list(), 1));
    serve_for(lab::Duration(60));
    constexpr std::size_t page = std::size_t{64} << 10U;
    EXPECT_LT(bus.unread_of(silent.name()), unread_before + page);
    // Who reads is answered, but is not told the rows of a change.
    auto reading = well_behaved(nobody);
    EXPECT_EQ(std::get<0>(reading.list()).size(), 500U);
    const auto listening = client(games);
    listening.send(repeated(subscribe(), 1));
    std::string heard;
    EXPECT_TRUE(lab::comes_true([&] {
        serve(1);
        heard += listening.receive();
        return heard.find("Reset") != std::string::npos;
    }));
    EXPECT_THAT(heard, testing::Not(HasSubstr("192.168.2.3")));
    release_all();
}

TEST_F(Abuse, DiesInMidCall) {
    const auto call = lab::marshalled(reserve("192.168.2.2", 51820));
    lab::Marshalled settle;
    settle.text("192.168.2.2").text("udp").number(51821, 2).array(8, [&] {
        settle.align(8).text("settle").signature("b").number(1, 4);
    });
    auto waiting = reserve("192.168.2.2", 51821);
    waiting.body = settle.bytes();
    for (int i = 0; i < 200; ++i) {
        const auto half = client(games, PortholeGroup::id);
        half.send(std::string_view(call).substr(0, call.size() / 2));
        const auto whole = client(games, PortholeGroup::id);
        whole.send(lab::marshalled(waiting));
        serve(1);
    }
    EXPECT_LE(std::get<1>(bystander->list()), 1U);
    release_all();
}

// Large batches are the one thing that others wait for: as long as one takes. Who sends many of
// them at once fills the 127 MiB that the bus keeps for the service, so that it takes none of
// others'.
TEST_F(Abuse, SendsLargeBatches) {
    patience = 20s;
    const auto send_in_a_loop = [&](gid_t group, std::size_t rows) {
        const auto batch = reserve_many("192.168.2.2", rows);
        const auto sending = client(games, group);
        std::string answers;
        {
            const Meanwhile loop([&] {
                sending.send(repeated(batch, 1));
                EXPECT_TRUE(sending.wait(lab::Duration(60'000)));
                answers += sending.receive();
            });
            EXPECT_TRUE(lab::comes_true([&] {
                serve(1);
                return loop.times() >= 5;
            }));
        }
        return answers;
    };
    constexpr auto over_the_rate = "may make 1000 calls a second";
    EXPECT_THAT(send_in_a_loop(nobody, large), HasSubstr(access_denied));
    EXPECT_THAT(
        send_in_a_loop(PortholeGroup::id, large),
        AllOf(HasSubstr("reservations of user 5 would be too many"), HasSubstr(over_the_rate)));
    EXPECT_THAT(send_in_a_loop(PortholeGroup::id, most_reservations_of_a_user),
                HasSubstr(over_the_rate));
    EXPECT_EQ(std::get<1>(bystander->list()), most_reservations_of_a_user);
    release_all();
}

TEST_F(Abuse, ReservesMoreThanItsShare) {
    auto greedy = well_behaved(games, PortholeGroup::id);
    std::vector<dbus::RequestRow> rows;
    for (std::size_t i = 0; i < most_reservations_of_a_user; ++i) {
        const auto port = static_cast<std::uint16_t>(1'024 + i / 2);
        rows.emplace_back("192.168.2.2", i % 2 == 0 ? "udp" : "tcp", port, port, "", "");
    }
    greedy.reserve_many(rows);
    // What it has asked for took long.
    const auto one_more = [&](BusClient& who) {
        std::pair<std::string, std::string> error;
        do {
            error = error_of([&] { who.reserve("192.168.2.2", "udp", 50'000); });
        } while (error.first == busy);
        return error;
    };
    const auto [error, message] = one_more(greedy);
    EXPECT_EQ(error, limit_exceeded);
    EXPECT_THAT(message, HasSubstr("32769 reservations of user 5 would be too many"));
    serve(10);
    EXPECT_EQ(one_more(*bystander).second, "");
    release_all();
}

TEST_F(Abuse, SendsMalformedBodies) {
    auto other_types = reserve("192.168.2.2", 51820);
    other_types.signature = "u";
    other_types.body = lab::Marshalled().number(7, 4).bytes();
    auto too_short = reserve("192.168.2.2", 51820);
    too_short.body.resize(5);
    auto no_text = reserve("192.168.2.2", 51820);
    no_text.body.replace(4, 3, "\xff\xfe\x01");
    auto too_long = reserve(std::string(limits::text_bytes + 1, 'x'), 51820);
    const std::vector<std::pair<lab::RawCall, const char*>> calls{
        {other_types, invalid_arguments},
        {too_long, limit_exceeded},
        {reserve_with_options(limits::keys + 1), limit_exceeded},
        {reserve_with_depth(30), limit_exceeded},
        {reserve_many("192.168.2.2", limits::rows + 1), "elements in all arrays of a call"},
        {too_short, ""},
        {no_text, ""},
    };
    for (int round = 0; round < 10; ++round) {
        for (const auto& [call, error] : calls) {
            const auto sending = client(games, PortholeGroup::id);
            std::string answer(busy);  // some of them take long
            while (answer.find(busy) != std::string::npos) {
                sending.send(repeated(call, 1));
                ASSERT_TRUE(sending.wait());
                answer = sending.receive();
            }
            if (*error == '\0') {
                EXPECT_TRUE(sending.is_closed()) << "by the bus, which looks at them as well";
            } else {
                EXPECT_THAT(answer, HasSubstr(error));
            }
            serve(5);
        }
    }
    EXPECT_EQ(std::get<1>(bystander->list()), 0U);
}

TEST_F(Abuse, GuessesIds) {
    const auto row = bystander->reserve("192.168.2.2", "udp", 51820);
    const auto checkpoint = checkpoint_of(*bystander);
    const auto guessing = client(nobody);
    std::uint64_t id = 0;
    std::atomic<int> denied = 0;
    {
        const Meanwhile guesses([&] {
            ++id;
            const auto guess = lab::Marshalled().number(id, 8);
            guessing.send(repeated(release({&id, 1}), 1) +
                          repeated(manager_call("Commit", "t", guess), 1) +
                          repeated(manager_call("Rollback", "t", guess), 1));
            EXPECT_TRUE(guessing.wait());
            if (guessing.receive().find(access_denied) != std::string::npos) ++denied;
        });
        serve(many / 2);
        EXPECT_TRUE(lab::comes_true([&] {
            serve(1);
            return guesses.times() > 500;
        }));
    }
    EXPECT_GT(id, std::max(row.get<0>(), checkpoint));
    EXPECT_GT(denied, 0);
    EXPECT_EQ(std::get<1>(bystander->list()), 1U);
    EXPECT_EQ(active_checkpoint_of(*bystander), checkpoint);
    bystander->proxy().callMethod("Commit").onInterface(manager).withArguments(checkpoint);
    release_all();
}

TEST_F(Abuse, HoldsACheckpoint) {
    auto holder = well_behaved(games, PortholeGroup::id);
    const auto held = checkpoint_of(holder);
    const auto extending = client(games, PortholeGroup::id);
    const auto forever = lab::Marshalled().number(held, 8).number(24 * 60 * 60, 4);
    const Meanwhile extension([&] {
        extending.send(repeated(manager_call("Extend", "tu", forever), 1));
        EXPECT_TRUE(extending.wait());
        extending.receive();
    });
    serve(many / 2);
    const auto [error, message] = error_of([&] { checkpoint_of(*bystander); });
    EXPECT_EQ(error, busy);
    EXPECT_EQ(active_checkpoint_of(*bystander), held);
    // Who may change things can end it.
    bystander->proxy().callMethod("Commit").onInterface(manager).withArguments(held);
    const auto own = checkpoint_of(*bystander);
    EXPECT_EQ(error_of([&] {
                  holder.proxy().callMethod("Commit").onInterface(manager).withArguments(held);
              }).first,
              no_such_checkpoint);
    bystander->proxy().callMethod("Commit").onInterface(manager).withArguments(own);
}

TEST_F(Abuse, SubscribesAndStalls) {
    BusStatistics bus(porthole.bus());
    std::vector<lab::BusSocket> stalled;
    for (int i = 0; i < 100; ++i) {
        stalled.push_back(client(nobody));
        ASSERT_TRUE(stalled.back().send(repeated(subscribe(), 1)));
        ASSERT_TRUE(stalled.back().wait());
    }
    if (sanitized) GTEST_SKIP() << "the sanitizers take too long";
    bool odd = false;
    const auto change_all = [&] {
        reserve_with_long_comments(400, (odd = !odd) ? 'x' : 'y');
        serve(1);
    };
    EXPECT_TRUE(lab::comes_true(
        [&] {
            change_all();
            return bus.unread_of_service() > limits::unread_bytes;
        },
        lab::Duration(120'000)));
    for (int i = 0; i < 400; ++i) change_all();
    EXPECT_LT(bus.unread_of_service(), limits::unread_bytes + (std::size_t{4} << 20U));
    release_all();
}

// Each time as somebody whom nobody knows.
TEST_F(Abuse, ListsAndComesBackAsANewClient) {
    reserve_with_long_comments(500);
    const Meanwhile lists([&] {
        const auto anew = client(nobody);
        anew.send(repeated(list(), 10));
        EXPECT_TRUE(anew.wait());
    });
    EXPECT_TRUE(lab::comes_true([&] {
        auto newcomer = well_behaved(man);
        EXPECT_EQ(error_of([&] { newcomer.status(); }).second, "") << "it is of another user";
        serve(10);
        return lists.times() >= 20;
    }));
    release_all();
}

// What has waited for an answer of polkit's is done while nobody calls.
TEST_F(Abuse, ListsBehindAQuestion) {
    if (!lab::Polkit::is_there()) GTEST_SKIP() << "polkit is not installed";
    lab::Polkit polkit(sites.gateway_a, porthole.bus(), "");
    reserve_with_long_comments(500);
    serve(1);
    polkit.process().signal(SIGSTOP);
    const auto asking = client(nobody);
    asking.send(repeated(reserve("192.168.2.2", 51820), 1) +
                repeated(list(), limits::waiting_of_a_client - 1));
    serve();
    polkit.process().signal(SIGCONT);
    std::string answers;
    constexpr std::size_t all_pages = (limits::waiting_of_a_client - 1) * 500 * 128;
    EXPECT_TRUE(lab::comes_true([&] {
        EXPECT_TRUE(asking.wait());
        answers += asking.receive();
        return answers.size() > all_pages;
    }));
    EXPECT_NE(answers.find(access_denied), std::string::npos);
    int calls = 0;
    EXPECT_TRUE(lab::comes_true([&] {
        asking.send(repeated(status(), 1));
        EXPECT_TRUE(asking.wait());
        ++calls;
        return asking.receive().find(busy) != std::string::npos;
    }));
    EXPECT_LT(calls, limits::calls_at_once - limits::waiting_of_a_client)
        << "the lists have cost no more than as many calls";
    release_all();
}

// Whose call waits for polkit would never be answered.
TEST_F(Abuse, SaysThatOthersHaveLeft) {
    if (!lab::Polkit::is_there()) GTEST_SKIP() << "polkit is not installed";
    lab::Polkit polkit(sites.gateway_a, porthole.bus(), "");
    serve(1);
    polkit.process().signal(SIGSTOP);
    const auto waiting = client(games);
    waiting.send(repeated(reserve("192.168.2.2", 51820), 1));
    serve(10);
    const auto lying = client(nobody);
    ASSERT_TRUE(lying.send(repeated(departure(waiting.name()), 1) + repeated(status(), 1)));
    ASSERT_TRUE(lying.wait()) << "the service has seen what was before that";
    polkit.process().signal(SIGCONT);
    EXPECT_TRUE(waiting.wait());
    EXPECT_THAT(waiting.receive(), HasSubstr(access_denied));
}

// Those of a call that waits would be open meanwhile.
TEST_F(Abuse, SendsFileDescriptors) {
    const auto [error, message] = error_of([&] {
        bystander->proxy().callMethod("Status").onInterface(manager).withArguments(
            sdbus::UnixFd(STDERR_FILENO));
    });
    EXPECT_EQ(error, access_denied) << message;
    EXPECT_THAT(message, HasSubstr("Rejected send message")) << "by the bus";
    serve(1);
}

TEST_F(Abuse, AsksForAuthorizationAndDisappears) {
    if (!lab::Polkit::is_there()) GTEST_SKIP() << "polkit is not installed";
    lab::Polkit polkit(sites.gateway_a, porthole.bus(), "");
    serve(1);
    polkit.process().signal(SIGSTOP);
    auto small = reserve("192.168.2.2", 51820);
    auto batch = reserve_many("192.168.2.2", large / 10);
    small.interactive = batch.interactive = true;
    for (int i = 0; i < 100; ++i) {
        const auto vanishing = client(i % 2 == 0 ? nobody : man);
        ASSERT_TRUE(vanishing.send(repeated(batch, 1) + repeated(small, 20)));
        ASSERT_TRUE(vanishing.wait()) << "more than may wait are refused";
        EXPECT_THAT(vanishing.receive(), testing::AnyOf(HasSubstr(limit_exceeded),
                                                        HasSubstr(access_denied), HasSubstr(busy)));
        serve(1);
    }
    serve();
    polkit.process().signal(SIGCONT);
    EXPECT_EQ(std::get<1>(bystander->list()), 0U);
}

}  // namespace
}  // namespace porthole
