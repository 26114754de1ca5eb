// SPDX-License-Identifier: GPL-2.0-or-later
// What the service takes of a processor while the flows of others pass by.
#include <array>
#include <thread>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include "gateway.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"
#include "measures.hpp"

namespace porthole::bench {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds idle_duration{10};
constexpr std::chrono::seconds duration{65};  // one look at all flows is within
constexpr std::size_t flows_per_second = 10'000;
constexpr std::size_t bursts_per_second = 100;
constexpr std::size_t burst = flows_per_second / bursts_per_second;

/// Opens flows at an even pace; how many.
std::size_t open_flows(const lab::Namespace& host, std::uint16_t from) {
    const lab::UdpSocket socket(host, lab::at(Site::host_address, from));
    std::array<sockaddr_in, burst> names{};
    std::array<mmsghdr, burst> messages{};
    iovec payload{names.data(), 1};
    std::uint32_t number = 0;
    const auto begin = steady_clock::now();
    std::size_t sent = 0;
    for (std::size_t tick = 0; tick < bursts_per_second * duration.count(); ++tick) {
        for (std::size_t i = 0; i < burst; ++i, ++number) {
            auto& name = names.at(i);
            name.sin_family = AF_INET;
            name.sin_addr.s_addr =
                htonl(parse<Address>("address", Site::outside_address).v4_value());
            name.sin_port = htons(static_cast<std::uint16_t>(1'024 + number % 64'000));
            auto& header = messages.at(i).msg_hdr;
            header.msg_name = &name;
            header.msg_namelen = sizeof(name);
            header.msg_iov = &payload;
            header.msg_iovlen = 1;
        }
        std::this_thread::sleep_until(begin + tick * std::chrono::seconds(1) / bursts_per_second);
        const int done = ::sendmmsg(socket.descriptor(), messages.data(), burst, 0);
        if (done > 0) sent += static_cast<std::size_t>(done);
    }
    return sent;
}

}  // namespace

Lines measure_watch(const Options&) {
    constexpr double goal = 0.02;
    const Site site;
    lab::masquerade(site.gateway, lab::InputPolicy::accept);
    lab::output_of(site.outside, {"nft", "-f", "-"}, {.input = R"(table netdev sink {
    chain in { type filter hook ingress device eth0 priority 0; drop; }
}
)"});
    // The same tuples come again after six seconds.
    site.gateway.set_sysctl("net/netfilter/nf_conntrack_udp_timeout", "4");
    Service service(site.gateway);
    const auto share = [&](const auto& work) {
        const double before = service.cpu_time_of_all();
        const auto took = seconds(work);
        return (service.cpu_time_of_all() - before) / took;
    };
    const double idle = share([] { std::this_thread::sleep_for(idle_duration); });
    constexpr std::uint16_t unwatched = 45'000;
    std::size_t sent = 0;
    const double busy = share([&] { sent = open_flows(site.host, unwatched); });
    const auto per_cent = [](double value) {
        return fmt::format("{:.2f} % of a core", 100 * value);
    };
    return {{.what = fmt::format("the service while others open {} flows in {} s", sent,
                                 duration.count()),
             .measured = per_cent(busy),
             .compared = fmt::format("without traffic {}", per_cent(idle)),
             .ratio = "",
             .goal = "2 %",
             .verdict = sent < flows_per_second * duration.count() * 99 / 100
                            ? "not met"
                            : verdict_at_most(busy, goal)}};
}

}  // namespace porthole::bench
