// SPDX-License-Identifier: GPL-2.0-or-later
// Which pairs of sites get a tunnel to work when both hosts only know each other's address and
// port: each kind of gateway on one side with each kind on the other, in every order of start.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <exception>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include "lab/deadline.hpp"
#include "lab/file_descriptor.hpp"
#include "lab/links.hpp"
#include "site.hpp"

namespace {

using namespace porthole;
using grid::Kind;
using grid::Site;

constexpr std::array ours{Kind::strict, Kind::address_dependent, Kind::open};
constexpr std::array stock{Kind::dropping, Kind::accepting, Kind::random_port};
constexpr std::array remotes{Kind::public_host,      Kind::full_cone,   Kind::dropping,
                             Kind::accepting,        Kind::random_port, Kind::behind_carrier_nat,
                             Kind::address_dependent};
constexpr std::size_t stock_remotes = remotes.size() - 1;

enum class Order : std::uint8_t { near_first, far_first, together };
constexpr std::array orders{Order::near_first, Order::far_first, Order::together};

/// Sees the first IPv4 packet that leaves the internet on a line.
class Tap {
  public:
    Tap(const lab::Namespace& internet, const std::string& line) {
        socket_ = lab::FileDescriptor(internet.run([] {
            return lab::checked(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL)),
                                "socket");
        }));
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = htons(ETH_P_ALL);
        address.sll_ifindex = static_cast<int>(internet.link_index(line));
        lab::checked(
            ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
            "bind");
    }

    void wait() const {
        constexpr lab::Duration limit{20'000};
        const lab::Deadline deadline(limit);
        while (deadline.poll(socket_.get(), POLLIN)) {
            sockaddr_ll from{};
            socklen_t length = sizeof(from);
            std::array<char, 1> packet{};
            lab::checked(static_cast<int>(::recvfrom(socket_.get(), packet.data(), packet.size(), 0,
                                                     reinterpret_cast<sockaddr*>(&from), &length)),
                         "recvfrom");
            if (from.sll_pkttype == PACKET_OUTGOING && from.sll_protocol == htons(ETH_P_IP)) return;
        }
        throw std::runtime_error("nothing was sent");
    }

  private:
    lab::FileDescriptor socket_;
};

bool connect(Kind near_kind, Kind far_kind, Order order) {
    const lab::Namespace internet("internet");
    lab::add_bridge(internet, "wan");
    lab::add_address(internet, "wan", "203.0.113.254/24");
    const Site near(internet, near_kind, 1);
    const Site far(internet, far_kind, 2);
    const auto one_after_the_other = [&internet](const Site& first, const Site& second) {
        const Tap tap(internet, second.line());
        first.start(second);
        tap.wait();
        second.start(first);
    };
    switch (order) {
        case Order::near_first:
            one_after_the_other(near, far);
            break;
        case Order::far_first:
            one_after_the_other(far, near);
            break;
        case Order::together: {
            const std::jthread other([&] { far.start(near); });
            near.start(far);
            break;
        }
    }
    return near.reaches(far);
}

/// One gateway with one remote: in which orders they connect.
struct Pair {
    Kind near;
    Kind far;
    std::array<bool, orders.size()> connected = {};

    [[nodiscard]] std::string text() const {
        if (std::ranges::count(connected, true) == std::ssize(connected)) return "yes";
        if (std::ranges::count(connected, true) == 0) return "no";
        constexpr std::array words{"near", "far", "both"};
        std::string text;
        for (std::size_t i = 0; i < orders.size(); ++i) {
            if (connected.at(i)) text += (text.empty() ? "" : ", ") + std::string(words.at(i));
        }
        return text;
    }
};

struct Trial {
    std::size_t pair;
    std::size_t order;
};

std::vector<Pair> try_all() {
    std::vector<Pair> pairs;
    for (const auto kind : ours) {
        for (const auto remote : remotes) pairs.push_back({kind, remote});
    }
    for (const auto kind : stock) {
        for (const auto remote : remotes) pairs.push_back({kind, remote});
    }
    std::vector<Trial> trials;
    for (std::size_t pair = 0; pair < pairs.size(); ++pair) {
        for (std::size_t order = 0; order < orders.size(); ++order) trials.push_back({pair, order});
    }
    // Most of a trial is waiting for WireGuard's timers.
    constexpr std::size_t side_by_side = 12;
    std::atomic<std::size_t> next = 0;
    std::vector<std::future<void>> workers;
    for (std::size_t i = 0; i < side_by_side; ++i) {
        workers.push_back(std::async(std::launch::async, [&] {
            for (auto trial = next++; trial < trials.size(); trial = next++) {
                auto& pair = pairs[trials[trial].pair];
                const auto order = trials[trial].order;
                pair.connected.at(order) = connect(pair.near, pair.far, orders.at(order));
            }
        }));
    }
    for (auto& worker : workers) worker.get();
    return pairs;
}

void print(const std::vector<Pair>& pairs) {
    fmt::print("| gateway |");
    for (const auto remote : remotes) fmt::print(" {} |", name(remote));
    fmt::print("\n| --- |");
    for (std::size_t i = 0; i < remotes.size(); ++i) fmt::print(" --- |");
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        if (i % remotes.size() == 0) fmt::print("\n| {} |", name(pairs[i].near));
        fmt::print(" {} |", pairs[i].text());
    }
    fmt::print("\n");
}

// What the project promises: with the default every pair connects in every order.
bool judge(const std::vector<Pair>& pairs) {
    const auto connects = [](const Pair& pair) {
        return std::ranges::count(pair.connected, false) == 0;
    };
    std::size_t of_stock = 0;
    for (std::size_t i = ours.size() * remotes.size(); i < pairs.size(); ++i) {
        if (i % remotes.size() < stock_remotes && connects(pairs[i])) ++of_stock;
    }
    const bool kept = std::ranges::all_of(pairs, [&](const Pair& pair) {
        return pair.near != Kind::address_dependent || connects(pair);
    });
    fmt::print(
        "\nyes: they connect, whoever starts first; near, far, both: only if the gateway's own "
        "host starts first,\nthe remote does, both start together; where it matters who is first, "
        "that comes out one way or the other.\n"
        "Stock gateways on both sides: {} of {} pairs connect in every order. With Porthole: {}.\n",
        of_stock, stock.size() * stock_remotes, kept ? "all" : "NOT ALL");
    return kept;
}

}  // namespace

int main() {
    try {
        const auto pairs = try_all();
        print(pairs);
        return judge(pairs) ? 0 : 1;
    } catch (const std::exception& error) {
        fmt::print(stderr, "porthole-grid: {}\n", error.what());
        return 2;
    }
}
