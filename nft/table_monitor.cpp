// SPDX-License-Identifier: GPL-2.0-or-later
#include "nft/table_monitor.hpp"

#include <utility>

#include "message.hpp"
#include "netlink/message.hpp"
#include "netlink/socket.hpp"

namespace porthole::nft {
namespace {

// The attribute that names the table has number 1 in the messages about tables, chains, rules,
// sets, elements and objects alike (NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, …).
bool concerns_our_table(const nlmsghdr* message) {
    if (NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_NFTABLES) return false;
    if (NFNL_MSG_TYPE(message->nlmsg_type) == NFT_MSG_NEWGEN) return false;
    const auto attributes = netlink::Attributes::of(message, sizeof(nfgenmsg));
    if (!attributes || attributes->text(NFTA_TABLE_NAME) != table_name) return false;
    const auto* header = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(message));
    return header->nfgen_family == NFPROTO_INET;
}

std::unique_ptr<netlink::Socket> notifications_of_others(std::uint32_t own_port) {
    auto socket = std::make_unique<netlink::Socket>(NETLINK_NETFILTER);
    socket->ignore_changes_of(own_port);
    return socket;
}

}  // namespace

TableMonitor::TableMonitor(std::uint32_t own_port)
    : TableMonitor(notifications_of_others(own_port)) {}

TableMonitor::TableMonitor(std::unique_ptr<netlink::Socket> socket)
    : socket_(socket.get()), transport_(std::move(socket)) {
    join();
}

TableMonitor::TableMonitor(std::unique_ptr<netlink::Transport> transport)
    : transport_(std::move(transport)) {}

void TableMonitor::leave() {
    if (socket_ != nullptr) socket_->leave(NFNLGRP_NFTABLES);
}

void TableMonitor::join() {
    if (socket_ != nullptr) socket_->join(NFNLGRP_NFTABLES);
}

bool TableMonitor::changed_by_others() {
    bool changed = false;
    const bool complete = netlink::receive_all(
        *transport_, buffer_,
        [&changed](const nlmsghdr* message) { changed |= concerns_our_table(message); });
    return changed || !complete;
}

}  // namespace porthole::nft
