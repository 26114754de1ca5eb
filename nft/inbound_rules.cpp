// SPDX-License-Identifier: GPL-2.0-or-later
#include <string>
#include <utility>

#include "chains.hpp"
#include "elements.hpp"
#include "outside.hpp"
#include "rule.hpp"
#include "rules.hpp"
#include "timeouts.hpp"

namespace porthole::nft {
namespace {

using namespace chains;  // NOLINT(google-build-using-namespace)

// dnat ip to meta l4proto . [ip daddr . ]th dport map @owners
Rule& send_to_owner(Rule& rule, const Outside& outside) {
    return load(rule, outside, End::destination).map(outside.sets.owners, Register::first);
}

std::string dnat_text(const Outside& outside) {
    return "dnat ip to " + text_of(outside, End::destination) + " map @" + outside.sets.owners;
}

// Who may come in unasked goes to the owner; everybody else goes where he went without us: to a
// port forward of others', or to the gateway, where he is stopped. It is a nat chain: established
// flows do not pay for it.
void add_to_owner_rules(netlink::Batch& batch, const Shape& shape, const Outside& outside) {
    Rule coming(to_owner);
    coming.ipv4().ipv4_address(End::destination).in(sets::wan_addresses);
    load(coming, outside, End::destination)
        .in(outside.sets.ports)
        .jump(outside.inbound)
        .add_to(batch, "ip daddr @wan-addresses " + text_of(outside, End::destination) + " @" +
                           outside.sets.ports + " jump " + outside.inbound);
    // A neighbour in the owner's own house: hairpinning (RFC 4787 REQ-9), whatever the filtering,
    // as they reach each other without us, too.
    Rule neighbour(outside.inbound);
    neighbour.meta(NFT_META_IIFNAME)
        .not_in(sets::wans)
        .ipv4()
        .ipv4_address(End::source)
        .in(sets::nat_sources)
        .meta(NFT_META_L4PROTO)
        .in_anonymous(outside.neighbour_protocols);
    send_to_owner(neighbour, outside);
    const auto timeout = set_timeouts(neighbour, shape);
    neighbour.dnat_ipv4_to_place(Register::first, Register::second)
        .add_to(batch, "iifname != @wans ip saddr @nat-sources meta l4proto { tcp, udp } " +
                           timeout + dnat_text(outside));
    Rule(outside.inbound)
        .meta(NFT_META_IIFNAME)
        .not_in(sets::wans)
        .verdict(NFT_RETURN)
        .add_to(batch, "iifname != @wans return");

    const auto let_in = [&](Rule& rule, std::uint32_t protocols, const std::string& text) {
        rule.meta(NFT_META_L4PROTO).in_anonymous(protocols);
        send_to_owner(rule, outside)
            .meta(NFT_META_L4PROTO, Register::third)
            .port(End::destination, Register::fourth)
            .add_to_set(sets::undelivered, Register::third);
        const auto set = set_timeouts(rule, shape);
        rule.dnat_ipv4_to_place(Register::first, Register::second)
            .add_to(batch, text +
                               " meta l4proto { tcp, udp } "
                               "add @undelivered { meta l4proto . th dport } " +
                               set + dnat_text(outside));
    };
    const auto port_text = text_of(outside, End::destination) + " @";
    Rule open(outside.inbound);
    load(open.ipv4(), outside, End::destination).in(outside.sets.endpoint_independent);
    let_in(open, outside.open_protocols, port_text + outside.sets.endpoint_independent);
    Rule without(outside.inbound);
    if (outside.fixed) without.ipv4();
    load(without, outside, End::destination)
        .in(outside.sets.without_contacts)
        .verdict(NFT_RETURN)
        .add_to(batch, port_text + outside.sets.without_contacts + " return");
    Rule contacted(outside.inbound);
    load_contact(contacted.ipv4(), outside, End::destination).in(outside.contacts);
    let_in(contacted, outside.contacted_protocols,
           contact_text_of(outside, End::destination) + " @" + outside.contacts);
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
    for (const auto& outside : kinds_of(shape)) {
        Rule ours(sent_on);
        ours.ipv4()
            .original(NFT_CT_DST_IP, Register::first)
            .in(sets::wan_addresses)
            .ipv4_address(End::source)
            .in(sets::nat_sources)
            .meta(NFT_META_L4PROTO)
            .in_anonymous(outside.hairpin_protocols)
            .meta(NFT_META_L4PROTO, Register::first);
        if (outside.fixed) ours.original(NFT_CT_DST_IP, Register::second);
        ours.original(NFT_CT_PROTO_DST, outside.fixed ? Register::third : Register::second)
            .in(outside.sets.ports)
            .meta(NFT_META_OIFNAME)
            .not_in(sets::wans)
            .go_to(hairpin)
            .add_to(batch,
                    "ct original ip daddr @wan-addresses ip saddr @nat-sources "
                    "meta l4proto { tcp, udp } meta l4proto . " +
                        std::string(outside.fixed ? "ct original ip daddr . " : "") +
                        "ct original proto-dst @" + outside.sets.ports +
                        " oifname != @wans goto hairpin");
    }

    if (shape.fixed) {
        Rule(hairpin)
            .ipv4()
            .meta(NFT_META_L4PROTO, Register::first)
            .ipv4_address(End::source, Register::second)
            .port(End::source, Register::third)
            .map(sets::fixed, Register::fifth)
            .meta(NFT_META_L4PROTO)
            .in_anonymous(fixed_hairpin_owner_protocols)
            .snat_ipv4_to_place(Register::fifth, Register::sixth)
            .add_to(batch,
                    "meta l4proto { tcp, udp } snat ip to "
                    "meta l4proto . ip saddr . th sport map @fixed");
    }
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
    for (const auto& [set, id] : ports_of_others(
             shape,
             {hairpin_displaced_protocols, hairpin_own_protocols, hairpin_bound_protocols})) {
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
void add_unsolicited_rules(netlink::Batch& batch, const Outside& outside) {
    Rule rule(unsolicited);
    if (outside.fixed) rule.ipv4();
    load(rule, outside, End::destination)
        .in(outside.sets.ports)
        .meta(NFT_META_IIFNAME)
        .in(sets::wans);
    if (!outside.fixed) rule.ipv4();
    rule.ipv4_address(End::destination)
        .in(sets::wan_addresses)
        .new_flow()
        .counter(counters::unsolicited)
        .verdict(NF_DROP)
        .add_to(batch, text_of(outside, End::destination) + " @" + outside.sets.ports +
                           " iifname @wans ip daddr @wan-addresses ct state == new "
                           "counter name \"unsolicited\" drop");
}

}  // namespace

void add_inbound_rules(netlink::Batch& batch, const Shape& shape) {
    for (const auto& outside : kinds_of(shape)) add_to_owner_rules(batch, shape, outside);
    add_sent_on_rules(batch, shape);
    for (const auto& outside : kinds_of(shape)) add_unsolicited_rules(batch, outside);
}

}  // namespace porthole::nft
