// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/conntrack.hpp"

#include <array>
#include <sstream>
#include <stdexcept>

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "lab/process.hpp"
#include "netlink/message.hpp"
#include "netlink/socket.hpp"

namespace porthole::lab {
namespace {

std::unique_ptr<netlink::Transport> events_of(const Namespace& where, unsigned group) {
    return where.run([group] {
        const std::array groups{group};
        return std::make_unique<netlink::Socket>(NETLINK_NETFILTER, groups);
    });
}

std::optional<Tuple> original_of(const nlmsghdr* message) {
    const auto all = netlink::Attributes::of(message, sizeof(nfgenmsg));
    const auto tuple = all ? all->nested(CTA_TUPLE_ORIG) : std::nullopt;
    const auto ip = tuple ? tuple->nested(CTA_TUPLE_IP) : std::nullopt;
    const auto ports = tuple ? tuple->nested(CTA_TUPLE_PROTO) : std::nullopt;
    if (!ip || !ports) return std::nullopt;
    const auto source = ip->u32(CTA_IP_V4_SRC);
    const auto destination = ip->u32(CTA_IP_V4_DST);
    const auto from = ports->u16(CTA_PROTO_SRC_PORT);
    const auto to = ports->u16(CTA_PROTO_DST_PORT);
    if (!source || !destination || !from || !to) return std::nullopt;
    return Tuple{{Address::v4(ntohl(*source)), ntohs(*from)},
                 {Address::v4(ntohl(*destination)), ntohs(*to)}};
}

}  // namespace

// udp 17 29 src=… dst=… sport=… dport=… [UNREPLIED] src=… dst=… sport=… dport=… mark=0 use=1 id=…
std::optional<Flow> parse_flow(const std::string& line) {
    std::istringstream words(line);
    std::string protocol;
    unsigned number = 0;
    unsigned timeout = 0;
    if (!(words >> protocol >> number >> timeout) || (protocol != "udp" && protocol != "tcp")) {
        return std::nullopt;
    }
    std::vector<Address> addresses;
    std::vector<std::uint16_t> ports;
    std::uint32_t id = 0;
    for (std::string word; words >> word;) {
        const auto equals = word.find('=');
        if (equals == std::string::npos) continue;
        const auto key = word.substr(0, equals);
        const auto value = word.substr(equals + 1);
        if (key == "src" || key == "dst") addresses.push_back(parse<Address>(key, value));
        if (key == "id") id = static_cast<std::uint32_t>(std::stoul(value));
        if (key == "sport" || key == "dport") {
            ports.push_back(static_cast<std::uint16_t>(std::stoul(value)));
        }
    }
    if (addresses.size() != 4 || ports.size() != 4) return std::nullopt;
    return Flow{protocol,
                {{addresses[0], ports[0]}, {addresses[1], ports[1]}},
                {{addresses[2], ports[2]}, {addresses[3], ports[3]}},
                line.find("[UNREPLIED]") != std::string::npos,
                line.find("[ASSURED]") != std::string::npos,
                timeout,
                line,
                id};
}

std::vector<Flow> flows(const Namespace& where) {
    std::vector<Flow> all;
    for (const auto* family : {"ipv4", "ipv6"}) {
        std::istringstream lines(output_of(where, {"conntrack", "-L", "-f", family, "-o", "id"}));
        for (std::string line; std::getline(lines, line);) {
            if (auto flow = parse_flow(line)) all.push_back(*std::move(flow));
        }
    }
    return all;
}

std::vector<Flow> flows_from(const Namespace& where, std::string_view host, std::uint16_t port) {
    auto found = flows(where);
    std::erase_if(found, [source = at(host, port)](const Flow& flow) {
        return flow.original.source != source;
    });
    return found;
}

FlowMonitor::FlowMonitor(const Namespace& where)
    : where_(where), events_(events_of(where, NFNLGRP_CONNTRACK_NEW)) {}

bool FlowMonitor::wait_for(std::string_view host, std::uint16_t port, Duration limit) const {
    const Deadline deadline(limit);
    std::vector<std::byte> buffer(64UL * 1024);
    while (flows_from(where_, host, port).empty()) {
        if (!deadline.poll(events_->descriptor(), POLLIN)) return false;
        while (events_->receive(buffer) != 0) {
        }
    }
    return true;
}

FlowEndMonitor::FlowEndMonitor(const Namespace& where)
    : events_(events_of(where, NFNLGRP_CONNTRACK_DESTROY)) {}

std::vector<Tuple> FlowEndMonitor::ended() {
    std::vector<Tuple> tuples;
    std::vector<std::byte> buffer(netlink::Transport::max_datagram_bytes);
    const bool all = netlink::receive_all(*events_, buffer, [&tuples](const nlmsghdr* message) {
        if (const auto original = original_of(message)) tuples.push_back(*original);
    });
    if (!all) throw std::runtime_error("the kernel has dropped notifications of conntrack");
    return tuples;
}

}  // namespace porthole::lab
