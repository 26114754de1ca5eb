// SPDX-License-Identifier: GPL-2.0-or-later
// One reservation at a time, over D-Bus, beside what it cannot do without: a call over the bus, a
// commit, a transaction of nf_tables.
#include <array>
#include <memory>

#include <fmt/format.h>

#include "gateway.hpp"
#include "measures.hpp"
#include "reserve_floor.hpp"

namespace porthole::bench {
namespace {

constexpr std::array<std::size_t, 4> levels{0, 1'000, 10'000, 60'000};
constexpr int rounds = 24;
constexpr std::size_t calls_per_round = 500;
constexpr double p50_goal = 0.3e-3;
constexpr double p99_goal = 1e-3;
constexpr double flat_goal = 1.2;

/// A service with so many reservations, on a gateway of its own.
struct Level {
    explicit Level(std::size_t count) : existing(count), service(site.gateway, count) {}
    std::size_t existing;
    Site site;
    Service service;
    Rounds latency;

    void measure() {
        Samples round;
        std::vector<std::uint64_t> ids;
        for (std::size_t i = 0; i < calls_per_round; ++i) {
            round.add(seconds([&] {
                const auto row = service.client().reserve("10.0.2.1", "udp", free_port(i));
                ids.push_back(row.get<0>());
            }));
        }
        latency.add(round);
        service.client().release(ids);
        service.wait_until_settled();
    }
};

}  // namespace

Lines measure_reserve(const Options&) {
    std::array<std::unique_ptr<Level>, levels.size()> all;
    for (std::size_t i = 0; i < levels.size(); ++i) all[i] = std::make_unique<Level>(levels[i]);
    ReserveFloor floor(all[0]->service);
    for (int round = -1; round < rounds; ++round) {
        if (round == 0) {  // the first one warms up
            for (auto& level : all) level->latency = {};
            floor.sum = {};
            floor.parts = {};
        }
        for (auto& level : all) level->measure();
        floor.measure(calls_per_round);
    }

    const double slowest = floor.sum.slowest_p50();
    Lines lines;
    for (const auto& level : all) {
        const double p50 = level->latency.p50();
        const double p99 = level->latency.p99();
        lines.push_back({
            .what = fmt::format("Reserve with {} others, p50 / p99 of a round", level->existing),
            .measured = level->latency.text(),
            .compared = fmt::format("floor {}, p50 of a round up to {}", floor.sum.text(),
                                    milliseconds(slowest)),
            .ratio =
                fmt::format("{} / {}", times(p50 / floor.sum.p50()), times(p99 / floor.sum.p99())),
            .goal = "0.3 ms / 1 ms",
            .verdict = fmt::format("{} / {}", verdict_at_most(p50, p50_goal, slowest),
                                   verdict_at_most(p99, p99_goal, floor.sum.p99())),
        });
    }
    const double flat = all.back()->latency.p50() / all.front()->latency.p50();
    lines.push_back({
        .what = "Reserve, p50 with 60,000 others against none",
        .measured = milliseconds(all.back()->latency.p50()),
        .compared = milliseconds(all.front()->latency.p50()),
        .ratio = times(flat),
        .goal = "within 20 %",
        .verdict = verdict_at_most(flat, flat_goal),
    });
    lines.push_back({
        .what = "its floor: a trivial call, a commit, one element, p50 / p99",
        .measured = fmt::format("{}; {}; {}", floor.parts[0].text(), floor.parts[1].text(),
                                floor.parts[2].text()),
        .compared = "",
        .ratio = "",
        .goal = "",
        .verdict = "",
    });
    return lines;
}

}  // namespace porthole::bench
