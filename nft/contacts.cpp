// SPDX-License-Identifier: GPL-2.0-or-later
#include "contacts.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

#include <arpa/inet.h>
#include <libnftnl/set.h>

#include "elements.hpp"
#include "message.hpp"

namespace porthole::nft {
namespace {

// Flows are looked at every minute or so: far more often than a contact gets from here to its end.
constexpr std::chrono::milliseconds good_while = contact_lifetime * 3 / 4;
// Below this it may be gone before the batch gets there, and take the others with it.
constexpr std::chrono::milliseconds last_moment{2000};

// protocol . remote . external port, each in four bytes
std::optional<Contact> decode_key(std::span<const std::uint8_t> key) {
    constexpr std::size_t length = 12;
    if (key.size() != length) return std::nullopt;
    std::uint32_t remote = 0;
    std::uint16_t port = 0;
    std::memcpy(&remote, &key[4], sizeof(remote));
    std::memcpy(&port, &key[8], sizeof(port));
    const auto external = Port::from(ntohs(port));
    if (!external) return std::nullopt;
    return Contact{{Protocol{key[0]}, *external}, Address::v4(ntohl(remote))};
}

void decode_elements(const nlmsghdr* message, KnownContacts& known) {
    const std::unique_ptr<nftnl_set, Free<nftnl_set_free>> set(nftnl_set_alloc());
    if (!set) throw std::bad_alloc();
    if (nftnl_set_elems_nlmsg_parse(message, set.get()) < 0) return;
    const auto each = [](nftnl_set_elem* element, void* result) {
        std::uint32_t length = 0;
        const auto* key = static_cast<const std::uint8_t*>(
            nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &length));
        const auto contact = key != nullptr ? decode_key({key, length}) : std::nullopt;
        if (!contact) return 0;
        static_cast<KnownContacts*>(result)->insert_or_assign(
            *contact,
            std::chrono::milliseconds(nftnl_set_elem_get_u64(element, NFTNL_SET_ELEM_EXPIRATION)));
        return 0;
    };
    nftnl_set_elem_foreach(set.get(), each, &known);
}

}  // namespace

KnownContacts list_contacts(netlink::Connection& connection) {
    KnownContacts known;
    connection.dump(
        "list set inet porthole contacts", NFNL_SUBSYS_NFTABLES << 8U | NFT_MSG_GETSETELEM,
        [](nlmsghdr* message) {
            put_header(message);
            mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table_name);
            mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, sets::contacts);
        },
        [&known](const nlmsghdr* message) { decode_elements(message, known); },
        [&known] { known.clear(); });
    return known;
}

// Removed and added again: kernels before 6.12 leave the end of an element that is there as it is.
std::optional<netlink::FinalizedBatch> encode_renewal(std::span<const Contact> wanted,
                                                      const KnownContacts& known) {
    std::vector<Contact> old;
    std::vector<Contact> added;
    std::size_t room = most_contacts - std::min<std::size_t>(known.size(), most_contacts);
    for (const auto& contact : wanted) {
        const auto found = known.find(contact);
        if (found == known.end()) {
            if (room == 0) continue;
            --room;
            added.push_back(contact);
        } else if (found->second >= last_moment && found->second < good_while) {
            old.push_back(contact);
            added.push_back(contact);
        }
    }
    if (added.empty()) return std::nullopt;
    auto batch = netlink::Batch::nfnetlink_transaction(NFNL_SUBSYS_NFTABLES);
    edit_contacts(batch, Edit::remove, old);
    edit_contacts(batch, Edit::add, added);
    return std::move(batch).finalize();
}

}  // namespace porthole::nft
