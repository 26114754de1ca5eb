// SPDX-License-Identifier: GPL-2.0-or-later
// What the gateway has to say about itself.
#include <set>

#include "core/gateway.hpp"

namespace porthole {

GatewayStatus Gateway::status() const {
    GatewayStatus status{.enabled = enabled_,
                         .perimeter = perimeter(),
                         .masquerade = configuration_.masquerade,
                         .own_ports = reservations_.own_ports(),
                         .reservations = reservations_.size(),
                         .generation = generation(),
                         .counters = firewall_.counters(),
                         .rebuilds = enforcement_.rebuilds(),
                         .settled_flows = settling().deleted(),
                         .watched = perimeter().scope.watched,
                         .claims = reservations_.claims().size(),
                         .claims_refused = lookout_.claims_refused(),
                         .conflicts = conflicts().open().size(),
                         .warnings = configuration_refused_};
    if (!enabled_) {
        status.warnings.emplace_back(
            "switched off: no reservation is in force, and nothing is translated or filtered");
    }
    if (!settling().failure().empty()) {
        status.warnings.push_back("flows may still use wrong ports: " + settling().failure());
    }
    if (!cannot_watch_.empty() && configuration_.claims.enabled) {
        status.warnings.push_back("no ports are claimed for hosts: " + cannot_watch_);
    }
    if (!firewall_.has_timeouts()) {
        status.warnings.emplace_back(
            "nat.udp-timeout has no effect: the kernel has no conntrack timeouts "
            "(CONFIG_NF_CONNTRACK_TIMEOUT)");
    }
    if (diverged()) status.warnings.emplace_back("the rules in the kernel are not the right ones");
    for (const auto& port : reservations_.own_ports()) {
        const auto* owner = reservations_.anybody(port);
        if (owner == nullptr) continue;
        const auto address = owner->external_address.fixed();
        status.warnings.push_back("the gateway itself receives on " + to_text(port) +
                                  ", which is reserved for " + to_text(owner->internal.host) +
                                  ": through a WAN nobody gets there" +
                                  (address ? " at " + to_text(*address) : std::string()));
    }
    for (const auto& row : configuration_.reservations) {
        if (reservations_.find(row.internal) == nullptr) continue;  // it was refused
        try {
            require_lan_host(perimeter(), row.internal.host);
        } catch (const InvalidArgument& invalid) {
            status.warnings.push_back(std::string("in the configuration: ") + invalid.what());
        }
    }
    for (const auto& [address, count] : reservations_.missing_addresses()) {
        status.warnings.push_back(
            "no WAN has the address " + to_text(address) + ": " + std::to_string(count) +
            (count == 1 ? " reservation waits" : " reservations wait") + " for it");
    }
    if (reservations_.has_pinholes()) warn_of_pinholes(status.warnings);
    if (configuration_.nat66) warn_of_nat66(status.warnings);
    if (!forwards_) {
        status.warnings.emplace_back(
            "the gateway forwards nothing: net.ipv4.ip_forward is off (sysctl)");
    }
    if (perimeter().scope.wans.empty()) {
        status.warnings.emplace_back(
            "no WAN is known: no interface has a default route, or name "
            "it in wan.interfaces");
    }
    if (perimeter().scope.nat_sources.empty()) {
        status.warnings.emplace_back(
            "no LAN with a private IPv4 network is known: name it in "
            "lan.interfaces or nat.sources");
    }
    return status;
}

void Gateway::warn_of_pinholes(std::vector<std::string>& warnings) const {
    for (const auto& chain : lookout_.observations().chains_before_pinholes()) {
        warnings.push_back(
            "IPv6: whoever may come in for a reserved port still has to be accepted by the chain " +
            chain + ", whose policy is to drop");
    }
    std::set<std::string> others;
    for (const auto& route : interfaces_.default_routes) {
        if (route.family == Family::ipv6) others.insert(interface_name(route.link_index));
    }
    others.erase(std::string());  // it is gone already
    for (const auto& wan : perimeter().scope.wans) others.erase(wan.text());
    for (const auto& name : others) {
        warnings.push_back("IPv6: what comes in through " + name +
                           " is not filtered, as that is no WAN; name all WANs in wan.interfaces");
    }
    if (!lookout_.forwards_ipv6()) {
        warnings.emplace_back(
            "IPv6: the gateway forwards nothing: net.ipv6.conf.all.forwarding is off (sysctl)");
    }
}

void Gateway::warn_of_nat66(std::vector<std::string>& warnings) const {
    if (perimeter().scope.ipv6_nat_sources.empty()) {
        warnings.emplace_back(
            "nat.ipv6 is \"nat66\", but no LAN with a private IPv6 network (fc00::/7) is known: "
            "name it in nat.sources");
    }
    if (perimeter().scope.ipv6_wan_addresses.empty()) {
        warnings.emplace_back("nat.ipv6 is \"nat66\", but the gateway has no IPv6 address to show");
    }
    if (!cannot_watch_.empty()) {
        warnings.push_back("NAT66 follows hosts to other addresses of theirs only once a minute: " +
                           cannot_watch_);
    }
    for (const auto id : reservations_.crowded_out()) {
        const auto& row = *reservations_.find(id);
        const auto protocol = row.internal.protocol;
        const auto* owner = reservations_.find(protocol, row.external_port, Family::ipv6);
        const std::string whose = owner != nullptr ? to_text(owner->internal.host)
                                  : reservations_.is_own(protocol, row.external_port)
                                      ? "the gateway itself"
                                      : "the pool";
        warnings.push_back("NAT66: external port " +
                           to_text(ProtocolPort{protocol, row.external_port}) + " belongs to " +
                           whose + ", so " + to_text(row.internal.host) + " (reservation " +
                           std::to_string(number(id)) + ") does not leave from it over IPv6");
    }
}

}  // namespace porthole
