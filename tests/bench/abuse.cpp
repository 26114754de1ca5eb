// SPDX-License-Identifier: GPL-2.0-or-later
// What a client waits for a reservation while others abuse the service, beside what it waits for
// without them.
#include "abuse.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "gateway.hpp"
#include "measures.hpp"
#include "types/limits.hpp"

namespace porthole::bench {
namespace {

using namespace abuse;

constexpr int rounds = 2;
constexpr std::size_t calls_per_round = 2000;
constexpr double p99_goal = 10e-3;
constexpr std::string_view batch_host = "10.0.3.1";

using Deed = std::function<void()>;

// The clients are kept as long as what they do. Calls are made up anew each time: the bus refuses
// one whose serial is that of another without an answer.
Deed call_again(lab::BusSocket client, std::function<std::string()> calls) {
    return [kept = std::make_shared<lab::BusSocket>(std::move(client)), calls = std::move(calls)] {
        kept->send(calls());
        if (kept->wait()) kept->receive();
    };
}

Deed flood_with(const lab::Bus& bus, const lab::RawCall& call) {
    return call_again(connect(bus, nobody, nobody), [call] { return repeated(call, 100); });
}
Deed flood(const lab::Bus& bus) { return flood_with(bus, status()); }
Deed flood_bus(const lab::Bus& bus) { return flood_with(bus, ping_bus()); }

Deed flood_without_answers(const lab::Bus& bus) {
    auto call = status();
    call.answered = false;
    return call_again(connect(bus, nobody, nobody),
                      [call] { return repeated(call, 1000) + repeated(status(), 1); });
}

// All of them open, each calls, all go.
Deed open_connections_for(const lab::Bus& bus, const lab::RawCall& call,
                          const lab::RawCall& other) {
    return [&bus, call, other] {
        constexpr std::size_t count = 500;
        std::vector<lab::BusSocket> all;
        while (all.size() < count) {
            all.push_back(connect(bus, all.size() % 2 == 0 ? nobody : man, nobody));
            all.back().send(repeated(call, 1) + repeated(other, 1));
        }
        for (const auto& each : all) {
            if (each.wait()) each.receive();
        }
    };
}

Deed open_connections(const lab::Bus& bus) {
    return open_connections_for(bus, status(), reserve("10.0.0.2", 1));
}
Deed open_connections_to_bus(const lab::Bus& bus) {
    return open_connections_for(bus, ping_bus(), ping_bus());
}

Deed never_read(const lab::Bus& bus) {
    const auto deaf = std::make_shared<lab::BusSocket>(connect(bus, nobody, nobody));
    return [deaf] { deaf->send(repeated(list(), 20)); };
}

Deed stall(const lab::Bus& bus) {
    constexpr std::size_t count = 100;
    auto all = std::make_shared<std::vector<lab::BusSocket>>();
    while (all->size() < count) {
        all->push_back(connect(bus, nobody, nobody));
        all->back().send(repeated(subscribe(), 1));
    }
    return [all] { std::this_thread::sleep_for(std::chrono::milliseconds(10)); };
}

Deed send_malformed(const lab::Bus& bus) {
    return call_again(connect(bus, games, PortholeGroup::id), [] {
        return repeated(reserve_with_depth(30), 20) + repeated(reserve_with_options(1000), 20) +
               repeated(reserve(std::string(100'000, 'x'), 1), 5);
    });
}

Deed guess_ids(const lab::Bus& bus) {
    std::vector<std::uint64_t> ids(100);
    std::iota(ids.begin(), ids.end(), std::uint64_t{1} << 40U);
    return call_again(connect(bus, games, PortholeGroup::id),
                      [ids] { return repeated(release(ids), 20); });
}

Deed send_batches(const lab::Bus& bus) {
    return call_again(connect(bus, games, PortholeGroup::id),
                      [call = reserve_many(batch_host, most_reservations_of_a_user)] {
                          return repeated(call, 1);
                      });
}

struct Misdeed {
    std::string_view what;
    Deed (*begin)(const lab::Bus& bus);
    /// The same to the bus itself, which the service can do nothing about.
    Deed (*to_the_bus)(const lab::Bus& bus) = nullptr;
    bool judged = true;
};

constexpr Misdeed misdeeds[] = {
    {"opens 500 connections that call", open_connections, open_connections_to_bus},
    {"never reads its answers", never_read},
    {"has 100 connections that subscribe and stall", stall},
    {"sends malformed calls", send_malformed},
    {"guesses ids", guess_ids},
    {"floods with calls", flood, flood_bus},
    {"floods with calls that want no answer", flood_without_answers},
    {"sends 32,768 rows in a loop", send_batches, nullptr, false},
};

void reserve_and_release(Service& service, Samples& latency) {
    std::vector<std::uint64_t> ids;
    for (std::size_t i = 0; i < calls_per_round; ++i) {
        latency.add(seconds([&] {
            ids.push_back(service.client().reserve("10.0.2.1", "udp", free_port(i)).get<0>());
        }));
    }
    service.client().release(ids);
    service.wait_until_settled();
}

Line measure(const Misdeed& misdeed) {
    const PortholeGroup group;
    const Site site;
    Service service(site.gateway, 1000, group.setting());
    Samples quiet;
    Samples abused;
    Samples to_the_bus;
    for (int round = -1; round < rounds; ++round) {
        if (round == 0) quiet = abused = to_the_bus = {};  // the first one warms up
        reserve_and_release(service, quiet);
        {
            const Meanwhile meanwhile(misdeed.begin(service.porthole().bus()));
            reserve_and_release(service, abused);
        }
        if (misdeed.to_the_bus == nullptr) continue;
        const Meanwhile meanwhile(misdeed.to_the_bus(service.porthole().bus()));
        reserve_and_release(service, to_the_bus);
    }
    const double p99 = abused.quantile(0.99);
    std::string compared = fmt::format("without {}", p50_p99(quiet));
    if (!to_the_bus.empty()) {
        compared += fmt::format("; the same done to the bus {}", p50_p99(to_the_bus));
    }
    return {
        .what = fmt::format("Reserve while another client {}, p50 / p99", misdeed.what),
        .measured = p50_p99(abused),
        .compared = std::move(compared),
        .ratio = fmt::format("{} / {}", times(abused.median() / quiet.median()),
                             times(p99 / quiet.quantile(0.99))),
        .goal = misdeed.judged ? "p99 10 ms" : "",
        .verdict = misdeed.judged ? verdict_at_most(p99, p99_goal) : "",
    };
}

}  // namespace

Lines measure_abuse(const Options&) {
    Lines lines;
    for (const auto& misdeed : misdeeds) {
        fmt::print(stderr, "  another client {} …\n", misdeed.what);
        lines.push_back(measure(misdeed));
    }
    return lines;
}

}  // namespace porthole::bench
