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
std::string match_not_exempt(Rule& rule, const Shape& shape, Family family) {
    if (!shape.exempts || family == Family::ipv6) return {};
    rule.ipv4_address(End::destination).not_in(sets::exempt);
    return "ip daddr != @exempt ";
}

// What every flow must be that this chain translates: it leaves through a WAN, and neither comes
// from the gateway itself (its sockets' flows come from no interface, its tunnels' from themselves)
// nor goes to an exempt destination. The rule knows already of which family it is. Returns how nft
// writes it, with a space behind it.
std::string match_translated(Rule& rule, const Shape& shape, const Outside& outside) {
    rule.meta_is_not(NFT_META_IIF, 0, 4)
        .meta(NFT_META_OIFNAME)
        .in(sets::wans)
        .address(outside.family, End::source)
        .not_in(outside.wan_addresses);
    return "iif != 0 oifname @wans " + header_of(outside) + " saddr != @" + outside.wan_addresses +
           " " + match_not_exempt(rule, shape, outside.family);
}

// ip saddr @nat-sources
std::string match_source(Rule& rule, const Outside& outside) {
    rule.address(outside.family, End::source).in(outside.nat_sources);
    return header_of(outside) + " saddr @" + outside.nat_sources + " ";
}

std::string to_pool(const Shape& shape) {
    return "meta l4proto { tcp, udp } counter name \"displaced\" masquerade to :" +
           to_text(shape.pool);
}

// What the guard stopped a moment ago: left to others, its next try might be stopped again. The
// guard has seen that its source is translated, whoever's network it is in.
void add_collided_rule(netlink::Batch& batch, const Shape& shape, const Outside& outside) {
    Rule collided(source_nat);
    load_inside(collided.of(outside.family), outside.family).in(outside.collided);
    const auto translated = match_translated(collided, shape, outside);
    collided.meta(NFT_META_L4PROTO)
        .in_anonymous(outside.family == Family::ipv4 ? collided_protocols
                                                     : nat66_collided_protocols)
        .counter(counters::displaced)
        .masquerade_to(shape.pool)
        .add_to(batch, inside_text(outside.family) + " @" + outside.collided + " " + translated +
                           to_pool(shape));
}

void add_masquerade_rule(netlink::Batch& batch, const Shape& shape, const Outside& outside) {
    Rule others(source_nat);
    others.meta(NFT_META_OIFNAME).in(sets::masquerade_wans).of(outside.family);
    const auto translated = match_translated(others, shape, outside);
    const auto source = match_source(others, outside);
    others.masquerade().add_to(batch,
                               "oifname @masquerade-wans " + translated + source + "masquerade");
}

// A rule for each protocol takes an owner's packet past two lookups less than one for both.
void add_owner_rules(netlink::Batch& batch, const Shape& shape) {
    for (const auto protocol : reservable_protocols) {
        Rule owned(reserved);
        owned.ipv4()
            .protocol_is(protocol)
            .ipv4_address(End::source, Register::second)
            .port(End::source, Register::third)
            .map(sets::exact, Register::fifth);
        // No gateway has a mapping: two questions less than for others.
        owned.meta(NFT_META_OIFNAME).in(sets::wans);
        auto text = "meta l4proto " + to_text(protocol) + " oifname @wans ";
        text += match_not_exempt(owned, shape, Family::ipv4);
        text += match_source(owned, any_address);
        text += set_timeout(owned, shape, protocol);
        text += "masquerade to :meta l4proto . ip saddr . th sport map @exact";
        owned.masquerade_to_port(Register::fifth).add_to(batch, text);
    }
}

// The same for fixed addresses, and for IPv6.
void add_owner_rule(netlink::Batch& batch, const Shape& shape, const Outside& outside) {
    const auto family = outside.family;
    const auto value = value_register(family);
    Rule owned(reserved);
    load_inside(owned.of(family), family)
        .map(outside.sets.exact, value)
        .meta(NFT_META_OIFNAME)
        .in(sets::wans);
    auto text = "oifname @wans " + match_not_exempt(owned, shape, family);
    text += match_source(owned, outside);
    owned.meta(NFT_META_L4PROTO).in_anonymous(outside.fixed ? fixed_protocols : nat66_protocols);
    text += "meta l4proto { tcp, udp } " + set_timeouts(owned, shape);
    outside.fixed ? owned.snat_to_place(family, value) : owned.masquerade_to_port(value);
    text += outside.fixed ? "snat ip to " : "masquerade to :";
    text += inside_text(family) + " map @" + outside.sets.exact;
    owned.add_to(batch, text);
}

// log group 51820 snaplen 64 queue-threshold 16
Rule& log(Rule& rule) {
    constexpr std::uint32_t headers = 64;  // of IP with all its options, and the ports
    constexpr std::uint16_t packets_at_once = 16;
    return rule.log(watch_group, headers, packets_at_once);
}
std::string log_text() {
    return "log group " + std::to_string(watch_group) + " snaplen 64 queue-threshold 16";
}

void add_watch_rule(netlink::Batch& batch, const Shape& shape, const PortRange& ports) {
    Rule watched(reserved);
    watched.ipv4().protocol_is(Protocol::udp).port_in(End::source, ports);
    const auto translated = match_translated(watched, shape, any_address);
    const auto source = match_source(watched, any_address);
    log(watched).add_to(batch,
                        "udp sport " + to_text(ports) + " " + translated + source + log_text());
}

// An owner that is translated would have left this chain already: it sends from another of its
// addresses now.
void add_moves_rule(netlink::Batch& batch, const Shape& shape) {
    Rule moved(reserved);
    load_inside(moved.ipv6(), Family::ipv6).in(sets::pinholes);
    const auto translated = match_translated(moved, shape, any_ipv6_address);
    const auto source = match_source(moved, any_ipv6_address);
    log(moved).add_to(batch, inside_text(Family::ipv6) + " @" + sets::pinholes + " " + translated +
                                 source + log_text());
}

// Whoever gets here from a port that is somebody's outside, or the gateway's, does not own it.
void add_displaced_rules(netlink::Batch& batch, const Shape& shape, const Outside& outside) {
    for (const auto& [set, id] :
         ports_of_others(shape, outside.family,
                         {displaced_protocols, own_displaced_protocols, bound_displaced_protocols,
                          nat66_displaced_protocols, nat66_own_displaced_protocols})) {
        Rule displaced(reserved);
        displaced.meta(NFT_META_L4PROTO, Register::first)
            .port(End::source, Register::second)
            .in(set)
            .of(outside.family);
        auto text = std::string("meta l4proto . th sport @").append(set).append(" ");
        text += match_translated(displaced, shape, outside);
        text += match_source(displaced, outside);
        text += to_pool(shape);
        displaced.meta(NFT_META_L4PROTO)
            .in_anonymous(id)
            .counter(counters::displaced)
            .masquerade_to(shape.pool)
            .add_to(batch, text);
    }
}

// A nat chain sees the first packet of a flow only: established flows do not pay for it. Each rule
// begins with the lookup that the flows of others fail.
void add_source_nat_rules(netlink::Batch& batch, const Shape& shape) {
    Rule(source_nat)
        .meta(NFT_META_L4PROTO, Register::first)
        .port(End::source, Register::second)
        .in(sets::ports)
        .jump(reserved)
        .add_to(batch, "meta l4proto . th sport @ports jump reserved");
    for (const auto& outside : families_of(shape)) {
        add_collided_rule(batch, shape, outside);
        if (shape.masquerades) add_masquerade_rule(batch, shape, outside);
    }
    add_owner_rules(batch, shape);
    if (shape.fixed) add_owner_rule(batch, shape, fixed_address);
    if (shape.watched) add_watch_rule(batch, shape, *shape.watched);
    add_displaced_rules(batch, shape, any_address);
    if (!shape.nat66) return;
    add_owner_rule(batch, shape, any_ipv6_address);
    if (shape.watches_moves) add_moves_rule(batch, shape);
    add_displaced_rules(batch, shape, any_ipv6_address);
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
        const bool usual = outside.family == Family::ipv4 && !outside.fixed;
        const auto header = header_of(outside);
        auto next = behind_address(outside.family, Register::second);
        Rule owner(guarded);
        if (!usual) owner.of(outside.family);
        owner
            .meta(NFT_META_L4PROTO, Register::first)  // for both lookups
            .in_anonymous(outside.owners_protocols)
            .original_address(outside.family, End::source, Register::second)
            .original_port(End::source, next);
        next = behind(next);
        if (outside.fixed) {
            owner.ipv4_address(End::source, next);
            next = behind(next);
        }
        owner.port(End::source, next)
            .in(outside.sets.exact_flows)
            .go_to(outside.learning)
            .add_to(batch, "meta l4proto { tcp, udp } meta l4proto . ct original " + header +
                               " saddr . ct original proto-src . " +
                               (outside.fixed ? "ip saddr . " : "") + "th sport @" +
                               outside.sets.exact_flows + " goto " + outside.learning);
    }
    const auto add_disguised = [&batch](const Outside& outside, const char* set) {
        const auto header = header_of(outside);
        Rule disguised(guarded);
        if (outside.fixed) disguised.ipv4();
        load(disguised, outside, End::source).in(set).meta(NFT_META_OIFNAME).in(sets::wans);
        if (!outside.fixed) disguised.of(outside.family);
        disguised.address(outside.family, End::source)
            .in(outside.wan_addresses)
            .original_address(outside.family, End::source, Register::first)
            .not_in(outside.wan_addresses)
            .jump(stopped)
            .add_to(batch, text_of(outside, End::source) + " @" + std::string(set) +
                               " oifname @wans " + header + " saddr @" + outside.wan_addresses +
                               " ct original " + header + " saddr != @" + outside.wan_addresses +
                               " jump stopped");
    };
    if (shape.fixed) add_disguised(fixed_address, sets::fixed_ports);
    for (const auto& outside : families_of(shape)) {
        for (const auto* const set : {outside.sets.ports, sets::own_ports}) {
            add_disguised(outside, set);
        }
    }
    for (const auto& outside : families_of(shape)) {
        const bool ipv4 = outside.family == Family::ipv4;
        Rule(stopped)
            .meta(NFT_META_L4PROTO)
            .in_anonymous(ipv4 ? stopped_protocols : nat66_stopped_protocols)
            .meta(NFT_META_L4PROTO, Register::first)
            .original_address(outside.family, End::source, Register::second)
            .original_port(End::source, behind_address(outside.family, Register::second))
            .add_to_set(outside.collided)
            .add_to(batch, "meta l4proto { tcp, udp } add @" + std::string(outside.collided) +
                               " { meta l4proto . ct original " + header_of(outside) +
                               " saddr . ct original proto-src }");
    }
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
    load_contact(known.of(outside.family), outside, End::source)
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
        .of(outside.family)
        .original_address(outside.family, End::source, Register::first)
        .over_limit(outside.learners, contacts_per_second, contacts_at_once)
        .counter(counters::contacts_refused)
        .verdict(NFT_RETURN)
        .add_to(batch, "update @" + std::string(outside.learners) + " { ct original " +
                           header_of(outside) +
                           " saddr limit rate over 1/second burst 400 packets } "
                           "counter name \"contacts-refused\" return");
    Rule learnt(outside.learning);
    learnt.meta(NFT_META_L4PROTO).in_anonymous(outside.learnt_protocols);
    load_contact(learnt.of(outside.family), outside, End::source)
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
