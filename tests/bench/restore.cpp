// SPDX-License-Identifier: GPL-2.0-or-later
// Somebody deletes the table; the kernel's notifications tell when it is back.
#include <array>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "gateway.hpp"
#include "lab/deadline.hpp"
#include "measures.hpp"
#include "netlink/message.hpp"
#include "raw.hpp"

namespace porthole::bench {
namespace {

constexpr std::size_t reservations = 1'000;

/// Sees the tables of a namespace come.
class Watch {
  public:
    explicit Watch(const lab::Namespace& where)
        : socket_(where.run([] {
              constexpr std::array<unsigned, 1> groups{NFNLGRP_NFTABLES};
              return std::make_unique<netlink::Socket>(NETLINK_NETFILTER, groups);
          })),
          buffer_(netlink::Transport::max_datagram_bytes) {}

    /// Waits for the end of a transaction that makes a table.
    void wait_for_new_table() {
        constexpr auto new_table = NFNL_SUBSYS_NFTABLES << 8U | NFT_MSG_NEWTABLE;
        constexpr auto new_generation = NFNL_SUBSYS_NFTABLES << 8U | NFT_MSG_NEWGEN;
        const lab::Deadline deadline{lab::Duration(5'000)};
        bool made = false;
        bool complete = false;
        while (!complete) {
            if (!deadline.poll(socket_->descriptor(), POLLIN)) {
                throw std::runtime_error("the table does not come back");
            }
            netlink::receive_all(*socket_, buffer_, [&](const nlmsghdr* message) {
                made = made || message->nlmsg_type == new_table;
                complete = complete || (made && message->nlmsg_type == new_generation);
            });
        }
    }

  private:
    std::unique_ptr<netlink::Socket> socket_;
    std::vector<std::byte> buffer_;
};

}  // namespace

Lines measure_restore(const Options&) {
    constexpr int rounds = 50;
    constexpr double goal = 10e-3;
    const Site site;
    Service service(site.gateway, reservations);
    RawNetlink kernel(site.gateway, NETLINK_NETFILTER);
    RawNetlink scratch(site.outside, NETLINK_NETFILTER);
    std::vector<Mapping> mappings;
    for (std::size_t i = 0; i < reservations; ++i) mappings.push_back(existing_mapping(i));
    const auto table = scratch_table(std::move(mappings));
    const auto deletion = delete_table();

    Samples back;
    Samples floor;
    for (int round = 0; round < rounds; ++round) {
        Watch watch(site.gateway);
        back.add(seconds([&] {
            kernel.execute(deletion);
            watch.wait_for_new_table();
        }));
        service.wait_until_settled();
        floor.add(seconds([&] {
            scratch.execute(table);
            scratch.execute(deletion);
        }));
    }
    return {{.what = "deleted table back with 1,000 reservations",
             .measured = fmt::format("{}, at most {}", with_quartiles(back),
                                     milliseconds(back.quantile(1))),
             .compared = fmt::format("the deletion and a raw batch {}", with_quartiles(floor)),
             .ratio = times(back.median() / floor.median()),
             .goal = "10 ms",
             .verdict = verdict_at_most(back.median(), goal, floor.quantile(0.75))}};
}

}  // namespace porthole::bench
