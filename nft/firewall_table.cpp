// SPDX-License-Identifier: GPL-2.0-or-later
#include "nft/firewall_table.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>

#include <arpa/inet.h>
#include <libnftnl/object.h>
#include <linux/netfilter/nfnetlink.h>

#include "elements.hpp"
#include "message.hpp"
#include "netlink/socket.hpp"
#include "skeleton.hpp"

namespace porthole::nft {
namespace {

netlink::Batch transaction() { return netlink::Batch::nfnetlink_transaction(NFNL_SUBSYS_NFTABLES); }

// Adds what a message of a dump of counters says, if it is about one of ours.
void decode_counter(const nlmsghdr* message, FirewallCounters& counted) {
    const std::unique_ptr<nftnl_obj, Free<nftnl_obj_free>> object(nftnl_obj_alloc());
    if (!object) throw std::bad_alloc();
    if (nftnl_obj_nlmsg_parse(message, object.get()) < 0) return;
    const auto* table = nftnl_obj_get_str(object.get(), NFTNL_OBJ_TABLE);
    const auto* name = nftnl_obj_get_str(object.get(), NFTNL_OBJ_NAME);
    if (table == nullptr || name == nullptr || std::string_view(table) != table_name) return;
    const auto packets = nftnl_obj_get_u64(object.get(), NFTNL_OBJ_CTR_PKTS);
    for (const auto& [known, value] : {std::pair(counters::unsolicited, &counted.unsolicited),
                                       std::pair(counters::displaced, &counted.displaced),
                                       std::pair(counters::guarded, &counted.guarded)}) {
        if (std::string_view(name) == known) *value = packets;
    }
}

template <typename T>
const std::vector<T>& part(const SetDifference<T>& difference, Edit edit) {
    return edit == Edit::add ? difference.added : difference.removed;
}

}  // namespace

FirewallTable::FirewallTable()
    : FirewallTable(std::make_unique<netlink::Socket>(NETLINK_NETFILTER)) {}

FirewallTable::FirewallTable(std::unique_ptr<netlink::Socket> socket)
    : port_id_(socket->port_id()), connection_(std::move(socket)) {}

FirewallTable::FirewallTable(std::unique_ptr<netlink::Transport> transport)
    : connection_(std::move(transport)) {}

void FirewallTable::replace(const Firewall& firewall) {
    connection_.execute(encode_replacement(firewall, counters()));
}

void FirewallTable::apply(const FirewallDifference& difference) {
    if (difference.empty()) return;
    try {
        connection_.execute(encode_difference(difference));
    } catch (const netlink::BatchFailure& failure) {
        // A table, set or element that is missing, or an element that is there already: the kernel
        // does not hold what we last put there. An answer that is missing: nobody knows what it
        // holds.
        const auto drifted = std::ranges::find_if(failure.failures(), [](const auto& command) {
            constexpr std::array errors{ENOENT, EEXIST, EBUSY, ENOBUFS, EBADMSG};
            return std::ranges::find(errors, command.error) != errors.end();
        });
        if (drifted == failure.failures().end()) throw;
        throw FirewallDrift(drifted->command, drifted->error, drifted->detail);
    }
}

FirewallCounters FirewallTable::counters() {
    FirewallCounters found;
    connection_.dump(
        "list counters inet porthole", NFNL_SUBSYS_NFTABLES << 8U | NFT_MSG_GETOBJ,
        [](nlmsghdr* message) {
            put_header(message);
            mnl_attr_put_strz(message, NFTA_OBJ_TABLE, table_name);
            mnl_attr_put_u32(message, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
        },
        [&found](const nlmsghdr* message) { decode_counter(message, found); },
        [&found] { found = {}; });
    return found;
}

netlink::FinalizedBatch encode_replacement(const Firewall& firewall,
                                           const FirewallCounters& counted) {
    auto batch = transaction();
    replace_skeleton(batch, firewall.scope.pool, counted);
    edit_interfaces(batch, Edit::add, sets::wans, firewall.scope.wans);
    edit_interfaces(batch, Edit::add, sets::masquerade_wans, firewall.scope.masquerade_wans);
    edit_networks(batch, Edit::add, sets::nat_sources, firewall.scope.nat_sources);
    edit_networks(batch, Edit::add, sets::exempt, firewall.scope.exempt);
    edit_addresses(batch, Edit::add, sets::wan_addresses, firewall.scope.wan_addresses);
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
        edit_addresses(batch, edit, sets::wan_addresses, part(difference.wan_addresses, edit));
        edit_mappings(batch, edit, part(difference.mappings, edit));
    }
    return std::move(batch).finalize();
}

}  // namespace porthole::nft
