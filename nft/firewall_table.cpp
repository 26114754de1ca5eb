// SPDX-License-Identifier: GPL-2.0-or-later
#include "nft/firewall_table.hpp"

#include <algorithm>
#include <cerrno>

#include <linux/netfilter/nfnetlink.h>

#include "elements.hpp"
#include "netlink/socket.hpp"
#include "skeleton.hpp"

namespace porthole::nft {
namespace {

netlink::Batch transaction() { return netlink::Batch::nfnetlink_transaction(NFNL_SUBSYS_NFTABLES); }

template <typename T>
const std::vector<T>& part(const SetDifference<T>& difference, Edit edit) {
    return edit == Edit::add ? difference.added : difference.removed;
}

}  // namespace

FirewallTable::FirewallTable()
    : FirewallTable(std::make_unique<netlink::Socket>(NETLINK_NETFILTER)) {}

FirewallTable::FirewallTable(std::unique_ptr<netlink::Transport> transport)
    : connection_(std::move(transport)) {}

void FirewallTable::replace(const Firewall& firewall) {
    connection_.execute(encode_replacement(firewall));
}

void FirewallTable::apply(const FirewallDifference& difference) {
    if (difference.empty()) return;
    try {
        connection_.execute(encode_difference(difference));
    } catch (const netlink::BatchFailure& failure) {
        // A table, set or element that is missing, or an element that is there already: the kernel
        // does not hold what we last put there.
        const auto drifted = std::ranges::find_if(failure.failures(), [](const auto& command) {
            return command.error == ENOENT || command.error == EEXIST || command.error == EBUSY;
        });
        if (drifted == failure.failures().end()) throw;
        throw FirewallDrift(drifted->command, drifted->error, drifted->detail);
    }
}

netlink::FinalizedBatch encode_replacement(const Firewall& firewall) {
    auto batch = transaction();
    replace_skeleton(batch);
    edit_interfaces(batch, Edit::add, sets::wans, firewall.scope.wans);
    edit_interfaces(batch, Edit::add, sets::masquerade_wans, firewall.scope.masquerade_wans);
    edit_networks(batch, Edit::add, sets::nat_sources, firewall.scope.nat_sources);
    edit_networks(batch, Edit::add, sets::exempt, firewall.scope.exempt);
    edit_mappings(batch, Edit::add, firewall.mappings);
    return std::move(batch).finalize();
}

netlink::FinalizedBatch encode_difference(const FirewallDifference& difference) {
    auto batch = transaction();
    for (const auto edit : {Edit::remove, Edit::add}) {
        edit_interfaces(batch, edit, sets::wans, part(difference.wans, edit));
        edit_interfaces(batch, edit, sets::masquerade_wans, part(difference.masquerade_wans, edit));
        edit_networks(batch, edit, sets::nat_sources, part(difference.nat_sources, edit));
        edit_networks(batch, edit, sets::exempt, part(difference.exempt, edit));
        edit_mappings(batch, edit, part(difference.mappings, edit));
    }
    return std::move(batch).finalize();
}

}  // namespace porthole::nft
