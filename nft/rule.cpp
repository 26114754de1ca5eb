// SPDX-License-Identifier: GPL-2.0-or-later
#include "rule.hpp"

#include <array>
#include <new>
#include <utility>

#include <libnftnl/expr.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>

namespace porthole::nft {
namespace {

constexpr std::uint32_t ipv4_source_offset = 12;       // RFC 791
constexpr std::uint32_t ipv4_destination_offset = 16;  // RFC 791
constexpr std::uint32_t ipv6_source_offset = 8;        // RFC 8200
constexpr std::uint32_t ipv6_destination_offset = 24;  // RFC 8200

std::uint32_t number(Register where) { return static_cast<std::uint32_t>(where); }
constexpr auto key = static_cast<std::uint32_t>(Register::first);

std::array<std::uint8_t, 2> network_order(Port port) {
    return {static_cast<std::uint8_t>(port.value() >> 8U), static_cast<std::uint8_t>(port.value())};
}

// The bit of a conntrack state in `ct state` (NF_CT_STATE_BIT of the kernel).
constexpr std::uint32_t state_bit(ip_conntrack_info state) {
    return 1U << (static_cast<unsigned>(state) + 1U);
}

}  // namespace

Rule::Rule(const char* chain) : chain_(chain), rule_(nftnl_rule_alloc()) {
    if (!rule_) throw std::bad_alloc();
    nftnl_rule_set_str(rule_.get(), NFTNL_RULE_TABLE, table_name);
    nftnl_rule_set_str(rule_.get(), NFTNL_RULE_CHAIN, chain);
}

// The rule owns its expressions.
nftnl_expr* Rule::append(const char* name) {
    auto* expression = nftnl_expr_alloc(name);
    if (expression == nullptr) throw std::bad_alloc();
    nftnl_rule_add_expr(rule_.get(), expression);
    return expression;
}

Rule& Rule::meta(nft_meta_keys what, Register to) {
    auto* expression = append("meta");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_META_KEY, what);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_META_DREG, number(to));
    return *this;
}

Rule& Rule::compare(nft_cmp_ops operation, std::uint32_t value, std::size_t bytes) {
    auto* expression = append("cmp");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_CMP_SREG, key);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_CMP_OP, operation);
    if (bytes == 1) {
        nftnl_expr_set_u8(expression, NFTNL_EXPR_CMP_DATA, static_cast<std::uint8_t>(value));
    } else {
        nftnl_expr_set_u32(expression, NFTNL_EXPR_CMP_DATA, value);
    }
    return *this;
}

Rule& Rule::meta_is(nft_meta_keys what, std::uint32_t value, std::size_t bytes) {
    return meta(what).compare(NFT_CMP_EQ, value, bytes);
}

Rule& Rule::meta_is_not(nft_meta_keys what, std::uint32_t value, std::size_t bytes) {
    return meta(what).compare(NFT_CMP_NEQ, value, bytes);
}

Rule& Rule::ipv4_address(End end, Register to) {
    const auto offset = end == End::source ? ipv4_source_offset : ipv4_destination_offset;
    return payload(NFT_PAYLOAD_NETWORK_HEADER, offset, 4, to);
}

Rule& Rule::ipv6_address(End end, Register to) {
    const auto offset = end == End::source ? ipv6_source_offset : ipv6_destination_offset;
    return payload(NFT_PAYLOAD_NETWORK_HEADER, offset, 16, to);
}

Rule& Rule::port(End end, Register to) {
    return payload(NFT_PAYLOAD_TRANSPORT_HEADER, end == End::source ? 0 : 2, 2, to);
}

Rule& Rule::payload(nft_payload_bases base, std::uint32_t offset, std::uint32_t bytes,
                    Register to) {
    auto* expression = append("payload");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_PAYLOAD_BASE, base);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_PAYLOAD_LEN, bytes);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_PAYLOAD_DREG, number(to));
    return *this;
}

Rule& Rule::port_in(End end, const PortRange& ports) {
    port(end, Register::first);
    const auto compare_with = [this](nft_cmp_ops operation, Port bound) {
        const auto bytes = network_order(bound);
        auto* expression = append("cmp");
        nftnl_expr_set_u32(expression, NFTNL_EXPR_CMP_SREG, key);
        nftnl_expr_set_u32(expression, NFTNL_EXPR_CMP_OP, operation);
        nftnl_expr_set(expression, NFTNL_EXPR_CMP_DATA, bytes.data(), bytes.size());
    };
    compare_with(NFT_CMP_GTE, ports.first());
    compare_with(NFT_CMP_LTE, ports.last());
    return *this;
}

Rule& Rule::log(std::uint16_t group, std::uint32_t bytes, std::uint16_t packets) {
    auto* expression = append("log");
    nftnl_expr_set_u16(expression, NFTNL_EXPR_LOG_GROUP, group);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_LOG_SNAPLEN, bytes);
    nftnl_expr_set_u16(expression, NFTNL_EXPR_LOG_QTHRESHOLD, packets);
    return *this;
}

Rule& Rule::lookup(const char* set, std::uint32_t set_id, bool inverted) {
    auto* expression = append("lookup");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_LOOKUP_SREG, key);
    nftnl_expr_set_str(expression, NFTNL_EXPR_LOOKUP_SET, set);
    if (set_id != 0) nftnl_expr_set_u32(expression, NFTNL_EXPR_LOOKUP_SET_ID, set_id);
    if (inverted) nftnl_expr_set_u32(expression, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    return *this;
}

Rule& Rule::in_anonymous(std::uint32_t set_id) { return lookup("__set%d", set_id, false); }

Rule& Rule::map(const char* map, Register to) {
    auto* expression = append("lookup");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_LOOKUP_SREG, key);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_LOOKUP_DREG, number(to));
    nftnl_expr_set_str(expression, NFTNL_EXPR_LOOKUP_SET, map);
    return *this;
}

// Without the bitwise step of `ct state new`: this comparison every packet pays for.
Rule& Rule::new_flow() {
    auto* load = append("ct");
    nftnl_expr_set_u32(load, NFTNL_EXPR_CT_KEY, NFT_CT_STATE);
    nftnl_expr_set_u32(load, NFTNL_EXPR_CT_DREG, key);
    constexpr auto state = state_bit(IP_CT_NEW);
    return compare(NFT_CMP_EQ, state, sizeof(state));
}

Rule& Rule::original(nft_ct_keys what, Register to) {
    auto* load = append("ct");
    nftnl_expr_set_u32(load, NFTNL_EXPR_CT_KEY, what);
    nftnl_expr_set_u8(load, NFTNL_EXPR_CT_DIR, IP_CT_DIR_ORIGINAL);
    nftnl_expr_set_u32(load, NFTNL_EXPR_CT_DREG, number(to));
    return *this;
}

Rule& Rule::original_address(Family family, End end, Register to) {
    const bool source = end == End::source;
    if (family == Family::ipv4) return original(source ? NFT_CT_SRC_IP : NFT_CT_DST_IP, to);
    return original(source ? NFT_CT_SRC_IP6 : NFT_CT_DST_IP6, to);
}

Rule& Rule::destination_translated() {
    auto* load = append("ct");
    nftnl_expr_set_u32(load, NFTNL_EXPR_CT_KEY, NFT_CT_STATUS);
    nftnl_expr_set_u32(load, NFTNL_EXPR_CT_DREG, key);
    constexpr std::uint32_t mask = IPS_DST_NAT;
    constexpr std::uint32_t none = 0;
    auto* bits = append("bitwise");
    nftnl_expr_set_u32(bits, NFTNL_EXPR_BITWISE_SREG, key);
    nftnl_expr_set_u32(bits, NFTNL_EXPR_BITWISE_DREG, key);
    nftnl_expr_set_u32(bits, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
    nftnl_expr_set_u32(bits, NFTNL_EXPR_BITWISE_LEN, sizeof(mask));
    nftnl_expr_set(bits, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof(mask));
    nftnl_expr_set(bits, NFTNL_EXPR_BITWISE_XOR, &none, sizeof(none));
    return compare(NFT_CMP_NEQ, 0, sizeof(none));
}

Rule& Rule::object(std::uint32_t type, const char* name) {
    auto* expression = append("objref");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_OBJREF_IMM_TYPE, type);
    nftnl_expr_set_str(expression, NFTNL_EXPR_OBJREF_IMM_NAME, name);
    return *this;
}

Rule& Rule::verdict(int verdict) {
    auto* expression = append("immediate");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_IMM_VERDICT, static_cast<std::uint32_t>(verdict));
    return *this;
}

Rule& Rule::enter(int verdict, const char* chain) {
    auto* expression = append("immediate");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_IMM_VERDICT, static_cast<std::uint32_t>(verdict));
    nftnl_expr_set_str(expression, NFTNL_EXPR_IMM_CHAIN, chain);
    return *this;
}

Rule& Rule::update_set(nft_dynset_ops operation, const char* set, Register from) {
    auto* expression = append("dynset");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_DYNSET_SREG_KEY, number(from));
    nftnl_expr_set_u32(expression, NFTNL_EXPR_DYNSET_OP, operation);
    nftnl_expr_set_str(expression, NFTNL_EXPR_DYNSET_SET_NAME, set);
    return *this;
}

Rule& Rule::over_limit(const char* set, std::uint32_t per_second, std::uint32_t burst) {
    auto* limit = nftnl_expr_alloc("limit");
    if (limit == nullptr) throw std::bad_alloc();
    nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_RATE, per_second);
    nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_UNIT, 1);
    nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_BURST, burst);
    nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
    nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_FLAGS, NFT_LIMIT_F_INV);
    auto* expression = append("dynset");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_DYNSET_SREG_KEY, key);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
    nftnl_expr_set_str(expression, NFTNL_EXPR_DYNSET_SET_NAME, set);
    nftnl_expr_set(expression, NFTNL_EXPR_DYNSET_EXPR, limit, 0);  // owns it from now on
    return *this;
}

Rule& Rule::masquerade() {
    append("masq");
    return *this;
}

Rule& Rule::masquerade_to_ports(Register first, Register last) {
    auto* expression = append("masq");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_MASQ_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_MASQ_REG_PROTO_MIN, number(first));
    nftnl_expr_set_u32(expression, NFTNL_EXPR_MASQ_REG_PROTO_MAX, number(last));
    return *this;
}

Rule& Rule::masquerade_to_port(Register port) { return masquerade_to_ports(port, port); }

void Rule::load(const PortRange& ports) {
    for (const auto& [port, to] :
         {std::pair(ports.first(), Register::first), std::pair(ports.last(), Register::second)}) {
        const auto bytes = network_order(port);
        auto* expression = append("immediate");
        nftnl_expr_set_u32(expression, NFTNL_EXPR_IMM_DREG, number(to));
        nftnl_expr_set(expression, NFTNL_EXPR_IMM_DATA, bytes.data(), bytes.size());
    }
}

Rule& Rule::masquerade_to(const PortRange& ports) {
    load(ports);
    return masquerade_to_ports(Register::first, Register::second);
}

nftnl_expr* Rule::translate(nft_nat_types type, Family family, Register address) {
    auto* expression = append("nat");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_NAT_TYPE, type);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_NAT_FAMILY,
                       family == Family::ipv4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_NAT_REG_ADDR_MIN, number(address));
    return expression;
}

Rule& Rule::snat_to(Family family, Register address) {
    translate(NFT_NAT_SNAT, family, address);
    return *this;
}

Rule& Rule::snat_to(Family family, Register address, Register first, Register last) {
    auto* expression = translate(NFT_NAT_SNAT, family, address);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_NAT_REG_PROTO_MIN, number(first));
    nftnl_expr_set_u32(expression, NFTNL_EXPR_NAT_REG_PROTO_MAX, number(last));
    nftnl_expr_set_u32(expression, NFTNL_EXPR_NAT_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
    return *this;
}

Rule& Rule::snat_to(Family family, const PortRange& ports) {
    load(ports);
    return snat_to(family, Register::third, Register::first, Register::second);
}

Rule& Rule::translate_to_place(nft_nat_types type, Family family, Register address) {
    auto* expression = translate(type, family, address);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_NAT_REG_PROTO_MIN,
                       number(behind_address(family, address)));
    return *this;
}

void Rule::add_to(netlink::Batch& batch, const std::string& text) const {
    add_message(batch, "add rule inet porthole " + chain_ + " " + text, NFT_MSG_NEWRULE,
                NLM_F_CREATE | NLM_F_APPEND, [this](nlmsghdr* message) {
                    nftnl_rule_nlmsg_build_payload(message, rule_.get());
                });
}

}  // namespace porthole::nft
