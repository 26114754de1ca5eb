// SPDX-License-Identifier: GPL-2.0-or-later
#include "contacts.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include <arpa/inet.h>

#include "elements.hpp"
#include "message.hpp"
#include "set_dump.hpp"

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

}  // namespace

KnownContacts list_contacts(netlink::Connection& connection) {
    KnownContacts known;
    dump_set(
        connection, sets::contacts,
        [&known](const DumpedElement& element) {
            if (const auto contact = decode_key(element.key)) {
                known.insert_or_assign(*contact, element.expires);
            }
        },
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
    edit_contacts(batch, Edit::put, added);  // packets may have been quicker
    return std::move(batch).finalize();
}

}  // namespace porthole::nft
