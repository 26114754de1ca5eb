// SPDX-License-Identifier: GPL-2.0-or-later
// What a gateway costs a packet: plain masquerade, and the same with Porthole on top. A host sends
// in a tight loop; its packets are forwarded within its own calls and dropped as they arrive
// outside, so that the time of the loop is the time of the path. Within a round all gateways take
// turns every few milliseconds, in an order that is shuffled each time.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <sstream>
#include <stdexcept>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>

#include "gateway.hpp"
#include "lab/links.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"
#include "measures.hpp"
#include "raw.hpp"

namespace porthole::bench {
namespace {

constexpr std::size_t many = 60'000;
constexpr std::size_t least_rounds = 20;
constexpr std::size_t most_rounds = 120;
/// A ratio is known well enough when its interval is no wider than this part of what the goal
/// allows.
constexpr double narrow = 0.25;
constexpr int turns = 30;                   // in a round
constexpr std::size_t bursts = 10;          // in a turn
constexpr std::size_t burst_packets = 100;  // in one system call
constexpr std::uint16_t first_remote_port = 1'024;
constexpr std::uint16_t answering_port = 7;
constexpr std::string_view sink = R"(table netdev sink {
    chain in {
        type filter hook ingress device eth0 priority 0;
        udp length > 100 drop
    }
}
)";
constexpr std::uint16_t unreserved_port = 45'000;

/// A thread that nothing else gets in the way of: on one processor, in front of all that is not
/// urgent. Without the permission for that it only stays on its processor.
void hold_processor() {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(std::max(0, sched_getcpu())), &set);
    sched_setaffinity(0, sizeof(set), &set);
    sched_param parameters{};
    parameters.sched_priority = 1;
    sched_setscheduler(0, SCHED_FIFO, &parameters);
}

void let_go_of_processor() {
    const sched_param parameters{};
    sched_setscheduler(0, SCHED_OTHER, &parameters);
}

sockaddr_in to_sockaddr(std::string_view address, std::uint16_t port) {
    sockaddr_in raw{};
    raw.sin_family = AF_INET;
    raw.sin_port = htons(port);
    raw.sin_addr.s_addr = htonl(parse<Address>("address", address).v4_value());
    return raw;
}

/// Packets that a socket sends in bursts, to one port or each to the next one.
class Load {
  public:
    Load(const lab::UdpSocket& socket, bool new_flows) : socket_(socket), new_flows_(new_flows) {
        for (std::size_t i = 0; i < burst_packets; ++i) {
            vectors_.at(i) = {payload_.data(), payload_.size()};
            names_.at(i) = to_sockaddr(Site::outside_address, answering_port);
            auto& header = messages_.at(i).msg_hdr;
            header.msg_name = &names_.at(i);
            header.msg_namelen = sizeof(sockaddr_in);
            header.msg_iov = &vectors_.at(i);
            header.msg_iovlen = 1;
        }
    }

    void send_burst() {
        if (new_flows_) {
            for (auto& name : names_) name.sin_port = htons(port_++);
        }
        spent_.push_back(seconds([&] {
            if (::sendmmsg(socket_.descriptor(), messages_.data(), burst_packets, 0) !=
                burst_packets) {
                throw std::runtime_error("a packet was not sent");
            }
        }));
    }

    /// The time of one packet: the mean of the bursts between the first and the third quartile, so
    /// that one that was interrupted does not count.
    [[nodiscard]] double packet_time() {
        std::ranges::sort(spent_);
        const auto quarter = spent_.size() / 4;
        double sum = 0;
        for (std::size_t i = quarter; i < spent_.size() - quarter; ++i) sum += spent_[i];
        return sum / static_cast<double>((spent_.size() - 2 * quarter) * burst_packets);
    }

  private:
    const lab::UdpSocket& socket_;
    bool new_flows_;
    std::uint16_t port_ = first_remote_port;
    std::vector<double> spent_;
    std::array<char, 200> payload_{};
    std::array<iovec, burst_packets> vectors_{};
    std::array<sockaddr_in, burst_packets> names_{};
    std::array<mmsghdr, burst_packets> messages_{};
};

/// The least that can tell the first packets of flows that are about to leave: a chain at the
/// guard's place that looks at the state of each packet's flow.
constexpr std::string_view least_guard = R"(table inet least {
    chain guard {
        type filter hook postrouting priority srcnat + 10
        ct state == new th sport 0 drop
    }
}
)";

/// One gateway with a host behind it.
class Path {
  public:
    /// `existing`: how many reservations Porthole has; nothing: there is no Porthole, but maybe
    /// `instead` of it.
    explicit Path(std::optional<std::size_t> existing, std::string_view instead = "") {
        const auto [host, protocol, port, external, filtering, comment] =
            dbus::fields(existing_row(0));
        lab::add_address(site_.host, "eth0", host + "/16");
        lab::masquerade(site_.gateway, lab::InputPolicy::accept);
        // Small packets are let in, so that a flow can be answered once.
        lab::output_of(site_.outside, {"nft", "-f", "-"}, {.input = std::string(sink)});
        site_.gateway.set_sysctl("net/netfilter/nf_conntrack_udp_timeout", "600");
        lab::output_of(site_.gateway, {"nft", "-f", "-"}, {.input = std::string(instead)});
        if (existing) service_ = std::make_unique<Service>(site_.gateway, *existing);
        other_.emplace(site_.host, lab::at(Site::host_address, unreserved_port));
        owner_.emplace(site_.host, lab::at(host, port));
        answering_.emplace(site_.outside, answering_port);
        conntrack_.emplace(site_.gateway, NETLINK_NETFILTER);
    }

    /// Begins a round without flows, or with the one that packets of established flows belong to.
    void begin(bool owner, bool new_flows) {
        conntrack_->execute(conntrack_flush());
        const auto& inside = owner ? *owner_ : *other_;
        if (!new_flows &&
            !lab::exchange(inside, *answering_, lab::at(Site::outside_address, answering_port))) {
            throw std::runtime_error("no answer from outside");
        }
        before_ = forwarded();
        load_ = std::make_unique<Load>(inside, new_flows);
    }
    void take_turn() {
        for (std::size_t i = 0; i < bursts; ++i) load_->send_burst();
    }
    /// The time of one packet in this round.
    double end() {
        constexpr std::uint64_t sent = turns * bursts * burst_packets;
        constexpr std::uint64_t tolerated = sent / 1000;
        const auto arrived = forwarded() - before_;
        if (arrived + tolerated < sent) {
            throw std::runtime_error(
                fmt::format("{} of {} packets were lost", sent - arrived, sent));
        }
        return load_->packet_time();
    }

  private:
    /// How many packets have left through the WAN.
    [[nodiscard]] std::uint64_t forwarded() const {
        std::istringstream devices(
            site_.gateway.run([] { return lab::read_file("/proc/thread-self/net/dev"); }));
        constexpr int sent_packets = 9;
        std::string word;
        while (devices >> word && word != "wan:") {
        }
        std::uint64_t value = 0;
        for (int i = 0; i <= sent_packets; ++i) devices >> value;
        return value;
    }

    Site site_;
    std::unique_ptr<Service> service_;
    std::optional<lab::UdpSocket> other_;
    std::optional<lab::UdpSocket> owner_;
    std::optional<lab::UdpSocket> answering_;
    std::optional<RawNetlink> conntrack_;
    std::unique_ptr<Load> load_;
    std::uint64_t before_ = 0;
};

enum Kind : std::size_t { plain, full, least, kinds };
// Where the parts of a gateway lie in memory makes a difference of its own: there are many of each.
constexpr std::size_t most_of_each = 10;
constexpr std::size_t empty = 0;  // the only one without a reservation, in front of the others
constexpr std::size_t gateway_at(Kind kind, std::size_t which) { return 1 + kinds * which + kind; }
constexpr std::size_t gateways = gateway_at(plain, most_of_each);

/// A packet's time on some gateways and on plain ones, and what it is of it in a round.
struct Comparison {
    double measured;
    double reference;
    Interval ratio;
};

/// What is sent, and how often the path took how long.
struct Traffic {
    std::string_view what;
    bool owner;
    bool new_flows;
    std::size_t of_each;
    double goal;
    std::array<Samples, gateways> times = {};

    /// All that take part: the first ones.
    [[nodiscard]] std::size_t count() const { return gateway_at(plain, of_each); }

    [[nodiscard]] std::size_t rounds() const { return times.at(empty).size(); }

    /// Whether more rounds would tell no more: it depends on how wide the intervals are, and not on
    /// where they lie.
    [[nodiscard]] bool is_known() const {
        if (rounds() < least_rounds) return false;
        if (rounds() == most_rounds) return true;
        return std::ranges::all_of(
            std::array{with_plain(full), with_plain(least)}, [&](const Comparison& comparison) {
                return comparison.ratio.high - comparison.ratio.low <= narrow * (goal - 1);
            });
    }

    /// The geometric mean of what the gateways of a kind from this one on took in a round.
    [[nodiscard]] double mean_of(Kind kind, std::size_t first, std::size_t end,
                                 std::size_t round) const {
        double product = 1;
        for (std::size_t i = first; i < end; ++i) {
            product *= times.at(gateway_at(kind, i)).values()[round];
        }
        return std::pow(product, 1.0 / static_cast<double>(end - first));
    }

    [[nodiscard]] Line line(std::string_view name, const Comparison& comparison) const {
        const auto& [measured, reference, ratio] = comparison;
        return {.what = fmt::format("{}, {}", what, name),
                .measured = fmt::format("{:.2f} µs", measured * 1e6),
                .compared = fmt::format("plain masquerade {:.2f} µs", reference * 1e6),
                .ratio = fmt::format("{:.3f} ({:.3f} to {:.3f}; {} rounds)", ratio.median,
                                     ratio.low, ratio.high, rounds()),
                .goal = "",
                .verdict = ""};
    }

    [[nodiscard]] Lines lines() const {
        const auto ours = with_plain(full);
        const auto floor = with_plain(least);
        auto judged = line("60,000 reservations", ours);
        judged.goal = fmt::format("{:.2f}", goal);
        judged.verdict = verdict_at_most(ours.ratio.high, goal, floor.ratio.high);
        const auto without =
            compare([&](std::size_t round) { return times.at(empty).values()[round]; },
                    [&](std::size_t round) { return mean_of(plain, 0, of_each, round); });
        const auto half = compare(
            [this](std::size_t round) { return mean_of(plain, 0, of_each / 2, round); },
            [this](std::size_t round) { return mean_of(plain, of_each / 2, of_each, round); });
        return {std::move(judged), line("the least of a guard", floor),
                line("no reservation", without), line("half of the plain gateways", half)};
    }

  private:
    /// All gateways of a kind against all plain ones.
    [[nodiscard]] Comparison with_plain(Kind kind) const {
        return compare([&](std::size_t round) { return mean_of(kind, 0, of_each, round); },
                       [&](std::size_t round) { return mean_of(plain, 0, of_each, round); });
    }

    template <typename Measured, typename Reference>
    [[nodiscard]] Comparison compare(const Measured& measured_in,
                                     const Reference& reference_in) const {
        Samples ratios;
        Samples measured;
        Samples reference;
        for (std::size_t round = 0; round < rounds(); ++round) {
            measured.add(measured_in(round));
            reference.add(reference_in(round));
            ratios.add(measured.values()[round] / reference.values()[round]);
        }
        return {measured.median(), reference.median(), interval_of(ratios)};
    }
};

}  // namespace

Lines measure_packets(const Options&) {
    std::vector<std::unique_ptr<Path>> paths;
    paths.push_back(std::make_unique<Path>(0));
    while (paths.size() < gateways) {
        paths.push_back(std::make_unique<Path>(std::nullopt));
        paths.push_back(std::make_unique<Path>(many));
        paths.push_back(std::make_unique<Path>(std::nullopt, least_guard));
    }
    // What an established packet pays is as little as gateways differ by: it takes more of them.
    std::array traffic{Traffic{"established packet of others", false, false, most_of_each, 1.03},
                       Traffic{"new flow of others", false, true, 4, 1.08},
                       Traffic{"established packet of an owner", true, false, 4, 1.08},
                       Traffic{"new flow of an owner", true, true, 4, 1.15}};
    std::mt19937 random(1);  // the same order every time
    hold_processor();
    for (auto& kind : traffic) {
        std::vector<std::size_t> order(kind.count());
        std::iota(order.begin(), order.end(), 0);
        for (bool warm = false; !kind.is_known(); warm = true) {
            for (const auto gateway : order) paths[gateway]->begin(kind.owner, kind.new_flows);
            for (int turn = 0; turn < turns; ++turn) {
                std::ranges::shuffle(order, random);
                for (const auto gateway : order) paths[gateway]->take_turn();
            }
            for (const auto gateway : order) {
                const double time = paths[gateway]->end();
                if (warm) kind.times.at(gateway).add(time);
            }
        }
    }
    let_go_of_processor();

    Lines lines;
    for (const auto& kind : traffic) std::ranges::move(kind.lines(), std::back_inserter(lines));
    return lines;
}

}  // namespace porthole::bench
