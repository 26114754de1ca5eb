// SPDX-License-Identifier: GPL-2.0-or-later
// The settler alone, from order to report, beside one dump of the same flows that decodes nothing.
#include <stdexcept>

#include <fmt/format.h>
#include <linux/netlink.h>
#include <poll.h>

#include "gateway.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"
#include "measures.hpp"
#include "nft/conntrack_settler.hpp"
#include "raw.hpp"

namespace porthole::bench {
namespace {

constexpr std::size_t flow_count = 10'000;

void make_flows(const Site& site) {
    constexpr std::uint16_t first_port = 20'000;
    site.gateway.set_sysctl("net/netfilter/nf_conntrack_udp_timeout", "3600");
    lab::masquerade(site.gateway, lab::InputPolicy::accept);
    const lab::UdpSocket socket(site.host);
    for (std::size_t i = 0; i < flow_count; ++i) {
        const auto port = static_cast<std::uint16_t>(first_port + i);
        socket.send_to(lab::at(Site::outside_address, port), "x");
    }
}

class Settling {
  public:
    explicit Settling(const Site& site)
        : settler_(site.gateway.run([] {
              return std::make_unique<nft::ConntrackSettler>(nft::SettlingPace{.rest_factor = 0});
          })) {}

    void settle(std::size_t mappings) {
        SettleOrder order{
            .ticket = ++ticket_,
            .mappings = {},
            .scope = {.wans = {parse<InterfaceName>("interface", "wan")},
                      .wan_addresses = {parse<Address>("address", Site::wan_address)}}};
        for (std::size_t i = 0; i < mappings; ++i) {
            order.mappings.added.push_back(existing_mapping(i));
        }
        settler_->settle(std::move(order));
        pollfd event{settler_->descriptor(), POLLIN, 0};
        if (::poll(&event, 1, -1) != 1) throw std::runtime_error("poll");
        const auto report = settler_->take_report();
        if (!report || !report->failure.empty() || report->deleted != 0) {
            throw std::runtime_error("the settler failed");
        }
    }

  private:
    std::unique_ptr<nft::ConntrackSettler> settler_;
    std::uint64_t ticket_ = 0;
};

}  // namespace

Lines measure_settle(const Options&) {
    constexpr int rounds = 41;
    constexpr double goal = 1.5;
    const Site site;
    make_flows(site);
    Settling settling(site);
    RawNetlink kernel(site.gateway, NETLINK_NETFILTER);
    const auto request = conntrack_dump();

    Samples dump;
    Samples one;
    Samples thousand;
    for (int round = 0; round < rounds; ++round) {
        std::size_t flows = 0;
        dump.add(seconds([&] { flows = kernel.dump(request); }));
        if (flows < flow_count) throw std::runtime_error(fmt::format("{} flows only", flows));
        one.add(seconds([&] { settling.settle(1); }));
        thousand.add(seconds([&] { settling.settle(1000); }));
    }
    const auto line = [&](std::string what, const Samples& samples) {
        const double ratio = samples.median() / dump.median();
        return Line{.what = std::move(what),
                    .measured = with_quartiles(samples),
                    .compared = fmt::format("one plain dump {}", with_quartiles(dump)),
                    .ratio = times(ratio),
                    .goal = "1.5",
                    .verdict = verdict_at_most(ratio, goal)};
    };
    return {line("settled among 10,000 flows, one pending", one),
            line("settled among 10,000 flows, 1,000 pending", thousand)};
}

}  // namespace porthole::bench
