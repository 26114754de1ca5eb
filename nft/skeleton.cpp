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

#include "elements.hpp"
#include "message.hpp"
#include "rule.hpp"

namespace porthole::nft {
namespace {

// How nft numbers the types of keys and data (enum datatypes of its datatype.h): `nft list` needs
// them to print elements. Types that are joined take six bits each.
enum class DataType : std::uint32_t {
    ipv4_addr = 7,
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
// empty, one of this size 64 KiB.
constexpr std::uint32_t usual_capacity = 4096;
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

// An anonymous set { tcp, udp } belongs to one rule; these are the ids of all of them.
enum ProtocolSet : std::uint32_t {
    exact_protocols = 1,
    displaced_protocols,
    own_displaced_protocols,
    guarded_protocols,
    collided_protocols,
    stopped_protocols,
    learnt_protocols,
    open_protocols,
    contacted_protocols,
    delivered_protocols,
    neighbour_protocols,
    hairpin_protocols,
    hairpin_owner_protocols,
    hairpin_displaced_protocols,
    hairpin_own_protocols,
    end_of_protocol_sets,
};
constexpr std::array reservable_protocols{Protocol::tcp, Protocol::udp};

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
    // set ports { type inet_proto . inet_service }: two of a mapping, and the gateway's own and
    // those
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

struct ChainDescription {
    const char* name;
    const char* type;  // nothing: no base chain
    std::uint32_t hook;
    std::int32_t priority;
};

constexpr auto source_nat = "source-nat";
constexpr auto guard = "guard";
constexpr auto reserved = "reserved";
constexpr auto guarded = "guarded";
constexpr auto stopped = "stopped";
constexpr auto learning = "learning";
constexpr auto to_owner = "to-owner";
constexpr auto inbound = "inbound";
constexpr auto reserved_udp = "reserved-udp";
constexpr auto reserved_tcp = "reserved-tcp";
constexpr auto sent_on = "sent-on";
constexpr auto hairpin = "hairpin";
constexpr auto unsolicited = "unsolicited";
constexpr std::array chain_descriptions{
    // before the chains that jump there
    ChainDescription{reserved, nullptr, 0, 0},
    ChainDescription{stopped, nullptr, 0, 0},
    ChainDescription{learning, nullptr, 0, 0},
    ChainDescription{guarded, nullptr, 0, 0},
    ChainDescription{inbound, nullptr, 0, 0},
    ChainDescription{hairpin, nullptr, 0, 0},
    ChainDescription{sent_on, nullptr, 0, 0},
    // type nat hook prerouting priority dstnat - 10: before everybody else's destination NAT
    ChainDescription{to_owner, "nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST - 10},
    // type nat hook postrouting priority srcnat - 10: before everybody else's source NAT
    ChainDescription{source_nat, "nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC - 10},
    // type filter hook postrouting priority srcnat + 10: after everybody's source NAT
    ChainDescription{guard, "filter", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC + 10},
    // type filter hook input priority filter - 10: after every destination NAT
    ChainDescription{unsolicited, "filter", NF_INET_LOCAL_IN, NF_IP_PRI_FILTER - 10},
};

void add_table(netlink::Batch& batch) {
    const std::unique_ptr<nftnl_table, Free<nftnl_table_free>> table(nftnl_table_alloc());
    if (!table) throw std::bad_alloc();
    nftnl_table_set_str(table.get(), NFTNL_TABLE_NAME, table_name);
    const auto payload = [&table](nlmsghdr* message) {
        nftnl_table_nlmsg_build_payload(message, table.get());
    };
    // Adding a table that is there does nothing, so the deletion always finds one.
    add_message(batch, "add table inet porthole", NFT_MSG_NEWTABLE, NLM_F_CREATE, payload);
    add_message(batch, "delete table inet porthole", NFT_MSG_DELTABLE, 0, payload);
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

void add_timeout(netlink::Batch& batch, const char* name, Protocol protocol,
                 std::span<const std::uint32_t> seconds) {
    const std::unique_ptr<nftnl_obj, Free<nftnl_obj_free>> object(nftnl_obj_alloc());
    if (!object) throw std::bad_alloc();
    nftnl_obj_set_str(object.get(), NFTNL_OBJ_TABLE, table_name);
    nftnl_obj_set_str(object.get(), NFTNL_OBJ_NAME, name);
    nftnl_obj_set_u32(object.get(), NFTNL_OBJ_TYPE, NFT_OBJECT_CT_TIMEOUT);
    nftnl_obj_set_u16(object.get(), NFTNL_OBJ_CT_TIMEOUT_L3PROTO, NFPROTO_IPV4);
    nftnl_obj_set_u8(object.get(), NFTNL_OBJ_CT_TIMEOUT_L4PROTO,
                     static_cast<std::uint8_t>(protocol));
    nftnl_obj_set_data(object.get(), NFTNL_OBJ_CT_TIMEOUT_ARRAY, seconds.data(),
                       static_cast<std::uint32_t>(seconds.size_bytes()));
    add_message(
        batch, std::string(add_timeout_command) + name, NFT_MSG_NEWOBJ, NLM_F_CREATE,
        [&object](nlmsghdr* message) { nftnl_obj_nlmsg_build_payload(message, object.get()); });
}

void add_timeouts(netlink::Batch& batch, std::chrono::seconds udp) {
    const auto seconds = static_cast<std::uint32_t>(udp.count());
    add_timeout(batch, reserved_udp, Protocol::udp, std::array{seconds, seconds});
    // RFC 5382 REQ-5: four minutes for what is opening or closing. The rest is as the kernel has
    // it.
    constexpr std::uint32_t transitory = 240;
    constexpr std::uint32_t established = 432'000;
    constexpr std::uint32_t close = 10;
    constexpr std::uint32_t not_acknowledged = 300;
    // SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE, SYN_SENT2,
    // RETRANS, UNACK (enum tcp_conntrack of the kernel)
    add_timeout(batch, reserved_tcp, Protocol::tcp,
                std::array{transitory, transitory, established, transitory, transitory, transitory,
                           transitory, close, transitory, not_acknowledged, not_acknowledged});
}

// Each of them leaves flows of the other protocol alone.
std::string set_timeouts(Rule& rule, const Shape& shape) {
    if (!shape.udp_timeout) return {};
    rule.ct_timeout(reserved_udp).ct_timeout(reserved_tcp);
    return "ct timeout set \"reserved-udp\" ct timeout set \"reserved-tcp\" ";
}

// What every flow must be that this chain translates: it leaves through a WAN, and neither comes
// from the gateway itself (its sockets' flows come from no interface, its tunnels' from themselves)
// nor goes to an exempt destination. The rule knows already that it is IPv4.
Rule& translated(Rule& rule) {
    return rule.meta_is_not(NFT_META_IIF, 0, 4)
        .meta(NFT_META_OIFNAME)
        .in(sets::wans)
        .ipv4_address(End::source)
        .not_in(sets::wan_addresses)
        .ipv4_address(End::destination)
        .not_in(sets::exempt);
}
constexpr auto translated_text =
    "iif != 0 oifname @wans ip saddr != @wan-addresses ip daddr != @exempt ";

// A nat chain sees the first packet of a flow only: established flows do not pay for it. Each rule
// begins with the lookup that the flows of others fail.
void add_source_nat_rules(netlink::Batch& batch, const Shape& shape) {
    const auto to_pool = "meta l4proto { tcp, udp } counter name \"displaced\" masquerade to :" +
                         to_text(shape.pool);
    Rule(source_nat)
        .meta(NFT_META_L4PROTO, Register::first)
        .port(End::source, Register::second)
        .in(sets::ports)
        .jump(reserved)
        .add_to(batch, "meta l4proto . th sport @ports jump reserved");
    // What the guard stopped a moment ago: left to others, its next try might be stopped again. The
    // guard has seen that its source is translated, whoever's network it is in.
    Rule collided(source_nat);
    collided.ipv4()
        .meta(NFT_META_L4PROTO, Register::first)
        .ipv4_address(End::source, Register::second)
        .port(End::source, Register::third)
        .in(sets::collided);
    translated(collided)
        .meta(NFT_META_L4PROTO)
        .in_anonymous(collided_protocols)
        .counter(counters::displaced)
        .masquerade_to(shape.pool)
        .add_to(batch, "meta l4proto . ip saddr . th sport @collided " +
                           std::string(translated_text) + to_pool);
    if (shape.masquerades) {
        Rule others(source_nat);
        others.meta(NFT_META_OIFNAME).in(sets::masquerade_wans).ipv4();
        translated(others)
            .ipv4_address(End::source)
            .in(sets::nat_sources)
            .masquerade()
            .add_to(batch, "oifname @masquerade-wans " + std::string(translated_text) +
                               "ip saddr @nat-sources masquerade");
    }

    Rule owned(reserved);
    owned.ipv4()
        .meta(NFT_META_L4PROTO, Register::first)
        .ipv4_address(End::source, Register::second)
        .port(End::source, Register::third)
        .map(sets::exact, Register::fifth);
    // No gateway has a mapping: two questions less than for others.
    owned.meta(NFT_META_OIFNAME)
        .in(sets::wans)
        .ipv4_address(End::destination)
        .not_in(sets::exempt)
        .ipv4_address(End::source)
        .in(sets::nat_sources)
        .meta(NFT_META_L4PROTO)
        .in_anonymous(exact_protocols);
    const auto timeout = set_timeouts(owned, shape);
    owned.masquerade_to_port(Register::fifth)
        .add_to(batch,
                "oifname @wans ip daddr != @exempt ip saddr @nat-sources "
                "meta l4proto { tcp, udp } " +
                    timeout + "masquerade to :meta l4proto . ip saddr . th sport map @exact");
    if (shape.watched) {
        // An IP header with all its options, and the ports.
        constexpr std::uint32_t headers = 64;
        constexpr std::uint16_t packets_at_once = 16;
        Rule watched(reserved);
        watched.ipv4()
            .meta_is(NFT_META_L4PROTO, static_cast<std::uint32_t>(Protocol::udp), 1)
            .port_in(End::source, *shape.watched);
        translated(watched)
            .ipv4_address(End::source)
            .in(sets::nat_sources)
            .log(watch_group, headers, packets_at_once)
            .add_to(batch, "udp sport " + to_text(*shape.watched) + " " + translated_text +
                               "ip saddr @nat-sources log group " + std::to_string(watch_group) +
                               " snaplen 64 queue-threshold 16");
    }
    // Whoever gets here from a port that is somebody's outside, or the gateway's, does not own it.
    for (const auto& [set, id] : {std::pair(sets::host_ports, displaced_protocols),
                                  std::pair(sets::own_ports, own_displaced_protocols)}) {
        Rule displaced(reserved);
        displaced.meta(NFT_META_L4PROTO, Register::first)
            .port(End::source, Register::second)
            .in(set)
            .ipv4();
        translated(displaced)
            .ipv4_address(End::source)
            .in(sets::nat_sources)
            .meta(NFT_META_L4PROTO)
            .in_anonymous(id)
            .counter(counters::displaced)
            .masquerade_to(shape.pool)
            .add_to(batch, "meta l4proto . th sport @" + std::string(set) + " " +
                               std::string(translated_text) + "ip saddr @nat-sources " + to_pool);
    }
}

// When flows from other ports collide, the kernel picks a port at random, perhaps somebody's: the
// packet is dropped, and the flow's next try leaves from the pool. This chain is on the path of
// every packet, so what costs least and stops most comes first: replies, and what has been replied
// to, are not new. Owners leave it as soon as they are known, for where contacts are learnt.
void add_guard_rules(netlink::Batch& batch) {
    Rule(guard)
        .new_flow()
        .meta(NFT_META_L4PROTO, Register::first)
        .port(End::source, Register::second)
        .in(sets::ports)
        .jump(guarded)
        .add_to(batch, "ct state == new meta l4proto . th sport @ports jump guarded");
    // Owners go on; then whoever shows a WAN's address, but did not begin with it. The gateway's
    // own flows did.
    Rule(guarded)
        .meta(NFT_META_L4PROTO)
        .in_anonymous(guarded_protocols)
        .meta(NFT_META_L4PROTO, Register::first)
        .original(NFT_CT_SRC_IP, Register::second)
        .original(NFT_CT_PROTO_SRC, Register::third)
        .port(End::source, Register::fourth)
        .in(sets::exact_flows)
        .go_to(learning)
        .add_to(batch,
                "meta l4proto { tcp, udp } meta l4proto . ct original ip saddr . "
                "ct original proto-src . th sport @exact-flows goto learning");
    for (const auto* const set : {sets::host_ports, sets::own_ports}) {
        Rule disguised(guarded);
        disguised.meta(NFT_META_L4PROTO, Register::first)
            .port(End::source, Register::second)
            .in(set)
            .meta(NFT_META_OIFNAME)
            .in(sets::wans)
            .ipv4()
            .ipv4_address(End::source)
            .in(sets::wan_addresses)
            .original(NFT_CT_SRC_IP, Register::first)
            .not_in(sets::wan_addresses)
            .jump(stopped)
            .add_to(batch, "meta l4proto . th sport @" + std::string(set) +
                               " oifname @wans ip saddr @wan-addresses "
                               "ct original ip saddr != @wan-addresses jump stopped");
    }
    Rule(stopped)
        .meta(NFT_META_L4PROTO)
        .in_anonymous(stopped_protocols)
        .meta(NFT_META_L4PROTO, Register::first)
        .original(NFT_CT_SRC_IP, Register::second)
        .original(NFT_CT_PROTO_SRC, Register::third)
        .add_to_set(sets::collided)
        .add_to(batch,
                "meta l4proto { tcp, udp } add @collided { meta l4proto . ct original ip saddr . "
                "ct original proto-src }");
    // A rule of its own: a full set ends the one above.
    Rule(stopped)
        .counter(counters::guarded)
        .verdict(NF_DROP)
        .add_to(batch, "counter name \"guarded\" drop");
}

// Whom an owner sends to, that one may answer from any port. First packets are enough: where a flow
// lives on, conntrack knows of it, and its contact is renewed from there (renew()). The limit
// sees only remotes that are no contacts yet.
void add_learning_rules(netlink::Batch& batch) {
    const auto contact = [](Rule& rule) -> Rule& {
        return rule.ipv4()
            .meta(NFT_META_L4PROTO, Register::first)
            .ipv4_address(End::destination, Register::second)
            .port(End::source, Register::third);
    };
    Rule known(learning);
    contact(known)
        .in(sets::contacts)
        .verdict(NFT_RETURN)
        .add_to(batch, "meta l4proto . ip daddr . th sport @contacts return");
    Rule(learning)
        .meta(NFT_META_L4PROTO, Register::first)
        .port(End::source, Register::second)
        .in(sets::without_contacts)
        .verdict(NFT_RETURN)
        .add_to(batch, "meta l4proto . th sport @without-contacts return");
    Rule(learning)
        .meta(NFT_META_OIFNAME)
        .not_in(sets::wans)
        .verdict(NFT_RETURN)
        .add_to(batch, "oifname != @wans return");
    Rule(learning)
        .ipv4()
        .original(NFT_CT_SRC_IP, Register::first)
        .over_limit(sets::learners, contacts_per_second, contacts_at_once)
        .counter(counters::contacts_refused)
        .verdict(NFT_RETURN)
        .add_to(batch,
                "update @learners { ct original ip saddr limit rate over 1/second burst 400 "
                "packets } counter name \"contacts-refused\" return");
    Rule learnt(learning);
    learnt.meta(NFT_META_L4PROTO).in_anonymous(learnt_protocols);
    contact(learnt)
        .add_to_set(sets::contacts)
        .verdict(NFT_RETURN)
        .add_to(batch,
                "meta l4proto { tcp, udp } add @contacts { meta l4proto . ip daddr . th sport } "
                "return");
    // Only where the set is full.
    Rule(learning)
        .counter(counters::contacts_refused)
        .add_to(batch, "counter name \"contacts-refused\"");
}

// dnat ip to meta l4proto . th dport map @owners
Rule& send_to_owner(Rule& rule) {
    return rule.meta(NFT_META_L4PROTO, Register::first)
        .port(End::destination, Register::second)
        .map(sets::owners, Register::first);
}
constexpr auto dnat_text = "dnat ip to meta l4proto . th dport map @owners";

// Who may come in unasked goes to the owner; everybody else goes where he went without us: to a
// port forward of others', or to the gateway, where he is stopped. It is a nat chain: established
// flows do not pay for it.
void add_to_owner_rules(netlink::Batch& batch, const Shape& shape) {
    Rule(to_owner)
        .ipv4()
        .ipv4_address(End::destination)
        .in(sets::wan_addresses)
        .meta(NFT_META_L4PROTO, Register::first)
        .port(End::destination, Register::second)
        .in(sets::host_ports)
        .jump(inbound)
        .add_to(batch, "ip daddr @wan-addresses meta l4proto . th dport @host-ports jump inbound");
    // A neighbour in the owner's own house: hairpinning (RFC 4787 REQ-9), whatever the filtering,
    // as they reach each other without us, too.
    Rule neighbour(inbound);
    neighbour.meta(NFT_META_IIFNAME)
        .not_in(sets::wans)
        .ipv4()
        .ipv4_address(End::source)
        .in(sets::nat_sources)
        .meta(NFT_META_L4PROTO)
        .in_anonymous(neighbour_protocols);
    send_to_owner(neighbour);
    const auto timeout = set_timeouts(neighbour, shape);
    neighbour.dnat_ipv4_to(Register::first, Register::second)
        .add_to(batch, "iifname != @wans ip saddr @nat-sources meta l4proto { tcp, udp } " +
                           timeout + dnat_text);
    Rule(inbound)
        .meta(NFT_META_IIFNAME)
        .not_in(sets::wans)
        .verdict(NFT_RETURN)
        .add_to(batch, "iifname != @wans return");

    const auto let_in = [&](Rule& rule, std::uint32_t protocols, const std::string& text) {
        rule.meta(NFT_META_L4PROTO).in_anonymous(protocols);
        send_to_owner(rule)
            .meta(NFT_META_L4PROTO, Register::third)
            .port(End::destination, Register::fourth)
            .add_to_set(sets::undelivered, Register::third);
        const auto set = set_timeouts(rule, shape);
        rule.dnat_ipv4_to(Register::first, Register::second)
            .add_to(batch, text +
                               " meta l4proto { tcp, udp } "
                               "add @undelivered { meta l4proto . th dport } " +
                               set + dnat_text);
    };
    Rule open(inbound);
    open.ipv4()
        .meta(NFT_META_L4PROTO, Register::first)
        .port(End::destination, Register::second)
        .in(sets::endpoint_independent);
    let_in(open, open_protocols, "meta l4proto . th dport @endpoint-independent");
    Rule(inbound)
        .meta(NFT_META_L4PROTO, Register::first)
        .port(End::destination, Register::second)
        .in(sets::without_contacts)
        .verdict(NFT_RETURN)
        .add_to(batch, "meta l4proto . th dport @without-contacts return");
    Rule contacted(inbound);
    contacted.ipv4()
        .meta(NFT_META_L4PROTO, Register::first)
        .ipv4_address(End::source, Register::second)
        .port(End::destination, Register::third)
        .in(sets::contacts);
    let_in(contacted, contacted_protocols, "meta l4proto . ip saddr . th dport @contacts");
}

// The first packets of flows that were sent on, by us or by others, when they have got past
// everybody's forward chains.
void add_sent_on_rules(netlink::Batch& batch, const Shape& shape) {
    Rule(source_nat)
        .destination_translated()
        .jump(sent_on)
        .add_to(batch, "ct status dnat jump sent-on");
    Rule(sent_on)
        .meta(NFT_META_IIFNAME)
        .in(sets::wans)
        .meta(NFT_META_L4PROTO)
        .in_anonymous(delivered_protocols)
        .meta(NFT_META_L4PROTO, Register::first)
        .original(NFT_CT_PROTO_DST, Register::second)
        .delete_from_set(sets::undelivered)
        .add_to(batch,
                "iifname @wans meta l4proto { tcp, udp } "
                "delete @undelivered { meta l4proto . ct original proto-dst }");
    // Ours, from one host to another: the sender shows its address and port outside (REQ-9a).
    // Interfaces do not tell, as with br_netfilter both are the bridge's ports.
    Rule(sent_on)
        .ipv4()
        .original(NFT_CT_DST_IP, Register::first)
        .in(sets::wan_addresses)
        .ipv4_address(End::source)
        .in(sets::nat_sources)
        .meta(NFT_META_L4PROTO)
        .in_anonymous(hairpin_protocols)
        .meta(NFT_META_L4PROTO, Register::first)
        .original(NFT_CT_PROTO_DST, Register::second)
        .in(sets::host_ports)
        .meta(NFT_META_OIFNAME)
        .not_in(sets::wans)
        .go_to(hairpin)
        .add_to(batch,
                "ct original ip daddr @wan-addresses ip saddr @nat-sources "
                "meta l4proto { tcp, udp } meta l4proto . ct original proto-dst @host-ports "
                "oifname != @wans goto hairpin");

    Rule(hairpin)
        .ipv4()
        .meta(NFT_META_L4PROTO, Register::first)
        .ipv4_address(End::source, Register::second)
        .port(End::source, Register::third)
        .map(sets::exact, Register::fifth)
        .meta(NFT_META_L4PROTO)
        .in_anonymous(hairpin_owner_protocols)
        .original(NFT_CT_DST_IP, Register::first)
        .snat_ipv4_to(Register::first, Register::fifth)
        .add_to(batch,
                "meta l4proto { tcp, udp } snat ip to "
                "ct original ip daddr:meta l4proto . ip saddr . th sport map @exact");
    for (const auto& [set, id] : {std::pair(sets::host_ports, hairpin_displaced_protocols),
                                  std::pair(sets::own_ports, hairpin_own_protocols)}) {
        Rule(hairpin)
            .meta(NFT_META_L4PROTO, Register::first)
            .port(End::source, Register::second)
            .in(set)
            .ipv4()
            .meta(NFT_META_L4PROTO)
            .in_anonymous(id)
            .counter(counters::displaced)
            .original(NFT_CT_DST_IP, Register::third)
            .snat_ipv4_to(shape.pool)
            .add_to(batch, "meta l4proto . th sport @" + std::string(set) +
                               " meta l4proto { tcp, udp } counter name \"displaced\" snat ip to "
                               "ct original ip daddr:" +
                               to_text(shape.pool));
    }
    Rule(hairpin)
        .ipv4()
        .original(NFT_CT_DST_IP, Register::first)
        .snat_ipv4_to(Register::first)
        .add_to(batch, "snat ip to ct original ip daddr");
}

// What reaches the gateway itself on a host's port was not asked for; confirmed in conntrack it
// would take the port away from its owner. Other addresses than those of the WANs are not in its
// way.
void add_unsolicited_rules(netlink::Batch& batch) {
    Rule(unsolicited)
        .meta(NFT_META_L4PROTO, Register::first)
        .port(End::destination, Register::second)
        .in(sets::host_ports)
        .meta(NFT_META_IIFNAME)
        .in(sets::wans)
        .ipv4()
        .ipv4_address(End::destination)
        .in(sets::wan_addresses)
        .new_flow()
        .counter(counters::unsolicited)
        .verdict(NF_DROP)
        .add_to(batch,
                "meta l4proto . th dport @host-ports iifname @wans "
                "ip daddr @wan-addresses ct state == new counter name \"unsolicited\" drop");
}

}  // namespace

Shape shape_for(const Scope& scope, std::size_t mappings, bool timeouts) {
    const bool few_watched =
        !scope.watched ||
        scope.watched->last().value() - scope.watched->first().value() < most_watched;
    return {.pool = scope.pool,
            .masquerades = !scope.masquerade_wans.empty(),
            .watched = scope.watched,
            .capacity = mappings <= usual_capacity && few_watched ? usual_capacity : all_ports,
            .udp_timeout = timeouts ? std::optional(scope.udp_timeout) : std::nullopt};
}

void replace_skeleton(netlink::Batch& batch, const Shape& shape, const FirewallCounters& counted) {
    add_table(batch);
    add_counter(batch, counters::unsolicited, counted.unsolicited);
    add_counter(batch, counters::displaced, counted.displaced);
    add_counter(batch, counters::guarded, counted.guarded);
    add_counter(batch, counters::contacts_refused, counted.contacts_refused);
    if (shape.udp_timeout) add_timeouts(batch, *shape.udp_timeout);
    for (const auto& set : set_descriptions) add_set(batch, set, shape.capacity);
    for (std::uint32_t id = exact_protocols; id != end_of_protocol_sets; ++id) {
        add_set(batch, protocol_set(id), shape.capacity);
        add_protocols(batch, id, reservable_protocols);
    }
    for (const auto& chain : chain_descriptions) add_chain(batch, chain);
    add_source_nat_rules(batch, shape);
    add_guard_rules(batch);
    add_learning_rules(batch);
    add_to_owner_rules(batch, shape);
    add_sent_on_rules(batch, shape);
    add_unsolicited_rules(batch);
}

}  // namespace porthole::nft
