// SPDX-License-Identifier: GPL-2.0-or-later
#include "reserve_floor.hpp"

#include <linux/netlink.h>

#include "nft/firewall_table.hpp"

namespace porthole::bench {

ReserveFloor::ReserveFloor(Service& service)
    : service_(service), kernel_(site_.gateway, NETLINK_NETFILTER) {
    kernel_.execute(scratch_table());
}

void ReserveFloor::measure(std::size_t times) {
    const auto element = one_element();
    const auto batch = nft::encode_difference({}, element);
    const auto back = nft::encode_difference({}, element.inverse());
    Samples sums;
    std::array<Samples, 3> rounds;
    for (std::size_t i = 0; i < times; ++i) {
        double bus = 0;
        double disk = 0;
        double kernel = 0;
        sums.add(seconds([&] {
            bus = seconds([&] { service_.trivial_call(); });
            disk = seconds([&] { database_.insert(1); });
            kernel = seconds([&] { kernel_.execute(batch); });
        }));
        rounds[0].add(bus);
        rounds[1].add(disk);
        rounds[2].add(kernel);
        kernel_.execute(back);
    }
    sum.add(sums);
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i].add(rounds[i]);
}

}  // namespace porthole::bench
