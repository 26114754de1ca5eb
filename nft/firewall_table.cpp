// SPDX-License-Identifier: GPL-2.0-or-later
#include "nft/firewall_table.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <utility>

#include <arpa/inet.h>
#include <libnftnl/object.h>
#include <linux/netfilter/nfnetlink.h>

#include "contacts.hpp"
#include "elements.hpp"
#include "message.hpp"
#include "netlink/message.hpp"
#include "netlink/socket.hpp"
#include "obstruction.hpp"
#include "port_use.hpp"
#include "skeleton.hpp"
#include "timeouts.hpp"

namespace porthole::nft {
namespace {

netlink::Batch transaction() { return netlink::Batch::nfnetlink_transaction(NFNL_SUBSYS_NFTABLES); }

// Adds what a message of a dump of counters says, if it is about one of ours.
void decode_counter(const nlmsghdr* message, FirewallCounters& counted) {
    const std::unique_ptr<nftnl_obj, Free<nftnl_obj_free>> object(nftnl_obj_alloc());
    if (!object) throw std::bad_alloc();
    if (nftnl_obj_nlmsg_parse(message, object.get()) < 0) return;
    const auto* table = nftnl_obj_get_str(object.get(), NFTNL_OBJ_TABLE);
    const auto* name = nftnl_obj_get_str(object.get(), NFTNL_OBJ_NAME);
    if (table == nullptr || name == nullptr || std::string_view(table) != table_name) return;
    const auto packets = nftnl_obj_get_u64(object.get(), NFTNL_OBJ_CTR_PKTS);
    for (const auto& [known, value] :
         {std::pair(counters::unsolicited, &counted.unsolicited),
          std::pair(counters::displaced, &counted.displaced),
          std::pair(counters::guarded, &counted.guarded),
          std::pair(counters::contacts_refused, &counted.contacts_refused)}) {
        if (std::string_view(name) == known) *value = packets;
    }
}

template <typename T>
const std::vector<T>& part(const SetDifference<T>& difference, Edit edit) {
    return edit == Edit::add ? difference.added : difference.removed;
}

// From so many mappings and pinholes on it pays not to be told of one's own elements: while anybody
// listens, the kernel writes a notification for each of them, and keeps all of them until the end.
constexpr std::size_t many = 2000;

// What comes and goes in the sets of ports that several may use.
struct PortChanges {
    SetDifference<ProtocolPort> all;
    SetDifference<ProtocolPort> bound;
};

// The sets of contacts that a table of this shape has.
std::vector<const char*> contact_sets(const Shape& shape) {
    std::vector<const char*> found{sets::contacts};
    if (shape.fixed) found.push_back(sets::fixed_contacts);
    if (shape.nat66) found.push_back(sets::nat66_contacts);
    if (shape.pinholes) found.push_back(sets::pinhole_contacts);
    return found;
}

// `shape`: of the table that is there; `pinholes`: where it has got no place for them yet, its
// shape with one.
netlink::FinalizedBatch encode_difference(const FirewallDifference& difference,
                                          const PortChanges& ports, const Shape& shape,
                                          const std::optional<Shape>& pinholes = std::nullopt) {
    auto batch = transaction();
    if (pinholes) add_pinhole_skeleton(batch, *pinholes);
    if (difference.forget_contacts) {
        for (const auto* set : contact_sets(shape)) flush(batch, set);
    }
    for (const auto edit : {Edit::remove, Edit::add}) {
        edit_interfaces(batch, edit, sets::wans, part(difference.wans, edit));
        edit_interfaces(batch, edit, sets::masquerade_wans, part(difference.masquerade_wans, edit));
        edit_networks(batch, edit, sets::nat_sources, part(difference.nat_sources, edit));
        edit_networks(batch, edit, sets::exempt, part(difference.exempt, edit));
        edit_addresses(batch, edit, sets::wan_addresses, part(difference.wan_addresses, edit));
        edit_networks(batch, edit, sets::ipv6_nat_sources, part(difference.ipv6_nat_sources, edit));
        edit_addresses(batch, edit, sets::ipv6_wan_addresses,
                       part(difference.ipv6_wan_addresses, edit));
        edit_mappings(batch, edit, part(difference.mappings, edit));
        edit_pinholes(batch, edit, part(difference.pinholes, edit));
        edit_ports(batch, edit, sets::own_ports, part(difference.own_ports, edit));
        edit_ports(batch, edit, sets::ports, part(ports.all, edit));
        edit_ports(batch, edit, sets::bound_ports, part(ports.bound, edit));
    }
    return std::move(batch).finalize();
}

// A table, set or element that is missing, or an element that is there already: the kernel does not
// hold what we last put there. An answer that is missing: nobody knows what it holds.
void throw_if_drifted(const netlink::BatchFailure& failure) {
    const auto drifted = std::ranges::find_if(failure.failures(), [](const auto& command) {
        constexpr std::array errors{ENOENT, EEXIST, EBUSY, ENFILE, ENOBUFS, EBADMSG};
        return std::ranges::find(errors, command.error) != errors.end();
    });
    if (drifted == failure.failures().end()) return;
    throw FirewallDrift(drifted->command, drifted->error, drifted->detail);
}

// A kernel without CONFIG_NF_CONNTRACK_TIMEOUT does not know this kind of object. Whatever else
// failed did so for want of it.
bool lacks_timeouts(const netlink::BatchFailure& failure) {
    const auto& first = failure.failures().front();
    return first.command.starts_with(add_timeout_command) &&
           (first.error == ENOENT || first.error == EOPNOTSUPP);
}

template <typename T>
std::size_t size_of(const SetDifference<T>& difference) {
    return difference.removed.size() + difference.added.size();
}

template <typename T>
std::size_t size_after(std::size_t size, const SetDifference<T>& difference) {
    return size + difference.added.size() - difference.removed.size();
}

}  // namespace

// What the kernel was given, as far as the way of the next change depends on it.
struct FirewallTable::Content {
    explicit Content(const Firewall& firewall)
        : enabled(firewall.scope.enabled),
          shape(shape_for(firewall)),
          mappings(firewall.mappings.size()),
          fixed(count_fixed(firewall.mappings)),
          pinholes(firewall.pinholes.size()),
          masquerade_wans(firewall.scope.masquerade_wans.size()),
          exempt(firewall.scope.exempt.size()),
          ports(firewall),
          bound_ports(PortUse::of_bound(firewall)) {}

    // Whether a table of this shape can take the change.
    [[nodiscard]] bool has_room_for(const FirewallDifference& difference) const {
        const bool masquerades = size_after(masquerade_wans, difference.masquerade_wans) != 0;
        const bool exempts = size_after(exempt, difference.exempt) != 0;
        const bool has_fixed = fixed_after(difference) != 0;
        const auto holes = size_after(pinholes, difference.pinholes);
        return size_after(mappings, difference.mappings) + holes <= shape.capacity &&
               masquerades == shape.masquerades && exempts == shape.exempts &&
               has_fixed == shape.fixed;
    }
    [[nodiscard]] std::size_t fixed_after(const FirewallDifference& difference) const {
        return fixed + count_fixed(difference.mappings.added) -
               count_fixed(difference.mappings.removed);
    }
    PortChanges change(const FirewallDifference& difference) {
        mappings = size_after(mappings, difference.mappings);
        fixed = fixed_after(difference);
        pinholes = size_after(pinholes, difference.pinholes);
        masquerade_wans = size_after(masquerade_wans, difference.masquerade_wans);
        exempt = size_after(exempt, difference.exempt);
        return {ports.change(difference), bound_ports.change_bound(difference.mappings)};
    }

    bool enabled;
    Shape shape;
    std::size_t mappings;
    std::size_t fixed;  // of them
    std::size_t pinholes;
    std::size_t masquerade_wans;
    std::size_t exempt;
    PortUse ports;
    PortUse bound_ports;
};

FirewallTable::FirewallTable()
    : FirewallTable(std::make_unique<netlink::Socket>(NETLINK_NETFILTER)) {}

FirewallTable::FirewallTable(std::unique_ptr<netlink::Socket> socket)
    : monitor_(std::make_unique<TableMonitor>(socket->port_id())),
      connection_(std::move(socket)),
      content_(std::make_unique<Content>(Firewall{})) {}

FirewallTable::FirewallTable(std::unique_ptr<netlink::Transport> transport,
                             std::unique_ptr<TableMonitor> monitor)
    : monitor_(std::move(monitor)),
      connection_(std::move(transport)),
      content_(std::make_unique<Content>(Firewall{})) {}

FirewallTable::~FirewallTable() = default;

void FirewallTable::replace(const Firewall& firewall) {
    auto content = std::make_unique<Content>(firewall);
    const bool quietly = can_be_quiet(firewall.mappings.size() + firewall.pinholes.size());
    unsure_ = false;  // whatever was done to the table before
    try {
        execute(encode_replacement(firewall, counters(), has_timeouts_), quietly);
    } catch (const netlink::BatchFailure& failure) {
        if (!has_timeouts_ || !lacks_timeouts(failure)) throw;
        has_timeouts_ = false;
        execute(encode_replacement(firewall, counters(), has_timeouts_), quietly);
    }
    content_ = std::move(content);
}

bool FirewallTable::apply(const FirewallDifference& difference) {
    if (difference.empty() || !content_->enabled) return true;
    if (!content_->has_room_for(difference)) return false;
    const auto ports = content_->change(difference);
    // Once they are there, the rules for pinholes stay until the table is made anew.
    std::optional<Shape> pinholes;
    if (!content_->shape.pinholes && !difference.pinholes.added.empty()) {
        pinholes = content_->shape;
        if (!has_timeouts_) pinholes->udp_timeout.reset();
    }
    try {
        execute(encode_difference(difference, ports, content_->shape, pinholes),
                can_be_quiet(size_of(difference.mappings) + size_of(difference.pinholes)));
    } catch (const netlink::BatchFailure& failure) {
        content_->change(difference.inverse());
        throw_if_drifted(failure);
        throw;
    } catch (...) {
        content_->change(difference.inverse());
        throw;
    }
    content_->shape.pinholes |= pinholes.has_value();
    return true;
}

// Where others have interfered just now, the next change is made under watch.
bool FirewallTable::can_be_quiet(std::size_t reservations) const {
    return monitor_ && !unsure_ && reservations >= many;
}

// What others do while we do not listen shows in the generation of the ruleset: every transaction
// takes it one further.
void FirewallTable::execute(netlink::FinalizedBatch batch, bool quietly) {
    if (!quietly) return connection_.execute(std::move(batch));
    const auto before = generation();
    monitor_->leave();
    try {
        connection_.execute(std::move(batch));
    } catch (...) {
        monitor_->join();
        unsure_ = true;
        throw;
    }
    monitor_->join();
    try {
        unsure_ = generation() - before != 1;
    } catch (const KernelFailure&) {
        unsure_ = true;  // but the batch is in force
    }
}

std::uint32_t FirewallTable::generation() {
    netlink::Batch batch;
    batch.add("get the generation of the ruleset", NFNL_SUBSYS_NFTABLES << 8U | NFT_MSG_GETGEN, 0,
              [](nlmsghdr* message) { put_header(message); });
    std::uint32_t generation = 0;
    connection_.execute(std::move(batch).finalize(), [&generation](const nlmsghdr* answer) {
        const auto attributes = netlink::Attributes::of(answer, sizeof(nfgenmsg));
        if (attributes) generation = ntohl(attributes->u32(NFTA_GEN_ID).value_or(0));
    });
    return generation;
}

int FirewallTable::descriptor() const { return monitor_ ? monitor_->descriptor() : -1; }

bool FirewallTable::changed_by_others() {
    return (monitor_ && monitor_->changed_by_others()) || unsure_;
}

void FirewallTable::remember(std::span<const Contact> contacts) {
    if (contacts.empty() || !content_->enabled) return;
    auto batch = transaction();
    edit_contacts(batch, Edit::put, contacts);
    execute(std::move(batch).finalize(), can_be_quiet(contacts.size()));
}

void FirewallTable::renew(std::span<const Contact> contacts) {
    if (contacts.empty() || !content_->enabled) return;
    KnownContacts known;
    for (const auto* set : contact_sets(content_->shape)) {
        known.merge(list_contacts(connection_, set));
    }
    if (auto batch = encode_renewal(contacts, known)) {
        execute(*std::move(batch), can_be_quiet(contacts.size()));
    }
}

Obstruction FirewallTable::obstruction() {
    if (!content_->enabled) return {};
    Obstruction found{.ports = list_undelivered(connection_, sets::undelivered)};
    if (content_->shape.nat66) {
        found.nat66_ports = list_undelivered(connection_, sets::nat66_undelivered);
    }
    if (content_->shape.pinholes) found.pinholes = list_undelivered_pinholes(connection_);
    const bool asked_for = !found.ports.empty() || content_->shape.pinholes;
    if (asked_for) found.chains = list_forward_policies(connection_);
    return found;
}

FirewallCounters FirewallTable::counters() {
    FirewallCounters found;
    connection_.dump(
        "list counters inet porthole", NFNL_SUBSYS_NFTABLES << 8U | NFT_MSG_GETOBJ,
        [](nlmsghdr* message) {
            put_header(message);
            mnl_attr_put_strz(message, NFTA_OBJ_TABLE, table_name);
            mnl_attr_put_u32(message, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
        },
        [&found](const nlmsghdr* message) { decode_counter(message, found); },
        [&found] { found = {}; });
    return found;
}

netlink::FinalizedBatch encode_replacement(const Firewall& firewall,
                                           const FirewallCounters& counted, bool timeouts) {
    auto batch = transaction();
    if (!firewall.scope.enabled) {
        remove_table(batch);
        return std::move(batch).finalize();
    }
    constexpr std::size_t bytes_of_a_mapping = 150;  // about, in all sets
    batch.reserve(firewall.mappings.size() * bytes_of_a_mapping);
    replace_skeleton(batch, shape_for(firewall, timeouts), counted);
    edit_interfaces(batch, Edit::add, sets::wans, firewall.scope.wans);
    edit_interfaces(batch, Edit::add, sets::masquerade_wans, firewall.scope.masquerade_wans);
    edit_networks(batch, Edit::add, sets::nat_sources, firewall.scope.nat_sources);
    edit_networks(batch, Edit::add, sets::exempt, firewall.scope.exempt);
    edit_addresses(batch, Edit::add, sets::wan_addresses, firewall.scope.wan_addresses);
    edit_networks(batch, Edit::add, sets::ipv6_nat_sources, firewall.scope.ipv6_nat_sources);
    edit_addresses(batch, Edit::add, sets::ipv6_wan_addresses, firewall.scope.ipv6_wan_addresses);
    edit_mappings(batch, Edit::add, firewall.mappings);
    edit_pinholes(batch, Edit::add, firewall.pinholes);
    edit_ports(batch, Edit::add, sets::own_ports, firewall.scope.own_ports);
    edit_ports(batch, Edit::add, sets::ports, PortUse(firewall).used());
    edit_ports(batch, Edit::add, sets::bound_ports, PortUse::of_bound(firewall).used());
    return std::move(batch).finalize();
}

netlink::FinalizedBatch encode_difference(const Firewall& from,
                                          const FirewallDifference& difference) {
    return encode_difference(difference,
                             {PortUse(from).change(difference),
                              PortUse::of_bound(from).change_bound(difference.mappings)},
                             Shape{});
}

}  // namespace porthole::nft
