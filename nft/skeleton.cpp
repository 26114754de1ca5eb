// SPDX-License-Identifier: GPL-2.0-or-later
#include "skeleton.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <span>

#include <libnftnl/chain.h>
#include <libnftnl/object.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter_ipv4.h>

#include "chains.hpp"
#include "elements.hpp"
#include "message.hpp"
#include "rules.hpp"
#include "timeouts.hpp"

namespace porthole::nft {
namespace {

// How nft numbers the types of keys and data (enum datatypes of its datatype.h): `nft list` needs
// them to print elements. Types that are joined take six bits each.
enum class DataType : std::uint32_t {
    ipv4_addr = 7,
    ipv6_addr = 8,
    inet_proto = 12,
    inet_service = 13,
    ifname = 41,
};

constexpr std::uint32_t joined_types(std::initializer_list<DataType> types) {
    std::uint32_t result = 0;
    for (const auto type : types) result = result << 6U | static_cast<std::uint32_t>(type);
    return result;
}

// Of both protocols: more mappings there cannot be.
constexpr std::uint32_t all_ports = 2 * 65536;
// What nearly every gateway can do with: a set of all ports takes the kernel 2 MiB even while it is
// empty, which it has to find and to clear, one of this size 64 KiB.
constexpr std::uint32_t usual_capacity = 4096;
// 1 MiB, the most that fits it: all ports of one protocol, and half of the other's.
constexpr std::uint32_t large_capacity = 98'304;
// More than there are of all kinds.
constexpr std::uint32_t any_number = 1'000'000'000;
// As many of them go into the sets of that size without being counted as mappings.
constexpr int most_watched = 2048;

// Lookups in sets of a size are the quickest.
constexpr std::uint32_t most_interfaces = 256;
constexpr std::uint32_t most_wan_addresses = 4096;

struct SetDescription {
    const char* name;
    std::uint32_t key_type;
    std::uint32_t key_length;
    std::uint32_t flags = 0;
    std::uint32_t data_type = 0;
    std::uint32_t data_length = 0;
    std::uint32_t id = 0;
    bool host_endian_key = false;
    std::uint32_t size = 0;         // 0: unlimited
    std::uint32_t per_mapping = 0;  // how many elements a mapping has at most, instead of a size
    std::uint64_t timeout_ms = 0;   // 0: elements stay
};

// { tcp, udp }
constexpr SetDescription protocol_set(std::uint32_t id) {
    return {.name = "__set%d",
            .key_type = joined_types({DataType::inet_proto}),
            .key_length = 1,
            .flags = NFT_SET_ANONYMOUS | NFT_SET_CONSTANT,
            .id = id};
}

constexpr SetDescription interface_set(const char* name) {
    return {.name = name,
            .key_type = joined_types({DataType::ifname}),
            .key_length = 16,
            .host_endian_key = true,
            .size = most_interfaces};
}

constexpr SetDescription port_set(const char* name, std::uint32_t per_mapping) {
    return {.name = name,
            .key_type = joined_types({DataType::inet_proto, DataType::inet_service}),
            .key_length = 8,
            .per_mapping = per_mapping};
}

constexpr std::uint64_t milliseconds(std::chrono::milliseconds duration) {
    return static_cast<std::uint64_t>(duration.count());
}

constexpr auto service = static_cast<std::uint32_t>(DataType::inet_service);
constexpr std::array set_descriptions{
    // map exact { type inet_proto . ipv4_addr . inet_service : inet_service }
    SetDescription{.name = sets::exact,
                   .key_type = joined_types(
                       {DataType::inet_proto, DataType::ipv4_addr, DataType::inet_service}),
                   .key_length = 12,
                   .flags = NFT_SET_MAP,
                   .data_type = service,
                   .data_length = 2,
                   .per_mapping = 1},
    // set exact-flows { type inet_proto . ipv4_addr . inet_service . inet_service }
    SetDescription{.name = sets::exact_flows,
                   .key_type = joined_types({DataType::inet_proto, DataType::ipv4_addr,
                                             DataType::inet_service, DataType::inet_service}),
                   .key_length = 16,
                   .per_mapping = 1},
    // map owners { type inet_proto . inet_service : ipv4_addr . inet_service }
    SetDescription{.name = sets::owners,
                   .key_type = joined_types({DataType::inet_proto, DataType::inet_service}),
                   .key_length = 8,
                   .flags = NFT_SET_MAP,
                   .data_type = joined_types({DataType::ipv4_addr, DataType::inet_service}),
                   .data_length = 8,
                   .per_mapping = 1},
    // set host-ports { type inet_proto . inet_service }
    port_set(sets::host_ports, 1),
    // set endpoint-independent { type inet_proto . inet_service }
    port_set(sets::endpoint_independent, 0),
    // set without-contacts { type inet_proto . inet_service }
    port_set(sets::without_contacts, 0),
    // set contacts { type inet_proto . ipv4_addr . inet_service; flags dynamic,timeout; … }
    SetDescription{.name = sets::contacts,
                   .key_type = joined_types(
                       {DataType::inet_proto, DataType::ipv4_addr, DataType::inet_service}),
                   .key_length = 12,
                   .flags = NFT_SET_EVAL | NFT_SET_TIMEOUT,
                   .size = most_contacts,
                   .timeout_ms = milliseconds(contact_lifetime)},
    // set undelivered { type inet_proto . inet_service; flags dynamic,timeout; … }
    SetDescription{.name = sets::undelivered,
                   .key_type = joined_types({DataType::inet_proto, DataType::inet_service}),
                   .key_length = 8,
                   .flags = NFT_SET_EVAL | NFT_SET_TIMEOUT,
                   .size = all_ports,
                   .timeout_ms = milliseconds(undelivered_lifetime)},
    // set learners { type ipv4_addr; flags dynamic,timeout; … }
    SetDescription{.name = sets::learners,
                   .key_type = joined_types({DataType::ipv4_addr}),
                   .key_length = 4,
                   .flags = NFT_SET_EVAL | NFT_SET_TIMEOUT,
                   .size = 65536,
                   .timeout_ms = milliseconds(contact_lifetime)},
    // set own-ports { type inet_proto . inet_service }
    port_set(sets::own_ports, 0),
    // set ports { type inet_proto . inet_service }: two of a mapping, the gateway's own, and those
    // that are watched
    port_set(sets::ports, 3),
    // set wans { type ifname }
    interface_set(sets::wans),
    // set masquerade-wans { type ifname }
    interface_set(sets::masquerade_wans),
    // set nat-sources { type ipv4_addr; flags interval }
    SetDescription{sets::nat_sources, joined_types({DataType::ipv4_addr}), 4, NFT_SET_INTERVAL},
    // set exempt { type ipv4_addr; flags interval }
    SetDescription{sets::exempt, joined_types({DataType::ipv4_addr}), 4, NFT_SET_INTERVAL},
    // set wan-addresses { type ipv4_addr }
    SetDescription{.name = sets::wan_addresses,
                   .key_type = joined_types({DataType::ipv4_addr}),
                   .key_length = 4,
                   .size = most_wan_addresses},
    // set collided { type inet_proto . ipv4_addr . inet_service; flags dynamic,timeout; … }
    SetDescription{.name = sets::collided,
                   .key_type = joined_types(
                       {DataType::inet_proto, DataType::ipv4_addr, DataType::inet_service}),
                   .key_length = 12,
                   .flags = NFT_SET_EVAL | NFT_SET_TIMEOUT,
                   .size = 65536,
                   .timeout_ms = 30'000},
};

constexpr SetDescription fixed_port_set(const char* name) {
    return {.name = name,
            .key_type =
                joined_types({DataType::inet_proto, DataType::ipv4_addr, DataType::inet_service}),
            .key_length = 12};
}

constexpr SetDescription place_map(const char* name) {
    auto map = fixed_port_set(name);
    map.flags = NFT_SET_MAP;
    map.data_type = joined_types({DataType::ipv4_addr, DataType::inet_service});
    map.data_length = 8;
    return map;
}

// For tables that have fixed external addresses.
constexpr std::array fixed_set_descriptions{
    // map fixed { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service }
    place_map(sets::fixed),
    // set fixed-flows { type inet_proto . ipv4_addr . inet_service . ipv4_addr . inet_service }
    SetDescription{
        .name = sets::fixed_flows,
        .key_type = joined_types({DataType::inet_proto, DataType::ipv4_addr, DataType::inet_service,
                                  DataType::ipv4_addr, DataType::inet_service}),
        .key_length = 20},
    // map fixed-owners { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service }
    place_map(sets::fixed_owners),
    // set fixed-ports { type inet_proto . ipv4_addr . inet_service }
    fixed_port_set(sets::fixed_ports),
    // set bound-ports { type inet_proto . inet_service }
    port_set(sets::bound_ports, 0),
    fixed_port_set(sets::fixed_endpoint_independent),
    fixed_port_set(sets::fixed_without_contacts),
    // set fixed-contacts { type inet_proto . ipv4_addr . ipv4_addr . inet_service; … }
    SetDescription{.name = sets::fixed_contacts,
                   .key_type = joined_types({DataType::inet_proto, DataType::ipv4_addr,
                                             DataType::ipv4_addr, DataType::inet_service}),
                   .key_length = 16,
                   .flags = NFT_SET_EVAL | NFT_SET_TIMEOUT,
                   .size = most_contacts,
                   .timeout_ms = milliseconds(contact_lifetime)},
};

// For tables that translate IPv6.
constexpr std::array nat66_set_descriptions{
    // map nat66 { type inet_proto . ipv6_addr . inet_service : inet_service }
    SetDescription{.name = sets::nat66,
                   .key_type = joined_types(
                       {DataType::inet_proto, DataType::ipv6_addr, DataType::inet_service}),
                   .key_length = 24,
                   .flags = NFT_SET_MAP,
                   .data_type = service,
                   .data_length = 2},
    // set nat66-flows { type inet_proto . ipv6_addr . inet_service . inet_service }
    SetDescription{.name = sets::nat66_flows,
                   .key_type = joined_types({DataType::inet_proto, DataType::ipv6_addr,
                                             DataType::inet_service, DataType::inet_service}),
                   .key_length = 28},
    // map nat66-owners { type inet_proto . inet_service : ipv6_addr . inet_service }
    SetDescription{.name = sets::nat66_owners,
                   .key_type = joined_types({DataType::inet_proto, DataType::inet_service}),
                   .key_length = 8,
                   .flags = NFT_SET_MAP,
                   .data_type = joined_types({DataType::ipv6_addr, DataType::inet_service}),
                   .data_length = 20},
    port_set(sets::nat66_ports, 0),
    port_set(sets::nat66_endpoint_independent, 0),
    port_set(sets::nat66_without_contacts, 0),
    // set nat66-contacts { type inet_proto . ipv6_addr . inet_service; flags dynamic,timeout; … }
    SetDescription{.name = sets::nat66_contacts,
                   .key_type = joined_types(
                       {DataType::inet_proto, DataType::ipv6_addr, DataType::inet_service}),
                   .key_length = 24,
                   .flags = NFT_SET_EVAL | NFT_SET_TIMEOUT,
                   .size = most_contacts,
                   .timeout_ms = milliseconds(contact_lifetime)},
    // set nat66-undelivered { type inet_proto . inet_service; flags dynamic,timeout; … }
    SetDescription{.name = sets::nat66_undelivered,
                   .key_type = joined_types({DataType::inet_proto, DataType::inet_service}),
                   .key_length = 8,
                   .flags = NFT_SET_EVAL | NFT_SET_TIMEOUT,
                   .size = all_ports,
                   .timeout_ms = milliseconds(undelivered_lifetime)},
    // set nat66-learners { type ipv6_addr; flags dynamic,timeout; … }
    SetDescription{.name = sets::nat66_learners,
                   .key_type = joined_types({DataType::ipv6_addr}),
                   .key_length = 16,
                   .flags = NFT_SET_EVAL | NFT_SET_TIMEOUT,
                   .size = 65536,
                   .timeout_ms = milliseconds(contact_lifetime)},
    // set ipv6-nat-sources { type ipv6_addr; flags interval }
    SetDescription{sets::ipv6_nat_sources, joined_types({DataType::ipv6_addr}), 16,
                   NFT_SET_INTERVAL},
    // set ipv6-wan-addresses { type ipv6_addr }
    SetDescription{.name = sets::ipv6_wan_addresses,
                   .key_type = joined_types({DataType::ipv6_addr}),
                   .key_length = 16,
                   .size = most_wan_addresses},
    // set ipv6-collided { type inet_proto . ipv6_addr . inet_service; flags dynamic,timeout; … }
    SetDescription{.name = sets::ipv6_collided,
                   .key_type = joined_types(
                       {DataType::inet_proto, DataType::ipv6_addr, DataType::inet_service}),
                   .key_length = 24,
                   .flags = NFT_SET_EVAL | NFT_SET_TIMEOUT,
                   .size = 65536,
                   .timeout_ms = 30'000},
};

constexpr SetDescription pinhole_set(const char* name) {
    return {.name = name,
            .key_type =
                joined_types({DataType::inet_proto, DataType::ipv6_addr, DataType::inet_service}),
            .key_length = 24};
}

// For tables that have pinholes.
constexpr std::array pinhole_set_descriptions{
    // set pinholes { type inet_proto . ipv6_addr . inet_service }
    pinhole_set(sets::pinholes),
    pinhole_set(sets::open_pinholes),
    pinhole_set(sets::pinholes_without_contacts),
    // set pinhole-contacts { type inet_proto . ipv6_addr . ipv6_addr . inet_service; … }
    SetDescription{.name = sets::pinhole_contacts,
                   .key_type = joined_types({DataType::inet_proto, DataType::ipv6_addr,
                                             DataType::ipv6_addr, DataType::inet_service}),
                   .key_length = 40,
                   .flags = NFT_SET_EVAL | NFT_SET_TIMEOUT,
                   .size = most_contacts,
                   .timeout_ms = milliseconds(contact_lifetime)},
    // set undelivered-pinholes { type inet_proto . ipv6_addr . inet_service; … }
    SetDescription{.name = sets::undelivered_pinholes,
                   .key_type = joined_types(
                       {DataType::inet_proto, DataType::ipv6_addr, DataType::inet_service}),
                   .key_length = 24,
                   .flags = NFT_SET_EVAL | NFT_SET_TIMEOUT,
                   .size = 65536,
                   .timeout_ms = milliseconds(undelivered_lifetime)},
    // set pinhole-learners { type ipv6_addr; flags dynamic,timeout; … }
    SetDescription{.name = sets::pinhole_learners,
                   .key_type = joined_types({DataType::ipv6_addr}),
                   .key_length = 16,
                   .flags = NFT_SET_EVAL | NFT_SET_TIMEOUT,
                   .size = 65536,
                   .timeout_ms = milliseconds(contact_lifetime)},
};

struct ChainDescription {
    const char* name;
    const char* type;  // nothing: no base chain
    std::uint32_t hook;
    std::int32_t priority;
};

constexpr std::array chain_descriptions{
    // before the chains that jump there
    ChainDescription{chains::reserved, nullptr, 0, 0},
    ChainDescription{chains::stopped, nullptr, 0, 0},
    ChainDescription{chains::learning, nullptr, 0, 0},
    ChainDescription{chains::guarded, nullptr, 0, 0},
    ChainDescription{chains::inbound, nullptr, 0, 0},
    ChainDescription{chains::hairpin, nullptr, 0, 0},
    ChainDescription{chains::sent_on, nullptr, 0, 0},
    // type nat hook prerouting priority dstnat - 10: before everybody else's destination NAT
    ChainDescription{chains::to_owner, "nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST - 10},
    // type nat hook postrouting priority srcnat - 10: before everybody else's source NAT
    ChainDescription{chains::source_nat, "nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC - 10},
    // type filter hook postrouting priority srcnat + 10: after everybody's source NAT
    ChainDescription{chains::guard, "filter", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC + 10},
    // type filter hook input priority filter - 10: after every destination NAT
    ChainDescription{chains::unsolicited, "filter", NF_INET_LOCAL_IN, NF_IP_PRI_FILTER - 10},
};

constexpr std::array fixed_chain_descriptions{
    ChainDescription{chains::fixed_learning, nullptr, 0, 0},
    ChainDescription{chains::fixed_inbound, nullptr, 0, 0},
};

constexpr std::array nat66_chain_descriptions{
    ChainDescription{chains::nat66_learning, nullptr, 0, 0},
    ChainDescription{chains::nat66_inbound, nullptr, 0, 0},
    ChainDescription{chains::nat66_hairpin, nullptr, 0, 0},
};

constexpr std::array pinhole_chain_descriptions{
    ChainDescription{chains::open_pinhole, nullptr, 0, 0},
    ChainDescription{chains::pinhole, nullptr, 0, 0},
    ChainDescription{chains::pinhole_learning, nullptr, 0, 0},
};

// Puts an empty table in the place of the one that is there, or none.
void begin_anew(netlink::Batch& batch, bool with_table) {
    const std::unique_ptr<nftnl_table, Free<nftnl_table_free>> table(nftnl_table_alloc());
    if (!table) throw std::bad_alloc();
    nftnl_table_set_str(table.get(), NFTNL_TABLE_NAME, table_name);
    const auto payload = [&table](nlmsghdr* message) {
        nftnl_table_nlmsg_build_payload(message, table.get());
    };
    // Adding a table that is there does nothing, so the deletion always finds one.
    add_message(batch, "add table inet porthole", NFT_MSG_NEWTABLE, NLM_F_CREATE, payload);
    add_message(batch, "delete table inet porthole", NFT_MSG_DELTABLE, 0, payload);
    if (!with_table) return;
    add_message(batch, "add table inet porthole", NFT_MSG_NEWTABLE, NLM_F_CREATE, payload);
}

// A table of a fixed size is the fastest to fill and to look up in.
std::uint32_t size_of(const SetDescription& description, std::uint32_t capacity) {
    if (description.per_mapping == 0) return description.size;
    return std::min(capacity * description.per_mapping, all_ports);
}

void add_set(netlink::Batch& batch, const SetDescription& description, std::uint32_t capacity) {
    const std::unique_ptr<nftnl_set, Free<nftnl_set_free>> set(nftnl_set_alloc());
    if (!set) throw std::bad_alloc();
    nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, table_name);
    nftnl_set_set_str(set.get(), NFTNL_SET_NAME, description.name);
    nftnl_set_set_u32(set.get(), NFTNL_SET_ID, description.id);
    nftnl_set_set_u32(set.get(), NFTNL_SET_FLAGS, description.flags);
    nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_TYPE, description.key_type);
    nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_LEN, description.key_length);
    const auto size = size_of(description, capacity);
    if (size != 0) nftnl_set_set_u32(set.get(), NFTNL_SET_DESC_SIZE, size);
    if (description.timeout_ms != 0) {
        nftnl_set_set_u64(set.get(), NFTNL_SET_TIMEOUT, description.timeout_ms);
    }
    if (description.host_endian_key) {
        // What `nft list` goes by; without it names would be read backwards.
        const std::unique_ptr<nftnl_udata_buf, Free<nftnl_udata_buf_free>> user_data(
            nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN));
        if (!user_data) throw std::bad_alloc();
        constexpr std::uint32_t host_endian = 1;  // enum byteorder of nft's datatype.h
        nftnl_udata_put_u32(user_data.get(), NFTNL_UDATA_SET_KEYBYTEORDER, host_endian);
        nftnl_set_set_data(set.get(), NFTNL_SET_USERDATA, nftnl_udata_buf_data(user_data.get()),
                           nftnl_udata_buf_len(user_data.get()));
    }
    if (description.data_length != 0) {
        nftnl_set_set_u32(set.get(), NFTNL_SET_DATA_TYPE, description.data_type);
        nftnl_set_set_u32(set.get(), NFTNL_SET_DATA_LEN, description.data_length);
    }
    add_message(batch, std::string("add set inet porthole ") + description.name, NFT_MSG_NEWSET,
                NLM_F_CREATE | NLM_F_EXCL,
                [&set](nlmsghdr* message) { nftnl_set_nlmsg_build_payload(message, set.get()); });
}

void add_sets(netlink::Batch& batch, std::span<const SetDescription> descriptions,
              std::uint32_t capacity) {
    for (const auto& set : descriptions) add_set(batch, set, capacity);
}

void add_protocol_sets(netlink::Batch& batch, std::uint32_t first, std::uint32_t end) {
    for (auto id = first; id != end; ++id) {
        add_set(batch, protocol_set(id), 0);
        add_protocols(batch, id, reservable_protocols);
    }
}

void add_chain(netlink::Batch& batch, const ChainDescription& description) {
    const std::unique_ptr<nftnl_chain, Free<nftnl_chain_free>> chain(nftnl_chain_alloc());
    if (!chain) throw std::bad_alloc();
    nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TABLE, table_name);
    nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_NAME, description.name);
    if (description.type != nullptr) {
        nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TYPE, description.type);
        nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_HOOKNUM, description.hook);
        nftnl_chain_set_s32(chain.get(), NFTNL_CHAIN_PRIO, description.priority);
        nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_POLICY, NF_ACCEPT);
    }
    add_message(batch, std::string("add chain inet porthole ") + description.name, NFT_MSG_NEWCHAIN,
                NLM_F_CREATE, [&chain](nlmsghdr* message) {
                    nftnl_chain_nlmsg_build_payload(message, chain.get());
                });
}

void add_counter(netlink::Batch& batch, const char* name, std::uint64_t packets) {
    const std::unique_ptr<nftnl_obj, Free<nftnl_obj_free>> counter(nftnl_obj_alloc());
    if (!counter) throw std::bad_alloc();
    nftnl_obj_set_str(counter.get(), NFTNL_OBJ_TABLE, table_name);
    nftnl_obj_set_str(counter.get(), NFTNL_OBJ_NAME, name);
    nftnl_obj_set_u32(counter.get(), NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
    nftnl_obj_set_u64(counter.get(), NFTNL_OBJ_CTR_PKTS, packets);
    nftnl_obj_set_u64(counter.get(), NFTNL_OBJ_CTR_BYTES, 0);
    add_message(
        batch, std::string("add counter inet porthole ") + name, NFT_MSG_NEWOBJ, NLM_F_CREATE,
        [&counter](nlmsghdr* message) { nftnl_obj_nlmsg_build_payload(message, counter.get()); });
}

// Rules for others speak of them, too.
void add_pinhole_sets(netlink::Batch& batch, const Shape& shape) {
    add_sets(batch, pinhole_set_descriptions, shape.capacity);
    add_protocol_sets(batch, let_in_protocols, end_of_pinhole_protocol_sets);
}

void add_pinhole_chains(netlink::Batch& batch, const Shape& shape) {
    for (const auto& chain : pinhole_chain_descriptions) add_chain(batch, chain);
    add_pinhole_rules(batch, shape);
}

std::uint32_t capacity_for(const Firewall& firewall) {
    const auto& watched = firewall.scope.watched;
    const bool few_watched =
        !watched || watched->last().value() - watched->first().value() < most_watched;
    const auto reserved = firewall.mappings.size() + firewall.pinholes.size();
    if (reserved <= usual_capacity && few_watched) return usual_capacity;
    return reserved <= large_capacity ? large_capacity : any_number;
}

}  // namespace

std::size_t count_fixed(std::span<const Mapping> mappings) {
    return static_cast<std::size_t>(std::ranges::count_if(
        mappings, [](const Mapping& mapping) { return !mapping.external_address.is_any(); }));
}

Shape shape_for(const Firewall& firewall, bool timeouts) {
    const auto& scope = firewall.scope;
    return {.pool = scope.pool,
            .masquerades = !scope.masquerade_wans.empty(),
            .exempts = !scope.exempt.empty(),
            .pinholes = !firewall.pinholes.empty() || scope.watches_moves,
            .fixed = count_fixed(firewall.mappings) != 0,
            .nat66 = scope.nat66,
            .watched = scope.watched,
            .watches_moves = scope.watches_moves,
            .capacity = capacity_for(firewall),
            .udp_timeout = timeouts ? std::optional(scope.udp_timeout) : std::nullopt};
}

void remove_table(netlink::Batch& batch) { begin_anew(batch, false); }

void replace_skeleton(netlink::Batch& batch, const Shape& shape, const FirewallCounters& counted) {
    begin_anew(batch, true);
    add_counter(batch, counters::unsolicited, counted.unsolicited);
    add_counter(batch, counters::displaced, counted.displaced);
    add_counter(batch, counters::guarded, counted.guarded);
    add_counter(batch, counters::contacts_refused, counted.contacts_refused);
    if (shape.udp_timeout) add_timeouts(batch, *shape.udp_timeout);
    add_sets(batch, set_descriptions, shape.capacity);
    add_protocol_sets(batch, displaced_protocols, end_of_usual_protocol_sets);
    if (shape.fixed) {
        add_sets(batch, fixed_set_descriptions, shape.capacity);
        add_protocol_sets(batch, fixed_protocols, end_of_fixed_protocol_sets);
        for (const auto& chain : fixed_chain_descriptions) add_chain(batch, chain);
    }
    if (shape.nat66) {
        add_sets(batch, nat66_set_descriptions, shape.capacity);
        add_protocol_sets(batch, nat66_protocols, end_of_nat66_protocol_sets);
        for (const auto& chain : nat66_chain_descriptions) add_chain(batch, chain);
    }
    if (shape.pinholes) add_pinhole_sets(batch, shape);
    for (const auto& chain : chain_descriptions) add_chain(batch, chain);
    add_outbound_rules(batch, shape);
    add_inbound_rules(batch, shape);
    if (shape.pinholes) add_pinhole_chains(batch, shape);
}

void add_pinhole_skeleton(netlink::Batch& batch, const Shape& shape) {
    add_pinhole_sets(batch, shape);
    add_pinhole_chains(batch, shape);
}

}  // namespace porthole::nft
