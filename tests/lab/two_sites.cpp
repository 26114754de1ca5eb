// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/two_sites.hpp"

#include <fmt/format.h>

#include "lab/links.hpp"
#include "lab/process.hpp"

namespace porthole::lab {
namespace {

constexpr Duration link_limit{5000};

std::string with_prefix(std::string_view address, unsigned length) {
    return fmt::format("{}/{}", address, length);
}

void add_gateway(const Namespace& gateway, const Namespace& internet, const std::string& port,
                 std::string_view wan_address, std::string_view lan_address) {
    gateway.set_sysctl("net/ipv4/ip_forward", "1");
    add_cable({gateway, "wan"}, {internet, port, "wan"});
    add_address(gateway, "wan", with_prefix(wan_address, 24));
    add_route(gateway, everywhere, address::internet);
    add_bridge(gateway, "lan");
    add_address(gateway, "lan", with_prefix(lan_address, 24));
}

void add_host(const Namespace& host, std::string_view address, const Namespace& gateway,
              std::string_view router) {
    add_cable({host, "eth0"}, {gateway, host.name(), "lan"});
    add_address(host, "eth0", with_prefix(address, 24));
    add_route(host, everywhere, router);
}

}  // namespace

TwoSites::TwoSites() {
    internet.set_sysctl("net/ipv4/ip_forward", "1");
    add_bridge(internet, "wan");
    add_address(internet, "wan", with_prefix(address::internet, 24));
    add_cable({outside, "eth0"}, {internet, "outside", "wan"});
    add_address(outside, "eth0", with_prefix(address::outside, 24));
    add_route(outside, everywhere, address::internet);

    add_gateway(gateway_a, internet, "a", address::a_wan, address::a_lan);
    add_gateway(gateway_b, internet, "b", address::b_wan, address::b_lan);
    add_host(a1, address::a1, gateway_a, address::a_lan);
    add_host(a2, address::a2, gateway_a, address::a_lan);
    add_host(b1, address::b1, gateway_b, address::b_lan);

    wait_for_all_links();
}

void TwoSites::wait_for_all_links() const {
    const Deadline deadline(link_limit);
    for (const auto* where : {&internet, &outside, &gateway_a, &gateway_b, &a1, &a2, &b1}) {
        wait_for_links(*where, deadline);
    }
}

Namespace TwoSites::add_routed_host() const {
    constexpr std::string_view network = "198.51.100.0/24";
    constexpr std::string_view router = "198.51.100.1";
    Namespace host("a3");
    add_address(gateway_a, "lan", with_prefix(router, 24));
    add_route(internet, network, address::a_wan);
    add_host(host, address::routed, gateway_a, router);
    wait_for_links(gateway_a, Deadline(link_limit));
    wait_for_links(host, Deadline(link_limit));
    return host;
}

void TwoSites::add_ipv6() const {
    for (const auto* router : {&internet, &gateway_a, &gateway_b}) {
        router->set_sysctl("net/ipv6/conf/all/forwarding", "1");
    }
    add_address(internet, "wan", with_prefix(address6::internet, 64));
    add_address(outside, "eth0", with_prefix(address6::outside, 64));
    add_address(gateway_a, "wan", with_prefix(address6::a_wan, 64));
    add_address(gateway_b, "wan", with_prefix(address6::b_wan, 64));
    add_address(gateway_a, "lan", with_prefix(address6::a_lan, 64));
    add_address(gateway_b, "lan", with_prefix(address6::b_lan, 64));
    add_address(a1, "eth0", with_prefix(address6::a1, 64));
    add_address(a2, "eth0", with_prefix(address6::a2, 64));
    add_address(b1, "eth0", with_prefix(address6::b1, 64));

    add_route(internet, "2001:db8:2::/64", address6::a_wan);
    add_route(internet, "2001:db8:3::/64", address6::b_wan);
    for (const auto* where : {&outside, &gateway_a, &gateway_b}) {
        add_route(*where, everywhere_ipv6, address6::internet);
    }
    add_route(a1, everywhere_ipv6, address6::a_lan);
    add_route(a2, everywhere_ipv6, address6::a_lan);
    add_route(b1, everywhere_ipv6, address6::b_lan);
    wait_for_all_links();
}

void masquerade(const Namespace& gateway, InputPolicy input) {
    constexpr std::string_view ruleset = R"(table ip stock {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {{ 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 }} oifname "wan" masquerade
    }}
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname != "wan" accept
        ct state established,related accept
        {}
    }}
}}
)";
    const auto* verdict = input == InputPolicy::drop ? "drop" : "accept";
    output_of(gateway, {"nft", "-f", "-"}, {.input = fmt::format(ruleset, verdict)});
}

}  // namespace porthole::lab
