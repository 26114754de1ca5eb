// SPDX-License-Identifier: GPL-2.0-or-later
#include "set_dump.hpp"

#include <cerrno>
#include <memory>
#include <new>

#include <libnftnl/set.h>

#include "message.hpp"

namespace porthole::nft {
namespace {

using Each = std::function<void(const DumpedElement&)>;

void decode(const nlmsghdr* message, const Each& each) {
    const std::unique_ptr<nftnl_set, Free<nftnl_set_free>> set(nftnl_set_alloc());
    if (!set) throw std::bad_alloc();
    if (nftnl_set_elems_nlmsg_parse(message, set.get()) < 0) return;
    const auto hand_on = [](nftnl_set_elem* element, void* receiver) {
        std::uint32_t length = 0;
        const auto* key = static_cast<const std::uint8_t*>(
            nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &length));
        if (key == nullptr) return 0;
        const std::chrono::milliseconds expires(
            nftnl_set_elem_get_u64(element, NFTNL_SET_ELEM_EXPIRATION));
        (*static_cast<const Each*>(receiver))({{key, length}, expires});
        return 0;
    };
    auto receiver = each;
    nftnl_set_elem_foreach(set.get(), hand_on, &receiver);
}

}  // namespace

void dump_set(netlink::Connection& connection, const char* set, const Each& each,
              const std::function<void()>& restart) {
    try {
        connection.dump(
            std::string("list set inet porthole ") + set,
            NFNL_SUBSYS_NFTABLES << 8U | NFT_MSG_GETSETELEM,
            [set](nlmsghdr* message) {
                put_header(message);
                mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table_name);
                mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set);
            },
            [&each](const nlmsghdr* message) { decode(message, each); }, restart);
    } catch (const KernelFailure& failure) {
        if (failure.code() != ENOENT) throw;
        restart();
    }
}

}  // namespace porthole::nft
