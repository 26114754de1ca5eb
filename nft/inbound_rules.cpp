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
    return "dnat " + header_of(outside) + " to " + text_of(outside, End::destination) + " map @" +
           outside.sets.owners;
}

// Who may come in unasked goes to the owner; everybody else goes where he went without us: to a
// port forward of others', or to the gateway, where he is stopped. It is a nat chain: established
// flows do not pay for it.
void add_to_owner_rules(netlink::Batch& batch, const Shape& shape, const Outside& outside) {
    const auto header = header_of(outside);
    const auto from_host = header + " saddr @" + outside.nat_sources;
    Rule coming(to_owner);
    coming.of(outside.family).address(outside.family, End::destination).in(outside.wan_addresses);
    load(coming, outside, End::destination)
        .in(outside.sets.ports)
        .jump(outside.inbound)
        .add_to(batch, header + " daddr @" + outside.wan_addresses + " " +
                           text_of(outside, End::destination) + " @" + outside.sets.ports +
                           " jump " + outside.inbound);
    // A neighbour in the owner's own house: hairpinning (RFC 4787 REQ-9), whatever the filtering,
    // as they reach each other without us, too.
    Rule neighbour(outside.inbound);
    neighbour.meta(NFT_META_IIFNAME)
        .not_in(sets::wans)
        .of(outside.family)
        .address(outside.family, End::source)
        .in(outside.nat_sources)
        .meta(NFT_META_L4PROTO)
        .in_anonymous(outside.neighbour_protocols);
    send_to_owner(neighbour, outside);
    const auto timeout = set_timeouts(neighbour, shape);
    neighbour.dnat_to_place(outside.family, Register::first)
        .add_to(batch, "iifname != @wans " + from_host + " meta l4proto { tcp, udp } " + timeout +
                           dnat_text(outside));
    Rule(outside.inbound)
        .meta(NFT_META_IIFNAME)
        .not_in(sets::wans)
        .verdict(NFT_RETURN)
        .add_to(batch, "iifname != @wans return");

    const auto let_in = [&](Rule& rule, std::uint32_t protocols, const std::string& text) {
        const auto free = behind(behind_address(outside.family, Register::first));
        rule.meta(NFT_META_L4PROTO).in_anonymous(protocols);
        send_to_owner(rule, outside)
            .meta(NFT_META_L4PROTO, free)
            .port(End::destination, behind(free))
            .add_to_set(outside.undelivered, free);
        const auto set = set_timeouts(rule, shape);
        rule.dnat_to_place(outside.family, Register::first)
            .add_to(batch, text + " meta l4proto { tcp, udp } add @" + outside.undelivered +
                               " { meta l4proto . th dport } " + set + dnat_text(outside));
    };
    const auto port_text = text_of(outside, End::destination) + " @";
    Rule open(outside.inbound);
    load(open.of(outside.family), outside, End::destination).in(outside.sets.endpoint_independent);
    let_in(open, outside.open_protocols, port_text + outside.sets.endpoint_independent);
    Rule without(outside.inbound);
    if (outside.fixed) without.ipv4();
    load(without, outside, End::destination)
        .in(outside.sets.without_contacts)
        .verdict(NFT_RETURN)
        .add_to(batch, port_text + outside.sets.without_contacts + " return");
    Rule contacted(outside.inbound);
    load_contact(contacted.of(outside.family), outside, End::destination).in(outside.contacts);
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
    for (const auto& outside : families_of(shape)) {
        Rule delivered(sent_on);
        if (shape.nat66) delivered.of(outside.family);
        delivered.meta(NFT_META_IIFNAME)
            .in(sets::wans)
            .meta(NFT_META_L4PROTO)
            .in_anonymous(outside.family == Family::ipv4 ? delivered_protocols
                                                         : nat66_delivered_protocols)
            .meta(NFT_META_L4PROTO, Register::first)
            .original_port(End::destination, Register::second)
            .delete_from_set(outside.undelivered)
            .add_to(batch, "iifname @wans meta l4proto { tcp, udp } delete @" +
                               std::string(outside.undelivered) +
                               " { meta l4proto . ct original proto-dst }");
    }
    // Ours, from one host to another: the sender shows its address and port outside (REQ-9a).
    // Interfaces do not tell, as with br_netfilter both are the bridge's ports.
    for (const auto& outside : kinds_of(shape)) {
        const auto family = outside.family;
        const auto header = header_of(outside);
        auto text = "ct original " + header + " daddr @" + outside.wan_addresses + " ";
        text.append(header).append(" saddr @").append(outside.nat_sources);
        text.append(" meta l4proto { tcp, udp } meta l4proto . ");
        if (outside.fixed) text += "ct original ip daddr . ";
        text.append("ct original proto-dst @").append(outside.sets.ports);
        text.append(" oifname != @wans goto ").append(outside.hairpin);
        Rule ours(sent_on);
        ours.of(family)
            .original_address(family, End::destination, Register::first)
            .in(outside.wan_addresses)
            .address(family, End::source)
            .in(outside.nat_sources)
            .meta(NFT_META_L4PROTO)
            .in_anonymous(outside.hairpin_protocols)
            .meta(NFT_META_L4PROTO, Register::first);
        if (outside.fixed) ours.original_address(family, End::destination, Register::second);
        ours.original_port(End::destination, outside.fixed ? Register::third : Register::second)
            .in(outside.sets.ports)
            .meta(NFT_META_OIFNAME)
            .not_in(sets::wans)
            .go_to(outside.hairpin)
            .add_to(batch, text);
    }
}

// One host to another through the WAN's address: both see each other as from outside.
void add_hairpin_rules(netlink::Batch& batch, const Shape& shape, const Outside& outside) {
    const auto family = outside.family;
    const bool ipv4 = family == Family::ipv4;
    const auto snat = "snat " + header_of(outside) + " to ";
    const auto same_address = "ct original " + header_of(outside) + " daddr";
    if (ipv4 && shape.fixed) {
        Rule fixed(outside.hairpin);
        load_inside(fixed.ipv4(), family)
            .map(sets::fixed, value_register(family))
            .meta(NFT_META_L4PROTO)
            .in_anonymous(fixed_hairpin_owner_protocols)
            .snat_to_place(family, value_register(family))
            .add_to(batch, "meta l4proto { tcp, udp } " + snat + inside_text(family) + " map @" +
                               sets::fixed);
    }
    Rule owner(outside.hairpin);
    load_inside(owner.of(family), family)
        .map(outside.sets.exact, value_register(family))
        .meta(NFT_META_L4PROTO)
        .in_anonymous(ipv4 ? hairpin_owner_protocols : nat66_hairpin_owner_protocols)
        .original_address(family, End::destination, Register::first)
        .snat_to(family, Register::first, value_register(family))
        .add_to(batch, "meta l4proto { tcp, udp } " + snat + same_address + ":" +
                           inside_text(family) + " map @" + outside.sets.exact);
    for (const auto& [set, id] : ports_of_others(
             shape, family,
             {hairpin_displaced_protocols, hairpin_own_protocols, hairpin_bound_protocols,
              nat66_hairpin_displaced_protocols, nat66_hairpin_own_protocols})) {
        auto text = std::string("meta l4proto . th sport @").append(set);
        text.append(" meta l4proto { tcp, udp } counter name \"displaced\" ").append(snat);
        text.append(same_address).append(":").append(to_text(shape.pool));
        Rule(outside.hairpin)
            .meta(NFT_META_L4PROTO, Register::first)
            .port(End::source, Register::second)
            .in(set)
            .of(family)
            .meta(NFT_META_L4PROTO)
            .in_anonymous(id)
            .counter(counters::displaced)
            .original_address(family, End::destination, Register::third)
            .snat_to(family, shape.pool)
            .add_to(batch, text);
    }
    Rule(outside.hairpin)
        .of(family)
        .original_address(family, End::destination, Register::first)
        .snat_to(family, Register::first)
        .add_to(batch, snat + same_address);
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
    if (!outside.fixed) rule.of(outside.family);
    rule.address(outside.family, End::destination)
        .in(outside.wan_addresses)
        .new_flow()
        .counter(counters::unsolicited)
        .verdict(NF_DROP)
        .add_to(batch, text_of(outside, End::destination) + " @" + outside.sets.ports +
                           " iifname @wans " + header_of(outside) + " daddr @" +
                           outside.wan_addresses +
                           " ct state == new "
                           "counter name \"unsolicited\" drop");
}

}  // namespace

void add_inbound_rules(netlink::Batch& batch, const Shape& shape) {
    for (const auto& outside : kinds_of(shape)) add_to_owner_rules(batch, shape, outside);
    add_sent_on_rules(batch, shape);
    for (const auto& outside : families_of(shape)) add_hairpin_rules(batch, shape, outside);
    for (const auto& outside : kinds_of(shape)) add_unsolicited_rules(batch, outside);
}

}  // namespace porthole::nft
