// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "netlink/batch.hpp"

namespace porthole::nft {

constexpr auto table_name = "porthole";

/// Frees an object of libnftnl's with its own function.
template <auto free>
struct Free {
    template <typename T>
    void operator()(T* object) const {
        free(object);
    }
};

/// Writes the nfgenmsg of a message about family inet.
inline void put_header(nlmsghdr* message) {
    auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
    header->nfgen_family = NFPROTO_INET;
    header->version = NFNETLINK_V0;
}

/// Appends an nf_tables message of family inet; `payload` writes what follows the nfgenmsg.
inline void add_message(netlink::Batch& batch, std::string name, nf_tables_msg_types type,
                        std::uint16_t flags, const std::function<void(nlmsghdr*)>& payload) {
    const auto full_type = static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8U | type);
    batch.add(std::move(name), full_type, flags, [&payload](nlmsghdr* message) {
        put_header(message);
        payload(message);
    });
}

}  // namespace porthole::nft
