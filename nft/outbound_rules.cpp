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

// A lookup that finds nothing costs what one costs that finds something: where nothing is exempt,
// nobody asks.
std::string match_not_exempt(Rule& rule, const Shape& shape) {
    if (!shape.exempts) return {};
    rule.ipv4_address(End::destination).not_in(sets::exempt);
    return "ip daddr != @exempt ";
}

// What every flow must be that this chain translates: it leaves through a WAN, and neither comes
// from the gateway itself (its sockets' flows come from no interface, its tunnels' from themselves)
// nor goes to an exempt destination. The rule knows already that it is IPv4. Returns how nft writes
// it, with a space behind it.
std::string match_translated(Rule& rule, const Shape& shape) {
    rule.meta_is_not(NFT_META_IIF, 0, 4)
        .meta(NFT_META_OIFNAME)
        .in(sets::wans)
        .ipv4_address(End::source)
        .not_in(sets::wan_addresses);
    return "iif != 0 oifname @wans ip saddr != @wan-addresses " + match_not_exempt(rule, shape);
}

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
    const auto translated = match_translated(collided, shape);
    collided.meta(NFT_META_L4PROTO)
        .in_anonymous(collided_protocols)
        .counter(counters::displaced)
        .masquerade_to(shape.pool)
        .add_to(batch, "meta l4proto . ip saddr . th sport @collided " + translated + to_pool);
    if (shape.masquerades) {
        Rule others(source_nat);
        others.meta(NFT_META_OIFNAME).in(sets::masquerade_wans).ipv4();
        match_translated(others, shape);
        others.ipv4_address(End::source)
            .in(sets::nat_sources)
            .masquerade()
            .add_to(batch,
                    "oifname @masquerade-wans " + translated + "ip saddr @nat-sources masquerade");
    }

    // A rule for each protocol takes an owner's packet past two lookups less than one for both.
    for (const auto protocol : reservable_protocols) {
        Rule owned(reserved);
        owned.ipv4()
            .protocol_is(protocol)
            .ipv4_address(End::source, Register::second)
            .port(End::source, Register::third)
            .map(sets::exact, Register::fifth);
        // No gateway has a mapping: two questions less than for others.
        owned.meta(NFT_META_OIFNAME).in(sets::wans);
        const auto not_exempt = match_not_exempt(owned, shape);
        owned.ipv4_address(End::source).in(sets::nat_sources);
        const auto timeout = set_timeout(owned, shape, protocol);
        auto text = "meta l4proto " + to_text(protocol);
        text.append(" oifname @wans ").append(not_exempt);
        text.append("ip saddr @nat-sources ").append(timeout);
        text.append("masquerade to :meta l4proto . ip saddr . th sport map @exact");
        owned.masquerade_to_port(Register::fifth).add_to(batch, text);
    }
    if (shape.fixed) {
        Rule fixed(reserved);
        fixed.ipv4()
            .meta(NFT_META_L4PROTO, Register::first)
            .ipv4_address(End::source, Register::second)
            .port(End::source, Register::third)
            .map(sets::fixed, Register::fifth)
            .meta(NFT_META_OIFNAME)
            .in(sets::wans);
        const auto not_exempt = match_not_exempt(fixed, shape);
        fixed.ipv4_address(End::source)
            .in(sets::nat_sources)
            .meta(NFT_META_L4PROTO)
            .in_anonymous(fixed_protocols);
        const auto timeouts = set_timeouts(fixed, shape);
        fixed.snat_ipv4_to_place(Register::fifth, Register::sixth)
            .add_to(batch, "oifname @wans " + not_exempt +
                               "ip saddr @nat-sources meta l4proto { tcp, udp } " + timeouts +
                               "snat ip to meta l4proto . ip saddr . th sport map @fixed");
    }
    if (shape.watched) {
        // An IP header with all its options, and the ports.
        constexpr std::uint32_t headers = 64;
        constexpr std::uint16_t packets_at_once = 16;
        Rule watched(reserved);
        watched.ipv4().protocol_is(Protocol::udp).port_in(End::source, *shape.watched);
        match_translated(watched, shape);
        watched.ipv4_address(End::source)
            .in(sets::nat_sources)
            .log(watch_group, headers, packets_at_once)
            .add_to(batch, "udp sport " + to_text(*shape.watched) + " " + translated +
                               "ip saddr @nat-sources log group " + std::to_string(watch_group) +
                               " snaplen 64 queue-threshold 16");
    }
    // Whoever gets here from a port that is somebody's outside, or the gateway's, does not own it.
    for (const auto& [set, id] : ports_of_others(
             shape, {displaced_protocols, own_displaced_protocols, bound_displaced_protocols})) {
        Rule displaced(reserved);
        displaced.meta(NFT_META_L4PROTO, Register::first)
            .port(End::source, Register::second)
            .in(set)
            .ipv4();
        match_translated(displaced, shape);
        auto text = std::string("meta l4proto . th sport @").append(set).append(" ");
        text.append(translated).append("ip saddr @nat-sources ").append(to_pool);
        displaced.ipv4_address(End::source)
            .in(sets::nat_sources)
            .meta(NFT_META_L4PROTO)
            .in_anonymous(id)
            .counter(counters::displaced)
            .masquerade_to(shape.pool)
            .add_to(batch, text);
    }
}

// When flows from other ports collide, the kernel picks a port at random, perhaps somebody's: the
// packet is dropped, and the flow's next try leaves from the pool. This chain is on the path of
// every packet, so what costs least and stops most comes first: replies, and what has been replied
// to, are not new. Owners leave it as soon as they are known, for where contacts are learnt.
void add_guard_rules(netlink::Batch& batch, const Shape& shape) {
    Rule(guard)
        .new_flow()
        .meta(NFT_META_L4PROTO, Register::first)
        .port(End::source, Register::second)
        .in(sets::ports)
        .jump(guarded)
        .add_to(batch, "ct state == new meta l4proto . th sport @ports jump guarded");
    // Owners go on; then whoever shows a WAN's address, but did not begin with it. The gateway's
    // own flows did.
    for (const auto& outside : kinds_of(shape)) {
        Rule owner(guarded);
        if (outside.fixed) owner.ipv4();
        owner
            .meta(NFT_META_L4PROTO, Register::first)  // for both lookups
            .in_anonymous(outside.owners_protocols)
            .original(NFT_CT_SRC_IP, Register::second)
            .original(NFT_CT_PROTO_SRC, Register::third);
        if (outside.fixed) owner.ipv4_address(End::source, Register::fourth);
        owner.port(End::source, outside.fixed ? Register::fifth : Register::fourth)
            .in(outside.sets.exact_flows)
            .go_to(outside.learning)
            .add_to(batch,
                    "meta l4proto { tcp, udp } meta l4proto . ct original ip saddr . "
                    "ct original proto-src . " +
                        std::string(outside.fixed ? "ip saddr . " : "") + "th sport @" +
                        outside.sets.exact_flows + " goto " + outside.learning);
    }
    const auto add_disguised = [&batch](const Outside& outside, const char* set) {
        Rule disguised(guarded);
        if (outside.fixed) disguised.ipv4();
        load(disguised, outside, End::source).in(set).meta(NFT_META_OIFNAME).in(sets::wans);
        if (!outside.fixed) disguised.ipv4();
        disguised.ipv4_address(End::source)
            .in(sets::wan_addresses)
            .original(NFT_CT_SRC_IP, Register::first)
            .not_in(sets::wan_addresses)
            .jump(stopped)
            .add_to(batch, text_of(outside, End::source) + " @" + std::string(set) +
                               " oifname @wans ip saddr @wan-addresses "
                               "ct original ip saddr != @wan-addresses jump stopped");
    };
    if (shape.fixed) add_disguised(fixed_address, sets::fixed_ports);
    for (const auto* const set : {sets::host_ports, sets::own_ports}) {
        add_disguised(any_address, set);
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
void add_learning_rules(netlink::Batch& batch, const Outside& outside) {
    const std::string contacts = outside.contacts;
    const auto contact = contact_text_of(outside, End::source);
    Rule known(outside.learning);
    load_contact(known.ipv4(), outside, End::source)
        .in(outside.contacts)
        .verdict(NFT_RETURN)
        .add_to(batch, contact + " @" + contacts + " return");
    Rule without(outside.learning);
    if (outside.fixed) without.ipv4();
    load(without, outside, End::source)
        .in(outside.sets.without_contacts)
        .verdict(NFT_RETURN)
        .add_to(batch,
                text_of(outside, End::source) + " @" + outside.sets.without_contacts + " return");
    Rule(outside.learning)
        .meta(NFT_META_OIFNAME)
        .not_in(sets::wans)
        .verdict(NFT_RETURN)
        .add_to(batch, "oifname != @wans return");
    Rule(outside.learning)
        .ipv4()
        .original(NFT_CT_SRC_IP, Register::first)
        .over_limit(sets::learners, contacts_per_second, contacts_at_once)
        .counter(counters::contacts_refused)
        .verdict(NFT_RETURN)
        .add_to(batch,
                "update @learners { ct original ip saddr limit rate over 1/second burst 400 "
                "packets } counter name \"contacts-refused\" return");
    Rule learnt(outside.learning);
    learnt.meta(NFT_META_L4PROTO).in_anonymous(outside.learnt_protocols);
    load_contact(learnt.ipv4(), outside, End::source)
        .add_to_set(outside.contacts)
        .verdict(NFT_RETURN)
        .add_to(batch,
                "meta l4proto { tcp, udp } add @" + contacts + " { " + contact + " } return");
    // Only where the set is full.
    Rule(outside.learning)
        .counter(counters::contacts_refused)
        .add_to(batch, "counter name \"contacts-refused\"");
}

}  // namespace

void add_outbound_rules(netlink::Batch& batch, const Shape& shape) {
    add_source_nat_rules(batch, shape);
    add_guard_rules(batch, shape);
    for (const auto& outside : kinds_of(shape)) add_learning_rules(batch, outside);
}

}  // namespace porthole::nft
