// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/rule_editor.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <sys/socket.h>

#include "netlink/message.hpp"
#include "netlink/socket.hpp"

namespace porthole::netlink {
namespace {

constexpr auto loopback = "lo";  // where the gateway's own packets come from
constexpr std::uint32_t whole_mark = 0xFFFFFFFF;

// One that is there.
struct KnownRule {
    unsigned char family;
    std::optional<RoutingRule> rule;  // nothing: this program makes none like it
    std::vector<std::byte> payload;   // as the kernel has told it, which adds and removes it, too
};

std::optional<Network> decode_source(const Attributes& attributes, unsigned prefix_length) {
    const auto wire = attributes.payload(FRA_SRC).value_or(std::span<const std::byte>());
    const auto* bytes = static_cast<const std::uint8_t*>(static_cast<const void*>(wire.data()));
    const auto address = Address::from_bytes({bytes, wire.size()});
    return address ? Network::from(*address, prefix_length) : std::nullopt;
}

std::optional<RoutingRule> decode_rule(const fib_rule_hdr& header, const Attributes& attributes) {
    const bool usual = header.action == FR_ACT_TO_TBL && (header.flags & FIB_RULE_INVERT) == 0 &&
                       header.dst_len == 0 && attributes.text(FRA_IIFNAME) == loopback &&
                       attributes.u32(FRA_PRIORITY) == RuleEditor::priority;
    if (!usual) return std::nullopt;
    RoutingRule rule{.family = header.family == AF_INET ? Family::ipv4 : Family::ipv6,
                     .unmarked = attributes.u32(FRA_FWMASK) == whole_mark,
                     .table = attributes.u32(FRA_TABLE).value_or(header.table),
                     .but_default = attributes.u32(FRA_SUPPRESS_PREFIXLEN) == 0U};
    if (header.src_len != 0) {
        rule.source = decode_source(attributes, header.src_len);
        if (!rule.source) return std::nullopt;
    }
    return rule;
}

std::optional<KnownRule> decode_known_rule(const nlmsghdr* message) {
    const auto attributes = Attributes::of(message, sizeof(fib_rule_hdr));
    if (message->nlmsg_type != RTM_NEWRULE || !attributes) return std::nullopt;
    const auto* payload = mnl_nlmsg_get_payload(message);
    const auto& header = *static_cast<const fib_rule_hdr*>(payload);
    const bool routes = header.family == AF_INET || header.family == AF_INET6;
    if (!routes || attributes->u8(FRA_PROTOCOL) != RuleEditor::protocol) return std::nullopt;
    const auto* bytes = static_cast<const std::byte*>(payload);
    return KnownRule{header.family,
                     decode_rule(header, *attributes),
                     {bytes, bytes + mnl_nlmsg_get_payload_len(message)}};
}

// Sorted by family.
std::vector<KnownRule> read_rules(Connection& connection) {
    std::vector<KnownRule> rules;
    connection.dump(
        "list routing rules", RTM_GETRULE,
        [](nlmsghdr* message) { mnl_nlmsg_put_extra_header(message, sizeof(fib_rule_hdr)); },
        [&](const nlmsghdr* message) {
            if (auto rule = decode_known_rule(message)) rules.push_back(*std::move(rule));
        },
        [&] { rules.clear(); });
    std::ranges::stable_sort(rules, {}, [](const KnownRule& each) { return each.family; });
    return rules;
}

// As ip-rule(8) writes it.
std::string to_text(const RoutingRule& rule) {
    auto text = "from " + (rule.source ? to_text(*rule.source) : "all") + " iif lo";
    if (rule.unmarked) text += " fwmark 0/0xffffffff";
    text += " lookup " + std::to_string(rule.table);
    if (rule.but_default) text += " suppress_prefixlength 0";
    return text;
}

void put_rule(nlmsghdr* message, const RoutingRule& rule) {
    auto& header =
        *static_cast<fib_rule_hdr*>(mnl_nlmsg_put_extra_header(message, sizeof(fib_rule_hdr)));
    header.family = rule.family == Family::ipv4 ? AF_INET : AF_INET6;
    header.action = FR_ACT_TO_TBL;
    mnl_attr_put_u32(message, FRA_PRIORITY, RuleEditor::priority);
    mnl_attr_put_u8(message, FRA_PROTOCOL, RuleEditor::protocol);
    mnl_attr_put_u32(message, FRA_TABLE, rule.table);
    mnl_attr_put_strz(message, FRA_IIFNAME, loopback);
    if (rule.source) {
        const auto bytes = rule.source->address().bytes();
        header.src_len = static_cast<std::uint8_t>(rule.source->prefix_length());
        mnl_attr_put(message, FRA_SRC, bytes.size(), bytes.data());
    }
    if (rule.unmarked) mnl_attr_put_u32(message, FRA_FWMASK, whole_mark);  // all of it is 0
    if (rule.but_default) mnl_attr_put_u32(message, FRA_SUPPRESS_PREFIXLEN, 0);
}

// Not NLM_F_EXCL: a rule for any source would be taken for one that is there for a single one.
void execute(Connection& connection, bool add, const std::string& name,
             const std::function<void(nlmsghdr*)>& payload) {
    Batch batch;
    batch.add((add ? "add" : "remove") + (" routing rule " + name), add ? RTM_NEWRULE : RTM_DELRULE,
              static_cast<std::uint16_t>(add ? NLM_F_CREATE : 0), payload);
    connection.execute(std::move(batch).finalize());
}

void add_rules(Connection& connection, const std::vector<RoutingRule>& rules) {
    for (const auto& rule : rules) {
        execute(connection, true, to_text(rule),
                [&rule](nlmsghdr* message) { put_rule(message, rule); });
    }
}

void execute(Connection& connection, bool add, const KnownRule& rule) {
    const auto name = rule.rule ? to_text(*rule.rule) : "of another version";
    execute(connection, add, name, [&rule](nlmsghdr* message) {
        auto* room = mnl_nlmsg_put_extra_header(message, rule.payload.size());
        std::memcpy(room, rule.payload.data(), rule.payload.size());
    });
}

// From the first on: asked to remove the one for any source, the kernel takes the first that is
// like it but for its source.
void remove_rules(Connection& connection, const std::vector<KnownRule>& rules) {
    for (const auto& rule : rules) {
        try {
            execute(connection, false, rule);
        } catch (const KernelFailure& failure) {
            if (failure.code() != ENOENT) throw;  // it is gone already
        }
    }
}

// The error that is answered is the one before.
void restore_rules(Connection& connection, const std::vector<KnownRule>& rules) {
    try {
        remove_rules(connection, read_rules(connection));
        for (const auto& rule : rules) execute(connection, true, rule);
    } catch (const KernelFailure&) {  // NOLINT(bugprone-empty-catch)
    }
}

}  // namespace

RuleEditor::RuleEditor() : RuleEditor(std::make_unique<Socket>(NETLINK_ROUTE)) {}

RuleEditor::RuleEditor(std::unique_ptr<Transport> transport) : connection_(std::move(transport)) {}

// Where anything is to change all are made anew: the order in which they come is their order.
void RuleEditor::set(const std::vector<RoutingRule>& wanted) {
    auto sorted = wanted;
    std::ranges::stable_sort(sorted, {}, &RoutingRule::family);
    const auto there = read_rules(connection_);
    if (std::ranges::equal(there, sorted, {}, &KnownRule::rule)) return;
    try {
        remove_rules(connection_, there);
        add_rules(connection_, sorted);
    } catch (...) {
        restore_rules(connection_, there);
        throw;
    }
}

}  // namespace porthole::netlink
