// SPDX-License-Identifier: GPL-2.0-or-later
// How long it takes to configure a tunnel with many peers, by our messages and by wg(8): see
// docs/performance.md.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iterator>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/tunnels.hpp"
#include "interface.hpp"
#include "lab/temporary_directory.hpp"
#include "random_wireguard.hpp"
#include "stopwatch.hpp"
#include "table.hpp"
#include "wg/quick_file.hpp"

namespace {

using namespace porthole;
using bench::Samples;
using wg_bench::Configuration;
using wg_bench::Interface;

constexpr std::size_t many = 10'000;
constexpr std::size_t few = 10;
constexpr int rounds = 9;
constexpr std::size_t changes_per_round = 200;
constexpr double apply_goal = 1;
constexpr double one_peer_goal = 1.2;

TunnelSettings random_tunnel(std::size_t peers) {
    random_wireguard::Random random(peers);
    TunnelSettings settings{.private_key = PrivateKey::generate(),
                            .listen_port = Port::from(51'820)};
    std::set<Network> taken;
    for (std::size_t i = 0; i < peers; ++i) {
        auto peer = random_wireguard::peer(random, taken);
        settings.peers.push_back({.public_key = peer.public_key,
                                  .preshared_key = peer.preshared_key,
                                  .keepalive = peer.keepalive,
                                  .allowed_ips = std::move(peer.allowed_ips)});
        if (peer.endpoint) settings.peers.back().endpoint = peer.endpoint->place;
    }
    std::ranges::sort(settings.peers, {}, &PeerSettings::public_key);
    return settings;
}

Keepalive other_than(Keepalive keepalive) {
    return Keepalive(static_cast<std::uint16_t>(keepalive.count() ^ 1U));
}

/// Two ways to the same, measured in turns.
struct Pair {
    Samples ours;
    Samples theirs;
    Samples ratios;
};

bench::Line line_of(std::string what, const Pair& pair, std::string theirs, double goal = 0) {
    const auto ratio = bench::interval_of(pair.ratios);
    return {.what = std::move(what),
            .measured = bench::with_quartiles(pair.ours),
            .compared = fmt::format("{} {}", theirs, bench::with_quartiles(pair.theirs)),
            .ratio = fmt::format("{:.2f} ({:.2f} to {:.2f})", ratio.median, ratio.low, ratio.high),
            .goal = goal > 0 ? fmt::format("at most {}", goal) : "",
            .verdict = goal > 0 ? bench::verdict_at_most(ratio.median, goal) : ""};
}

/// An interface with many peers, and what it becomes.
class Many {
  public:
    bench::Lines measure() {
        const auto from_nothing = [this] { interface_.clear(); };
        const auto from_other = [this] { apply_difference(other_); };
        const auto from_equal = [] {};
        const auto setconf = [this] { interface_.run_wg("setconf", wanted_.file); };
        const auto syncconf = [this] { interface_.run_wg("syncconf", wanted_.file); };
        const auto difference = [this] { apply_difference(wanted_); };
        return {
            line_of("10,000 peers on an empty interface",
                    compare(
                        from_nothing, [this] { apply(wanted_.device); }, setconf),
                    "`wg setconf`", apply_goal),
            line_of("the same, from a file",
                    compare(
                        from_nothing, [this] { apply_file(); }, setconf),
                    "`wg setconf`"),
            line_of("the same peers again, read before", compare(from_equal, difference, syncconf),
                    "`wg syncconf`"),
            line_of("one peer of 10,000 changed, all read before",
                    compare(from_other, difference, syncconf), "`wg syncconf`"),
        };
    }

  private:
    using Step = std::function<void()>;

    // `prepare` is not measured. Who comes first changes from round to round.
    Pair compare(const Step& prepare, const Step& ours, const Step& theirs) {
        Pair pair;
        for (int round = 0; round < rounds; ++round) {
            std::array<double, 2> taken{};
            for (const auto i : round % 2 == 0 ? std::array{0U, 1U} : std::array{1U, 0U}) {
                prepare();
                taken.at(i) = bench::seconds(i == 0 ? ours : theirs);
                require_wanted();
            }
            pair.ours.add(taken[0]);
            pair.theirs.add(taken[1]);
            pair.ratios.add(taken[0] / taken[1]);
        }
        return pair;
    }

    void apply(const WireGuardDevice& device) {
        interface_.kernel().apply(interface_.name(), {}, device);
    }
    void apply_file() {
        const auto text = lab::read_file(wanted_.file);
        apply(device_of(wg::parse_quick_file(text)));
    }
    void apply_difference(const Configuration& to) {
        auto& kernel = interface_.kernel();
        kernel.apply(interface_.name(), kernel.read(interface_.name()).device, to.device);
    }
    void require_wanted() {
        const auto dump = interface_.dump();
        if (dump_.empty()) dump_ = dump;
        std::vector<std::string> others;
        std::ranges::set_difference(dump, dump_, std::back_inserter(others));
        if (!others.empty() || dump.size() != dump_.size()) {
            throw std::runtime_error(fmt::format("wg(8) shows {} other lines, {} instead of {}",
                                                 others.size(), dump.size(), dump_.size()));
        }
        if (interface_.kernel().read(interface_.name()).device != wanted_.device) {
            throw std::runtime_error("the kernel has not what was to be there");
        }
    }

    // Of a peer that has a keepalive: `wg syncconf` leaves one as it is that the file does not
    // have.
    static TunnelSettings with_another_peer(TunnelSettings settings) {
        const auto peer = std::ranges::find_if(
            settings.peers, [](const auto& each) { return each.keepalive.count() > 1; });
        peer->keepalive = other_than(peer->keepalive);
        return settings;
    }

    Interface interface_;
    lab::TemporaryDirectory directory_;
    TunnelSettings settings_ = random_tunnel(many);
    Configuration wanted_ = wg_bench::configuration(settings_, directory_ / "wanted.conf");
    Configuration other_ =
        wg_bench::configuration(with_another_peer(settings_), directory_ / "other.conf");
    std::vector<std::string> dump_;  // of what is wanted
};

/// An interface one of whose peers changes and changes back.
class OnePeer {
  public:
    explicit OnePeer(std::size_t peers) : device_(device_of(random_tunnel(peers))) {
        interface_.kernel().apply(interface_.name(), {}, device_);
    }
    /// In seconds, for one change of the two.
    double measure(std::size_t number) {
        const auto& peer = device_.peers.at(number * stride % device_.peers.size());
        auto other = peer;
        other.keepalive = other_than(peer.keepalive);
        auto& kernel = interface_.kernel();
        const auto& name = interface_.name();
        return bench::seconds([&] {
                   kernel.change_peer(name, peer, other);
                   kernel.change_peer(name, other, peer);
               }) /
               2;
    }
    void require_unchanged() {
        if (interface_.kernel().read(interface_.name()).device == device_) return;
        throw std::runtime_error("a peer is not what it was before");
    }

  private:
    static constexpr std::size_t stride = 37;  // prime to their number: all of them in turn
    Interface interface_;
    WireGuardDevice device_;
};

bench::Line measure_one_peer() {
    OnePeer among_many(many);
    OnePeer among_few(few);
    Pair pair;
    for (int round = 0; round < rounds; ++round) {
        Samples with_many;
        Samples with_few;
        for (std::size_t i = 0; i < changes_per_round; ++i) {
            const auto number = static_cast<std::size_t>(round) * changes_per_round + i;
            with_many.add(among_many.measure(number));
            with_few.add(among_few.measure(number));
        }
        pair.ratios.add(with_many.median() / with_few.median());
        pair.ours.add(with_many);
        pair.theirs.add(with_few);
    }
    among_many.require_unchanged();
    among_few.require_unchanged();
    return line_of("one peer changed among 10,000", pair, "among 10", one_peer_goal);
}

}  // namespace

int main() {
    try {
        auto lines = Many().measure();
        lines.push_back(measure_one_peer());
        bench::print(lines);
        return EXIT_SUCCESS;
    } catch (const std::exception& error) {
        fmt::print(stderr, "porthole-wg-bench: {}\n", error.what());
        return EXIT_FAILURE;
    }
}
