// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/conntrack.hpp"

#include <array>
#include <sstream>

#include <linux/netfilter/nfnetlink.h>

#include "lab/process.hpp"
#include "netlink/socket.hpp"

namespace porthole::lab {

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
    : where_(where), events_(where.run([] {
          constexpr std::array<unsigned, 1> groups{NFNLGRP_CONNTRACK_NEW};
          return std::make_unique<netlink::Socket>(NETLINK_NETFILTER, groups);
      })) {}

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

}  // namespace porthole::lab
