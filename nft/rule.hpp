// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <libnftnl/rule.h>

#include "message.hpp"
#include "types/address.hpp"
#include "types/port.hpp"

namespace porthole::nft {

/// The registers that expressions hand values on in. Keys that are joined lie in four-byte steps.
enum class Register : std::uint32_t {
    first = NFT_REG32_00,
    second = NFT_REG32_01,
    third = NFT_REG32_02,
    fourth = NFT_REG32_03,
    fifth = NFT_REG32_04,  ///< the first one that an interface name does not reach
    sixth = NFT_REG32_05,  ///< behind a protocol and an IPv6 address
    seventh = NFT_REG32_06,
    tenth = NFT_REG32_09,  ///< behind a protocol and two of them
};

/// The first register behind an address that begins in this one.
constexpr Register behind_address(Family family, Register where) {
    return Register{static_cast<std::uint32_t>(where) + (family == Family::ipv4 ? 1U : 4U)};
}
/// The next one.
constexpr Register behind(Register where) {
    return Register{static_cast<std::uint32_t>(where) + 1};
}

/// Which end of a packet a field belongs to.
enum class End : std::uint8_t { source, destination };

/// One rule, put together expression by expression in the order in which `nft` would write them.
class Rule {
  public:
    explicit Rule(const char* chain);

    /// meta KEY, into a register.
    Rule& meta(nft_meta_keys key, Register to = Register::first);
    /// meta KEY VALUE, for keys of `bytes` bytes in host byte order.
    Rule& meta_is(nft_meta_keys key, std::uint32_t value, std::size_t bytes);
    Rule& meta_is_not(nft_meta_keys key, std::uint32_t value, std::size_t bytes);
    /// meta nfproto ipv4: what any `ip` field needs in front of it in an inet table.
    Rule& ipv4() { return meta_is(NFT_META_NFPROTO, NFPROTO_IPV4, 1); }
    /// meta nfproto ipv6: the same for `ip6`.
    Rule& ipv6() { return meta_is(NFT_META_NFPROTO, NFPROTO_IPV6, 1); }
    Rule& of(Family family) { return family == Family::ipv4 ? ipv4() : ipv6(); }
    /// meta l4proto PROTOCOL, which leaves the protocol in the first register.
    Rule& protocol_is(Protocol protocol) {
        return meta_is(NFT_META_L4PROTO, static_cast<std::uint32_t>(protocol), 1);
    }
    /// ip saddr or ip daddr, into a register.
    Rule& ipv4_address(End end, Register to = Register::first);
    /// ip6 saddr or ip6 daddr, into four registers from this one on.
    Rule& ipv6_address(End end, Register to);
    Rule& address(Family family, End end, Register to = Register::first) {
        return family == Family::ipv4 ? ipv4_address(end, to) : ipv6_address(end, to);
    }
    /// th sport or th dport, into a register.
    Rule& port(End end, Register to);
    /// th sport FIRST-LAST or th dport FIRST-LAST
    Rule& port_in(End end, const PortRange& ports);
    /// log group N snaplen BYTES queue-threshold PACKETS
    Rule& log(std::uint16_t group, std::uint32_t bytes, std::uint16_t packets);
    /// The key in the first register is in @set, or is not.
    Rule& in(const char* set) { return lookup(set, 0, false); }
    Rule& not_in(const char* set) { return lookup(set, 0, true); }
    Rule& in_anonymous(std::uint32_t set_id);
    /// What map @map has for the key in the first register, into a register; without one the rule
    /// does not match.
    Rule& map(const char* map, Register to);
    /// ct state == new: a packet of a flow that was never replied to, in its original direction.
    Rule& new_flow();
    /// ct original proto-src or proto-dst, into a register.
    Rule& original_port(End end, Register to) {
        return original(end == End::source ? NFT_CT_PROTO_SRC : NFT_CT_PROTO_DST, to);
    }
    /// ct original ip saddr, ip6 saddr, ip daddr or ip6 daddr, into registers from this one on.
    Rule& original_address(Family family, End end, Register to);
    /// ct status dnat
    Rule& destination_translated();
    /// counter name "NAME"
    Rule& counter(const char* name) { return object(NFT_OBJECT_COUNTER, name); }
    /// ct timeout set "NAME": for the flow's other packets, if this is its first one.
    Rule& ct_timeout(const char* name) { return object(NFT_OBJECT_CT_TIMEOUT, name); }
    Rule& verdict(int verdict);
    /// jump CHAIN or goto CHAIN
    Rule& jump(const char* chain) { return enter(NFT_JUMP, chain); }
    Rule& go_to(const char* chain) { return enter(NFT_GOTO, chain); }
    /// add @SET { KEY }, the key being in this register and the next. A full set ends the rule.
    Rule& add_to_set(const char* set, Register from = Register::first) {
        return update_set(NFT_DYNSET_OP_ADD, set, from);
    }
    /// delete @SET { KEY }, the key being in the first register. Ends the rule if it is not there.
    Rule& delete_from_set(const char* set) {
        return update_set(NFT_DYNSET_OP_DELETE, set, Register::first);
    }
    /// update @SET { KEY limit rate over PER_SECOND/second burst BURST packets }, the key being in
    /// the first register: matches once the key was seen more often. Not where the set is full.
    Rule& over_limit(const char* set, std::uint32_t per_second, std::uint32_t burst);
    /// masquerade
    Rule& masquerade();
    /// masquerade to :PORT, the port being in a register.
    Rule& masquerade_to_port(Register port);
    /// masquerade to :FIRST-LAST
    Rule& masquerade_to(const PortRange& ports);
    /// snat ip to ADDRESS or snat ip6 to ADDRESS, which begins in this register.
    Rule& snat_to(Family family, Register address);
    /// snat ip to ADDRESS:PORT, both being in registers.
    Rule& snat_to(Family family, Register address, Register port) {
        return snat_to(family, address, port, port);
    }
    /// snat ip to ADDRESS:FIRST-LAST, the address being in the third register.
    Rule& snat_to(Family family, const PortRange& ports);
    /// snat ip to ADDRESS . PORT, or dnat, the port being in the register behind the address.
    Rule& snat_to_place(Family family, Register address) {
        return translate_to_place(NFT_NAT_SNAT, family, address);
    }
    Rule& dnat_to_place(Family family, Register address) {
        return translate_to_place(NFT_NAT_DNAT, family, address);
    }

    /// Appends the rule to its chain. `text` is how nft writes it.
    void add_to(netlink::Batch& batch, const std::string& text) const;

  private:
    Rule& object(std::uint32_t type, const char* name);
    Rule& payload(nft_payload_bases base, std::uint32_t offset, std::uint32_t bytes, Register to);
    Rule& enter(int verdict, const char* chain);
    Rule& update_set(nft_dynset_ops operation, const char* set, Register from);
    Rule& lookup(const char* set, std::uint32_t set_id, bool inverted);
    nftnl_expr* append(const char* name);
    Rule& original(nft_ct_keys key, Register to);
    nftnl_expr* translate(nft_nat_types type, Family family, Register address);
    Rule& translate_to_place(nft_nat_types type, Family family, Register address);
    void load(const PortRange& ports);  // into the first two registers
    Rule& snat_to(Family family, Register address, Register first, Register last);
    Rule& masquerade_to_ports(Register first, Register last);
    Rule& compare(nft_cmp_ops operation, std::uint32_t value, std::size_t bytes);

    std::string chain_;
    std::unique_ptr<nftnl_rule, Free<nftnl_rule_free>> rule_;
};

}  // namespace porthole::nft
