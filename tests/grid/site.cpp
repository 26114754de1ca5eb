// SPDX-License-Identifier: GPL-2.0-or-later
#include "site.hpp"

#include <array>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "lab/links.hpp"
#include "lab/process.hpp"
#include "lab/two_sites.hpp"

namespace porthole::grid {
namespace {

constexpr auto* internet_address = "203.0.113.254";
constexpr auto* carrier_address = "100.64.0.1";
constexpr auto* carriers_customer = "100.64.0.2";
constexpr auto* ping_seconds = "20";
constexpr lab::Duration link_limit{10'000};

constexpr std::array names{"strict Porthole", "Porthole",    "open Porthole",
                           "dropping",        "accepting",   "random port",
                           "full cone",       "public host", "carrier-grade"};

void load(const lab::Namespace& gateway, const std::string& ruleset) {
    lab::output_of(gateway, {"nft", "-f", "-"}, {.input = ruleset});
}

// `inside`: what it translates.
std::string random_ports(std::string_view inside) {
    return fmt::format(R"(table ip stock {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {} oifname "wan" masquerade random,fully-random
    }}
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname "wan" ct state new drop
    }}
}}
)",
                       inside);
}

std::string forwarded_port(std::string_view host) {
    return fmt::format(R"(table ip forward-port {{
    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        iifname "wan" udp dport {0} dnat to {1}:{0}
    }}
}}
)",
                       port, host);
}

}  // namespace

std::string_view name(Kind kind) { return names.at(static_cast<std::size_t>(kind)); }

Site::Site(const lab::Namespace& internet, Kind kind, unsigned number)
    : number_(number),
      line_(fmt::format("site{}", number)),
      wan_address_(fmt::format("203.0.113.{}", number)),
      host_address_(fmt::format("192.168.{}.2", number)),
      tunnel_address_(fmt::format("10.9.0.{}", number)) {
    if (kind == Kind::public_host) {
        lab::add_cable({host_, "eth0"}, {internet, line_, "wan"});
        lab::add_address(host_, "eth0", wan_address_ + "/24");
        lab::add_route(host_, lab::everywhere, internet_address);
    } else if (kind == Kind::behind_carrier_nat) {
        carrier_.set_sysctl("net/ipv4/ip_forward", "1");
        lab::add_cable({carrier_, "wan"}, {internet, line_, "wan"});
        lab::add_address(carrier_, "wan", wan_address_ + "/24");
        lab::add_route(carrier_, lab::everywhere, internet_address);
        lab::add_cable({gateway_, "wan"}, {carrier_, "customer"});
        lab::add_address(carrier_, "customer", fmt::format("{}/24", carrier_address));
        lab::add_address(gateway_, "wan", fmt::format("{}/24", carriers_customer));
        lab::add_route(gateway_, lab::everywhere, carrier_address);
    } else {
        lab::add_cable({gateway_, "wan"}, {internet, line_, "wan"});
        lab::add_address(gateway_, "wan", wan_address_ + "/24");
        lab::add_route(gateway_, lab::everywhere, internet_address);
    }
    if (kind != Kind::public_host) build_lan();
    const lab::Deadline deadline(link_limit);
    for (const lab::Namespace* where :
         {&internet, &std::as_const(carrier_), &std::as_const(gateway_), &std::as_const(host_)}) {
        lab::wait_for_links(*where, deadline);
    }
    set_rules(kind);
    wireguard_ = std::make_unique<lab::WireGuard>(host_, tunnel_address_ + "/24");
}

void Site::build_lan() {
    const auto router = fmt::format("192.168.{}.1", number_);
    gateway_.set_sysctl("net/ipv4/ip_forward", "1");
    lab::add_cable({gateway_, "lan"}, {host_, "eth0"});
    lab::add_address(gateway_, "lan", router + "/24");
    lab::add_address(host_, "eth0", host_address_ + "/24");
    lab::add_route(host_, lab::everywhere, router);
}

void Site::set_rules(Kind kind) {
    switch (kind) {
        case Kind::strict:
            return add_porthole("address-and-port-dependent");
        case Kind::address_dependent:
            return add_porthole("address-dependent");
        case Kind::open:
            return add_porthole("endpoint-independent");
        case Kind::dropping:
            return lab::masquerade(gateway_, lab::InputPolicy::drop);
        case Kind::accepting:
            return lab::masquerade(gateway_, lab::InputPolicy::accept);
        case Kind::random_port:
            return load(gateway_, random_ports("192.168.0.0/16"));
        case Kind::full_cone:
            lab::masquerade(gateway_, lab::InputPolicy::drop);
            return load(gateway_, forwarded_port(host_address_));
        case Kind::behind_carrier_nat:
            lab::masquerade(gateway_, lab::InputPolicy::drop);
            return load(carrier_, random_ports("100.64.0.0/10"));
        case Kind::public_host:
            break;
    }
}

// On top of a stock gateway that accepts, which is the harder one.
void Site::add_porthole(std::string_view filtering) {
    lab::masquerade(gateway_, lab::InputPolicy::accept);
    porthole_.emplace(gateway_);
    porthole_->start();
    const auto reserved = porthole_->ctl({"reserve", host_address_, "udp", std::to_string(port),
                                          "--filtering", std::string(filtering)});
    if (reserved.status != 0) {
        throw std::runtime_error("portholectl reserve: " + reserved.output + reserved.errors);
    }
}

void Site::start(const Site& other) const {
    wireguard_->configure(port, {{other.wireguard_->public_key(), lab::at(other.wan_address_, port),
                                  other.tunnel_address_ + "/32"}});
}

bool Site::reaches(const Site& other) const {
    return lab::command(host_, {"ping", "-n", "-q", "-c1", "-i0.5", "-w", ping_seconds,
                                other.tunnel_address_})
               .status == 0;
}

}  // namespace porthole::grid
