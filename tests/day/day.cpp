// SPDX-License-Identifier: GPL-2.0-or-later
#include "day.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace porthole::day {

using namespace std::chrono_literals;

namespace {

constexpr unsigned tunnel_count = 10;
constexpr unsigned talker_number = tunnel_count + 1;
constexpr std::uint16_t talker_port = 40000;
// A keepalive that is lost begins a handshake, which is tried again after 5 s and up to a third of
// a second (WireGuard's REKEY_TIMEOUT, and the jitter of its timers).
constexpr auto limit = std::chrono::seconds(Tunnel::keepalive) + 5s + 334ms;
// Nothing that is lost is waited for longer.
constexpr auto give_up = 10min;
constexpr auto between_questions = 500ms;
// An answer right at once may have taken the old way, while it was being closed.
constexpr auto calm = 1s;
constexpr auto between_looks = 1min;
constexpr auto between_rounds = 10min;

}  // namespace

Day::Day(std::chrono::hours length, unsigned seed) : length_(length), random_(seed) {
    for (unsigned number = 1; number <= tunnel_count; ++number) {
        tunnels_.push_back(std::make_unique<Tunnel>(home_, number, number % 2 == 0));
    }
    home_.add_host(talker_, talker_number);
    home_.reserve(talker_number, talker_port, talker_port, "address-dependent");
    talker_socket_.emplace(talker_, talker_port);
}

void Day::run() {
    start_ = Clock::now();
    plan();
    expect_all("start", End::outside);
    while (!agenda_.empty()) {
        wait_until(agenda_.begin()->first);
        const auto action = std::move(agenda_.begin()->second);
        agenda_.erase(agenda_.begin());
        action();
    }
    wait_until(Clock::now() + give_up);
}

void Day::at(Clock::duration time, std::function<void()> action) {
    agenda_.emplace(start_ + time, std::move(action));
}

// A moment of this hour's part from `first` to `last`.
Clock::duration Day::moment(std::chrono::hours hour, std::chrono::minutes first,
                            std::chrono::minutes last) {
    std::uniform_int_distribution<std::int64_t> within(Clock::duration(first).count(),
                                                       Clock::duration(last).count());
    return hour + Clock::duration(within(random_));
}

Tunnel& Day::any_tunnel() {
    std::uniform_int_distribution<std::size_t> any(0, tunnels_.size() - 1);
    return *tunnels_.at(any(random_));
}
void Day::plan() {
    for (auto hour = 0h; hour < length_; ++hour) {
        at(moment(hour, 5min, 15min), [this] { change_address(); });
        at(moment(hour, 20min, 24min), [this] { roam(any_tunnel()); });
        at(moment(hour, 25min, 29min), [this] { roam(any_tunnel()); });
        // Less than what conntrack keeps an idle flow for, more than a contact lasts, and long
        // enough to miss what happens to the others.
        at(moment(hour, 30min, 33min), [this] { sleep(any_tunnel(), 90s); });
        at(moment(hour, 34min, 37min), [this] { sleep(any_tunnel(), 12min); });
        at(moment(hour, 38min, 41min), [this] { sleep(any_tunnel(), 100min); });
        at(hour + 50min, [this] { talk(); });
    }
    for (auto time = Clock::duration(between_looks); time < length_; time += between_looks) {
        at(time, [this] { look(); });
    }
    for (auto time = Clock::duration(between_rounds); time < length_; time += between_rounds) {
        at(time, [this] { ask_everybody(); });
    }
}

// The hosts see nothing of it; remotes do not know where they are until they hear from them.
void Day::change_address() {
    home_.change_wan_address();
    expect_all("the WAN has another address", End::outside);
}

void Day::roam(Tunnel& tunnel) {
    if (tunnel.asleep() || is_expected(tunnel)) return;
    tunnel.roam();
    const auto* const event =
        tunnel.has_contacts() ? "a remote has another port" : "a remote has another address";
    ++outcomes_[event].events;
    expect(tunnel, event, End::inside);
}

void Day::sleep(Tunnel& tunnel, Clock::duration time) {
    if (tunnel.asleep() || is_expected(tunnel)) return;
    tunnel.sleep();
    agenda_.emplace(Clock::now() + time, [this, &tunnel] {
        constexpr auto* event = "a host wakes up";
        ++outcomes_[event].events;
        tunnel.wake();
        expect(tunnel, event, End::outside);
    });
}

// A host that contacts everybody from a reserved port.
void Day::talk() {
    constexpr unsigned remotes = 2000;
    for (unsigned i = 0; i < remotes; ++i) {
        talker_socket_->send_to(lab::at(fmt::format("198.18.{}.{}", i / 250, 1 + i % 250), 9), "");
    }
    measure_sets();
}

// Nothing has happened to these: one question must be enough.
void Day::ask_everybody() {
    std::vector<Tunnel*> asked;
    for (const auto& tunnel : tunnels_) {
        if (tunnel->asleep() || is_expected(*tunnel)) continue;
        asked.push_back(tunnel.get());
        for (const auto end : {End::inside, End::outside}) {
            std::ignore = tunnel->answered(end);
            tunnel->ask(end);
        }
    }
    receive(Clock::now() + 1s);
    for (auto* const tunnel : asked) {
        for (const auto end : {End::inside, End::outside}) {
            ++asked_;
            if (tunnel->answered(end)) continue;
            unanswered_.push_back(fmt::format(
                "from {} of tunnel {} after {:.0f} s", end == End::inside ? "inside" : "outside",
                tunnel->number(), Seconds(Clock::now() - start_).count()));
        }
    }
}

// A live flow has its contact, where there are contacts. (The one who talks has more flows than a
// host may have contacts.)
void Day::look() {
    std::set<Contact> wanted;
    for (const auto& flow : home_.live_flows()) {
        const bool counts = std::ranges::any_of(tunnels_, [&flow](const auto& tunnel) {
            return tunnel->has_contacts() && tunnel->external_port() == flow.external_port;
        });
        if (counts) wanted.insert(flow);
    }
    ++looks_;
    live_ += wanted.size();
    if (home_.has(wanted)) return;
    for (const auto& contact : wanted) {
        if (home_.has({contact})) continue;
        forgotten_.push_back(fmt::format("{} of port {}", contact.remote, contact.external_port));
    }
}

void Day::measure_sets() {
    for (const auto& [name, fill] : home_.sets()) {
        auto& most = fullest_[name];
        most = {std::max(most.elements, fill.elements), fill.size};
    }
}

void Day::expect(Tunnel& tunnel, const std::string& event, End asking) {
    if (is_expected(tunnel)) return;  // it is late already
    std::ignore = tunnel.answered(asking);
    expected_.push_back({&tunnel, asking, event, Clock::now()});
}

void Day::expect_all(const std::string& event, End asking) {
    ++outcomes_[event].events;
    for (const auto& tunnel : tunnels_) {
        if (!tunnel->asleep()) expect(*tunnel, event, asking);
    }
}

bool Day::is_expected(const Tunnel& tunnel) const {
    return std::ranges::any_of(expected_, [&](const auto& e) { return e.tunnel == &tunnel; });
}

void Day::wait_until(Clock::time_point time) {
    while (Clock::now() < time) {
        if (expected_.empty()) return receive(time);
        for (const auto& [tunnel, asking, event, since] : expected_) {
            if (Clock::now() >= since + calm) tunnel->ask(asking);
        }
        receive(std::min(time, Clock::now() + between_questions));
        settle_expected();
    }
}

void Day::settle_expected() {
    std::erase_if(expected_, [this](const Expected& expected) {
        const auto time = Clock::now() - expected.since;
        if (!expected.tunnel->answered(expected.asking) && time < give_up) return false;
        outcomes_[expected.event].times.emplace_back(time);
        return true;
    });
}

void Day::receive(Clock::time_point until) {
    std::vector<pollfd> descriptors;
    for (const auto& tunnel : tunnels_) {
        for (const auto end : {End::inside, End::outside}) {
            descriptors.push_back({tunnel->descriptor(end), POLLIN, 0});
        }
    }
    const lab::Deadline deadline(
        std::chrono::ceil<lab::Duration>(std::max(until - Clock::now(), Clock::duration(0))));
    while (deadline.poll(descriptors)) {
        for (const auto& tunnel : tunnels_) {
            for (const auto end : {End::inside, End::outside}) tunnel->receive(end);
        }
        if (!expected_.empty()) settle_expected();
    }
}

bool Day::report() const {
    fmt::print(
        "| event | times | tunnels | up again after: median | slowest | later than {} |\n"
        "| --- | --- | --- | --- | --- | --- |\n",
        fmt::format("{:.1f} s", Seconds(limit).count()));
    bool kept = true;
    for (const auto& [event, outcome] : outcomes_) {
        auto times = outcome.times;
        if (times.empty()) continue;
        std::ranges::sort(times);
        const auto late =
            std::ranges::count_if(times, [](const Seconds& time) { return time > limit; });
        kept = kept && late == 0;
        fmt::print("| {} | {} | {} | {:.1f} s | {:.1f} s | {} |\n", event, outcome.events,
                   times.size(), times[times.size() / 2].count(), times.back().count(), late);
    }
    fmt::print("\nWhen nothing had happened: {} questions, {} unanswered.\n", asked_,
               unanswered_.size());
    for (const auto& question : unanswered_) fmt::print("    {}\n", question);
    fmt::print("{} looks at {} live flows: {} without their contact.\n", looks_, live_,
               forgotten_.size());
    for (const auto& contact : forgotten_) fmt::print("    {}\n", contact);
    fmt::print("Sets, at their fullest:");
    bool within = true;
    for (const auto& [name, fill] : fullest_) {
        if (!fill.size) continue;
        within = within && fill.elements <= *fill.size;
        fmt::print(" {} {} of {};", name, fill.elements, *fill.size);
    }
    kept = kept && unanswered_.empty() && forgotten_.empty() && within && looks_ > 0 && live_ > 0;
    fmt::print("\n{}\n", kept ? "All as it should be." : "NOT AS IT SHOULD BE.");
    return kept;
}

}  // namespace porthole::day
