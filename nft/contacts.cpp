// SPDX-License-Identifier: GPL-2.0-or-later
#include "contacts.hpp"

#include <cstring>
#include <string_view>
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

// Protocol and port take four bytes each.
constexpr std::size_t key_length = 4 + 4 + 4;
constexpr std::size_t fixed_key_length = 4 + 4 + 4 + 4;
constexpr std::size_t nat66_key_length = 4 + 16 + 4;
constexpr std::size_t pinhole_key_length = 4 + 16 + 16 + 4;

// protocol . remote . external port, protocol . remote . external address . port, or
// protocol . remote . host . port
std::optional<Contact> decode_key(std::span<const std::uint8_t> key) {
    const bool of_pinhole = key.size() == pinhole_key_length;
    const bool fixed = key.size() == fixed_key_length;
    const bool nat66 = key.size() == nat66_key_length;
    if (key.size() != key_length && !fixed && !nat66 && !of_pinhole) return std::nullopt;
    const std::size_t length = of_pinhole || nat66 ? 16 : 4;  // of an address
    std::uint16_t number = 0;
    std::memcpy(&number, &key[key.size() - 4], sizeof(number));
    const auto port = Port::from(ntohs(number));
    const auto remote = Address::from_bytes(key.subspan(4, length));
    if (!port || !remote) return std::nullopt;
    const auto at =
        of_pinhole || fixed ? Address::from_bytes(key.subspan(4 + length, length)) : std::nullopt;
    return Contact{{Protocol{key[0]}, *port}, *remote, at};
}

}  // namespace

KnownContacts list_contacts(netlink::Connection& connection, const char* set) {
    KnownContacts known;
    dump_set(
        connection, set,
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
    std::map<std::string_view, std::size_t> taken;  // by set
    for (const auto& [contact, expires] : known) ++taken[set_of(contact)];
    for (const auto& contact : wanted) {
        const auto found = known.find(contact);
        if (found == known.end()) {
            auto& used = taken[set_of(contact)];
            if (used >= most_contacts) continue;
            ++used;
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
