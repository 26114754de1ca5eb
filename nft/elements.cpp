// SPDX-License-Identifier: GPL-2.0-or-later
#include "elements.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>

#include "message.hpp"

namespace porthole::nft {
namespace {

// The bytes of a key as the kernel compares them. Fields that are joined start at multiples of
// four.
class Key {
  public:
    Key& field(std::span<const std::uint8_t> bytes) {
        std::ranges::copy(bytes, bytes_.begin() + static_cast<std::ptrdiff_t>(length_));
        length_ += (bytes.size() + 3) / 4 * 4;
        return *this;
    }
    Key& field(Protocol protocol) {
        const std::array bytes{static_cast<std::uint8_t>(protocol)};
        return field(bytes);
    }
    Key& field(const Address& address) { return field(address.bytes()); }
    Key& field(Port port) {
        const std::array bytes{static_cast<std::uint8_t>(port.value() >> 8U),
                               static_cast<std::uint8_t>(port.value())};
        return field(bytes);
    }
    // A key of one field has exactly the field's length.
    Key& cut(std::size_t length) {
        length_ = length;
        return *this;
    }
    [[nodiscard]] const std::uint8_t* data() const { return bytes_.data(); }
    [[nodiscard]] auto length() const { return static_cast<std::uint32_t>(length_); }

  private:
    std::array<std::uint8_t, 40> bytes_{};  // two IPv6 addresses with protocol and port
    std::size_t length_ = 0;
};

struct Element {
    Key key;
    std::optional<Key> data = std::nullopt;  // of a map
    bool interval_end = false;
};

void put_value(nlmsghdr* message, std::uint16_t type, const Key& value) {
    auto* nest = mnl_attr_nest_start(message, type);
    mnl_attr_put(message, NFTA_DATA_VALUE, value.length(), value.data());
    mnl_attr_nest_end(message, nest);
}

// What nftnl_set_elem_nlmsg_build() writes, without a copy in between: a start has hundreds of
// thousands of them.
void put_element(nlmsghdr* message, const Element& element) {
    auto* nest = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
    if (element.interval_end) {
        mnl_attr_put_u32(message, NFTA_SET_ELEM_FLAGS, htonl(NFT_SET_ELEM_INTERVAL_END));
    }
    put_value(message, NFTA_SET_ELEM_KEY, element.key);
    if (element.data) put_value(message, NFTA_SET_ELEM_DATA, *element.data);
    mnl_attr_nest_end(message, nest);
}

// 100 bytes an element at most: below the 64 KiB that the list of one message may take.
constexpr std::size_t elements_per_message = 500;

std::string command_name(Edit edit, const char* set, std::size_t count, const std::string& only) {
    const std::string verb = edit == Edit::remove ? "delete" : "add";
    if (count == 1) return verb + " element inet porthole " + set + " { " + only + " }";
    return verb + " " + std::to_string(count) + " elements inet porthole " + set;
}

template <typename T>
using Encoder = Element (*)(const T&);
template <typename T>
using Describer = std::string (*)(const T&);

template <typename T>
void edit_elements(netlink::Batch& batch, Edit edit, const char* set, std::uint32_t set_id,
                   std::span<const T> values, Encoder<T> encode, Describer<T> describe) {
    const auto type = edit == Edit::remove ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM;
    const std::uint16_t message_flags = edit == Edit::add   ? NLM_F_CREATE | NLM_F_EXCL
                                        : edit == Edit::put ? NLM_F_CREATE
                                                            : 0;
    while (!values.empty()) {
        const auto part = values.first(std::min(values.size(), elements_per_message));
        values = values.subspan(part.size());
        auto name = command_name(edit, set, part.size(), describe(part.front()));
        add_message(batch, std::move(name), type, message_flags, [&](nlmsghdr* message) {
            mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table_name);
            mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set);
            if (set_id != 0) mnl_attr_put_u32(message, NFTA_SET_ELEM_LIST_SET_ID, htonl(set_id));
            auto* list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
            for (const auto& value : part) put_element(message, encode(value));
            mnl_attr_nest_end(message, list);
        });
    }
}

// Where the mapping is outside, as keys and values have it: with its address where that is fixed.
Key& add_outside(Key& key, const Mapping& mapping) {
    if (const auto address = mapping.external_address.fixed()) key.field(*address);
    return key.field(mapping.external_port);
}

std::string outside_text(const Mapping& mapping) {
    const auto address = mapping.external_address.fixed();
    return (address ? to_text(*address) + " . " : std::string()) + to_text(mapping.external_port);
}

std::string inside_text(const Mapping& mapping) {
    return to_text(*mapping.host) + " . " + to_text(mapping.internal_port);
}

Element exact_element(const Mapping& mapping) {
    Element element;
    element.key.field(mapping.protocol).field(*mapping.host).field(mapping.internal_port);
    add_outside(element.data.emplace(), mapping);
    if (mapping.external_address.is_any()) element.data->cut(2);
    return element;
}

std::string exact_text(const Mapping& mapping) {
    return to_text(mapping.protocol) + " . " + inside_text(mapping) + " : " + outside_text(mapping);
}

Element exact_flow_element(const Mapping& mapping) {
    Element element;
    element.key.field(mapping.protocol).field(*mapping.host).field(mapping.internal_port);
    add_outside(element.key, mapping);
    return element;
}

std::string exact_flow_text(const Mapping& mapping) {
    return to_text(mapping.protocol) + " . " + inside_text(mapping) + " . " + outside_text(mapping);
}

Element owner_element(const Mapping& mapping) {
    Element element;
    add_outside(element.key.field(mapping.protocol), mapping);
    element.data.emplace().field(*mapping.host).field(mapping.internal_port);
    return element;
}

std::string owner_text(const Mapping& mapping) {
    return to_text(mapping.protocol) + " . " + outside_text(mapping) + " : " + inside_text(mapping);
}

Element port_element(const Mapping& mapping) {
    Element element;
    add_outside(element.key.field(mapping.protocol), mapping);
    return element;
}

std::string port_text(const Mapping& mapping) {
    return to_text(mapping.protocol) + " . " + outside_text(mapping);
}

Element pinhole_element(const Pinhole& pinhole) {
    Element element;
    element.key.field(pinhole.protocol).field(pinhole.host).field(pinhole.port);
    return element;
}

std::string pinhole_text(const Pinhole& pinhole) {
    return to_text(pinhole.protocol) + " . " + to_text(pinhole.host) + " . " +
           to_text(pinhole.port);
}

Element contact_element(const Contact& contact) {
    Element element;
    element.key.field(contact.external.protocol).field(contact.remote);
    if (contact.at) element.key.field(*contact.at);
    element.key.field(contact.external.port);
    return element;
}

std::string contact_text(const Contact& contact) {
    return to_text(contact.external.protocol) + " . " + to_text(contact.remote) + " . " +
           (contact.at ? to_text(*contact.at) + " . " : "") + to_text(contact.external.port);
}

Element interface_element(const InterfaceName& name) {
    constexpr std::size_t name_size = 16;  // IFNAMSIZ
    const auto& text = name.text();
    std::array<std::uint8_t, name_size> bytes{};
    std::memcpy(bytes.data(), text.data(), text.size());
    Element element;
    element.key.field(bytes);
    return element;
}

// An interval is two elements: where it starts, and the first address behind it.
struct Boundary {
    Address address;
    bool end;
};

Element boundary_element(const Boundary& boundary) {
    Element element;
    element.key.field(boundary.address);
    element.interval_end = boundary.end;
    return element;
}

// Nothing behind the last address that there is.
std::optional<Address> next(const Address& address) {
    std::vector<std::uint8_t> bytes(address.bytes().begin(), address.bytes().end());
    for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte) {
        if (++*byte != 0) return Address::from_bytes(bytes);
    }
    return std::nullopt;
}

std::vector<Boundary> boundaries(std::span<const Network> networks) {
    std::vector<Boundary> result;
    for (const auto& network : networks) {
        result.push_back({network.address(), false});
        if (const auto behind = next(network.last())) result.push_back({*behind, true});
    }
    return result;
}

void edit_mappings(netlink::Batch& batch, Edit edit, std::span<const Mapping> mappings,
                   const MappingSets& sets) {
    const auto away = [](const Mapping& mapping) { return !mapping.host; };
    std::vector<Mapping> found;
    auto present = mappings;
    if (std::ranges::any_of(mappings, away)) {
        std::ranges::remove_copy_if(mappings, std::back_inserter(found), away);
        present = found;
    }
    edit_elements<Mapping>(batch, edit, sets.exact, 0, present, exact_element, exact_text);
    edit_elements<Mapping>(batch, edit, sets.exact_flows, 0, present, exact_flow_element,
                           exact_flow_text);
    edit_elements<Mapping>(batch, edit, sets.owners, 0, present, owner_element, owner_text);
    edit_elements<Mapping>(batch, edit, sets.ports, 0, mappings, port_element, port_text);
    const auto edit_those = [&](const char* set, const auto& have) {
        std::vector<Mapping> those;
        std::ranges::copy_if(mappings, std::back_inserter(those), have, &Mapping::filtering);
        edit_elements<Mapping>(batch, edit, set, 0, those, port_element, port_text);
    };
    edit_those(sets.endpoint_independent,
               [](Filtering filtering) { return filtering == Filtering::endpoint_independent; });
    edit_those(sets.without_contacts,
               [](Filtering filtering) { return filtering != Filtering::address_dependent; });
}

}  // namespace

void edit_mappings(netlink::Batch& batch, Edit edit, std::span<const Mapping> mappings) {
    const auto sets_of = [](const Mapping& mapping) {
        if (mapping.family == Family::ipv6) return &nat66_sets;
        return mapping.external_address.is_any() ? &any_address_sets : &fixed_address_sets;
    };
    const auto usual = [&](const Mapping& mapping) {
        return sets_of(mapping) == &any_address_sets;
    };
    if (std::ranges::all_of(mappings, usual)) {
        return edit_mappings(batch, edit, mappings, any_address_sets);
    }
    for (const auto* sets : {&any_address_sets, &fixed_address_sets, &nat66_sets}) {
        std::vector<Mapping> those;
        std::ranges::copy_if(mappings, std::back_inserter(those),
                             [&](const Mapping& mapping) { return sets_of(mapping) == sets; });
        edit_mappings(batch, edit, those, *sets);
    }
}

void edit_pinholes(netlink::Batch& batch, Edit edit, std::span<const Pinhole> pinholes) {
    const auto edit_those = [&](const char* set, const auto& have) {
        std::vector<Pinhole> those;
        std::ranges::copy_if(pinholes, std::back_inserter(those), have, &Pinhole::filtering);
        edit_elements<Pinhole>(batch, edit, set, 0, those, pinhole_element, pinhole_text);
    };
    edit_those(sets::pinholes, [](Filtering) { return true; });
    edit_those(sets::open_pinholes,
               [](Filtering filtering) { return filtering == Filtering::endpoint_independent; });
    edit_those(sets::pinholes_without_contacts,
               [](Filtering filtering) { return filtering != Filtering::address_dependent; });
}

void edit_contacts(netlink::Batch& batch, Edit edit, std::span<const Contact> contacts) {
    for (const auto* set :
         {sets::contacts, sets::fixed_contacts, sets::nat66_contacts, sets::pinhole_contacts}) {
        std::vector<Contact> those;
        std::ranges::copy_if(contacts, std::back_inserter(those), [set](const Contact& contact) {
            return std::string_view(set_of(contact)) == set;
        });
        edit_elements<Contact>(batch, edit, set, 0, those, contact_element, contact_text);
    }
}

const char* set_of(const Contact& contact) {
    const bool ipv4 = contact.remote.family() == Family::ipv4;
    if (!contact.at) return ipv4 ? sets::contacts : sets::nat66_contacts;
    return ipv4 ? sets::fixed_contacts : sets::pinhole_contacts;
}

void flush(netlink::Batch& batch, const char* set) {
    add_message(batch, std::string("flush set inet porthole ") + set, NFT_MSG_DELSETELEM, 0,
                [set](nlmsghdr* message) {
                    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table_name);
                    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set);
                });
}

void edit_ports(netlink::Batch& batch, Edit edit, const char* set,
                std::span<const ProtocolPort> ports) {
    edit_elements<ProtocolPort>(
        batch, edit, set, 0, ports,
        [](const ProtocolPort& port) {
            Element element;
            element.key.field(port.protocol).field(port.port);
            return element;
        },
        [](const ProtocolPort& port) {
            return to_text(port.protocol) + " . " + to_text(port.port);
        });
}

void edit_interfaces(netlink::Batch& batch, Edit edit, const char* set,
                     std::span<const InterfaceName> names) {
    edit_elements<InterfaceName>(batch, edit, set, 0, names, interface_element,
                                 [](const InterfaceName& name) { return name.text(); });
}

void edit_networks(netlink::Batch& batch, Edit edit, const char* set,
                   std::span<const Network> networks) {
    const auto all = boundaries(networks);
    edit_elements<Boundary>(batch, edit, set, 0, all, boundary_element,
                            [](const Boundary& boundary) { return to_text(boundary.address); });
}

void edit_addresses(netlink::Batch& batch, Edit edit, const char* set,
                    std::span<const Address> addresses) {
    edit_elements<Address>(
        batch, edit, set, 0, addresses,
        [](const Address& address) {
            Element element;
            element.key.field(address);
            return element;
        },
        [](const Address& address) { return to_text(address); });
}

void add_protocols(netlink::Batch& batch, std::uint32_t set_id,
                   std::span<const Protocol> protocols) {
    edit_elements<Protocol>(
        batch, Edit::add, "__set%d", set_id, protocols,
        [](const Protocol& protocol) {
            Element element;
            element.key.field(protocol).cut(1);
            return element;
        },
        [](const Protocol& protocol) { return to_text(protocol); });
}

}  // namespace porthole::nft
