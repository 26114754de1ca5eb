// SPDX-License-Identifier: GPL-2.0-or-later
#include <string>

#include "chains.hpp"
#include "elements.hpp"
#include "rule.hpp"
#include "rules.hpp"
#include "timeouts.hpp"

namespace porthole::nft {
namespace {

using namespace chains;  // NOLINT(google-build-using-namespace)

// meta l4proto . ip6 ADDRESS . th PORT, of one end, as keys of the sets of pinholes have it
Rule& load_pinhole(Rule& rule, End end) {
    return rule.meta(NFT_META_L4PROTO, Register::first)
        .ipv6_address(end, Register::second)
        .port(end, Register::sixth);
}

// Whom the host has sent to: meta l4proto . ip6 REMOTE . ip6 HOST . th PORT
Rule& load_contact(Rule& rule, End remote, End host) {
    return rule.meta(NFT_META_L4PROTO, Register::first)
        .ipv6_address(remote, Register::second)
        .ipv6_address(host, Register::sixth)
        .port(host, Register::tenth);
}

// Who comes in unasked is judged in a nat chain, although nothing is translated: it sees first
// packets only, and what it drops leaves no flow behind.
void add_inbound_pinhole_rules(netlink::Batch& batch, const Shape& shape) {
    // Nobody outside has a host's address: answers to such a packet would be let in. Before
    // anything else, as one host's pinhole may let it pass.
    Rule forged(to_owner);
    forged.ipv6().meta(NFT_META_IIFNAME).in(sets::wans);
    load_pinhole(forged, End::source)
        .in(sets::pinholes)
        .counter(counters::unsolicited)
        .verdict(NF_DROP)
        .add_to(batch,
                "iifname @wans meta l4proto . ip6 saddr . th sport @pinholes "
                "counter name \"unsolicited\" drop");

    Rule coming(to_owner);
    coming.ipv6().meta(NFT_META_IIFNAME).in(sets::wans);
    load_pinhole(coming, End::destination)
        .in(sets::pinholes)
        .jump(pinhole)
        .add_to(batch, "iifname @wans meta l4proto . ip6 daddr . th dport @pinholes jump pinhole");

    Rule open(pinhole);
    load_pinhole(open.ipv6(), End::destination)
        .in(sets::open_pinholes)
        .go_to(open_pinhole)
        .add_to(batch, "meta l4proto . ip6 daddr . th dport @open-pinholes goto open-pinhole");
    Rule closed(pinhole);
    load_pinhole(closed.ipv6(), End::destination)
        .in(sets::pinholes_without_contacts)
        .counter(counters::unsolicited)
        .verdict(NF_DROP)
        .add_to(batch,
                "meta l4proto . ip6 daddr . th dport @pinholes-without-contacts "
                "counter name \"unsolicited\" drop");
    Rule contacted(pinhole);
    load_contact(contacted.ipv6(), End::source, End::destination)
        .in(sets::pinhole_contacts)
        .go_to(open_pinhole)
        .add_to(batch,
                "meta l4proto . ip6 saddr . ip6 daddr . th dport @pinhole-contacts "
                "goto open-pinhole");
    Rule(pinhole)
        .counter(counters::unsolicited)
        .verdict(NF_DROP)
        .add_to(batch, "counter name \"unsolicited\" drop");

    Rule waiting(open_pinhole);
    waiting.ipv6().meta(NFT_META_L4PROTO).in_anonymous(let_in_protocols);
    load_pinhole(waiting, End::destination)
        .add_to_set(sets::undelivered_pinholes)
        .add_to(batch,
                "meta l4proto { tcp, udp } "
                "add @undelivered-pinholes { meta l4proto . ip6 daddr . th dport }");
    // A rule of its own: a full set ends the one above.
    Rule let_in(open_pinhole);
    const auto timeouts = set_timeouts(let_in, shape);
    let_in.verdict(NF_ACCEPT).add_to(batch, timeouts + "accept");

    // It has got past everybody's forward chains.
    Rule passed(source_nat);
    passed.ipv6()
        .meta(NFT_META_IIFNAME)
        .in(sets::wans)
        .meta(NFT_META_L4PROTO)
        .in_anonymous(passed_protocols);
    load_pinhole(passed, End::destination)
        .delete_from_set(sets::undelivered_pinholes)
        .add_to(batch,
                "iifname @wans meta l4proto { tcp, udp } "
                "delete @undelivered-pinholes { meta l4proto . ip6 daddr . th dport }");
}

// As `learning` does it for hosts that are translated.
void add_pinhole_learning_rules(netlink::Batch& batch, const Shape& shape) {
    Rule owner(guarded);
    load_pinhole(owner.ipv6(), End::source)
        .in(sets::pinholes)
        .go_to(pinhole_learning)
        .add_to(batch, "meta l4proto . ip6 saddr . th sport @pinholes goto pinhole-learning");

    Rule(pinhole_learning)
        .meta(NFT_META_OIFNAME)
        .not_in(sets::wans)
        .verdict(NFT_RETURN)
        .add_to(batch, "oifname != @wans return");
    Rule lasting(pinhole_learning);
    if (const auto timeouts = set_timeouts(lasting, shape); !timeouts.empty()) {
        lasting.add_to(batch, timeouts);
    }
    Rule without(pinhole_learning);
    load_pinhole(without.ipv6(), End::source)
        .in(sets::pinholes_without_contacts)
        .verdict(NFT_RETURN)
        .add_to(batch, "meta l4proto . ip6 saddr . th sport @pinholes-without-contacts return");
    Rule known(pinhole_learning);
    load_contact(known.ipv6(), End::destination, End::source)
        .in(sets::pinhole_contacts)
        .verdict(NFT_RETURN)
        .add_to(batch, "meta l4proto . ip6 daddr . ip6 saddr . th sport @pinhole-contacts return");
    Rule(pinhole_learning)
        .ipv6()
        .ipv6_address(End::source, Register::first)
        .over_limit(sets::pinhole_learners, contacts_per_second, contacts_at_once)
        .counter(counters::contacts_refused)
        .verdict(NFT_RETURN)
        .add_to(batch,
                "update @pinhole-learners { ip6 saddr limit rate over 1/second burst 400 packets } "
                "counter name \"contacts-refused\" return");
    Rule learnt(pinhole_learning);
    learnt.ipv6().meta(NFT_META_L4PROTO).in_anonymous(pinhole_learnt_protocols);
    load_contact(learnt, End::destination, End::source)
        .add_to_set(sets::pinhole_contacts)
        .verdict(NFT_RETURN)
        .add_to(batch,
                "meta l4proto { tcp, udp } add @pinhole-contacts "
                "{ meta l4proto . ip6 daddr . ip6 saddr . th sport } return");
    // Only where the set is full.
    Rule(pinhole_learning)
        .counter(counters::contacts_refused)
        .add_to(batch, "counter name \"contacts-refused\"");
}

}  // namespace

void add_pinhole_rules(netlink::Batch& batch, const Shape& shape) {
    add_inbound_pinhole_rules(batch, shape);
    add_pinhole_learning_rules(batch, shape);
}

}  // namespace porthole::nft
