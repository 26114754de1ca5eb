// SPDX-License-Identifier: GPL-2.0-or-later
#include "home.hpp"

#include <stdexcept>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lab/conntrack.hpp"
#include "lab/links.hpp"
#include "lab/process.hpp"
#include "lab/two_sites.hpp"

namespace porthole::day {
namespace {

constexpr auto* lan_address = "192.168.2.1";
constexpr lab::Duration link_limit{10'000};
// Of the provider's: the gateway gets the one after the other.
constexpr unsigned wan_addresses = 50;

std::string port_of(unsigned number) { return fmt::format("host{}", number); }

}  // namespace

Home::Home() {
    lab::add_bridge(internet_, "wan");
    lab::add_address(internet_, "wan", fmt::format("{}/24", internet_address));
    gateway_.set_sysctl("net/ipv4/ip_forward", "1");
    lab::add_cable({gateway_, "wan"}, {internet_, "home", "wan"});
    lab::add_bridge(gateway_, "lan");
    lab::add_address(gateway_, "lan", fmt::format("{}/24", lan_address));
    lab::add_address(gateway_, "wan", wan_address() + "/24");
    lab::add_route(gateway_, lab::everywhere, internet_address);
    const lab::Deadline deadline(link_limit);
    lab::wait_for_links(internet_, deadline);
    lab::wait_for_links(gateway_, deadline);
    lab::masquerade(gateway_, lab::InputPolicy::accept);
    porthole_.emplace(gateway_);
    porthole_->start();
}

std::string Home::host_address(unsigned number) { return fmt::format("192.168.2.{}", 1 + number); }

void Home::add_host(const lab::Namespace& host, unsigned number) {
    lab::add_cable({host, "eth0"}, {gateway_, port_of(number), "lan"});
    lab::add_address(host, "eth0", host_address(number) + "/24");
    lab::add_route(host, lab::everywhere, lan_address);
    const lab::Deadline deadline(link_limit);
    lab::wait_for_links(host, deadline);
    lab::wait_for_links(gateway_, deadline);
}

void Home::unplug(unsigned number) const { lab::set_link(gateway_, port_of(number), false); }

void Home::plug_in(unsigned number) const { lab::set_link(gateway_, port_of(number), true); }

void Home::reserve(unsigned number, std::uint16_t internal, std::uint16_t external,
                   const std::string& filtering) const {
    const auto reserved =
        porthole_->ctl({"reserve", host_address(number), "udp", std::to_string(internal),
                        "--external-port", std::to_string(external), "--filtering", filtering});
    if (reserved.status != 0) {
        throw std::runtime_error("portholectl reserve: " + reserved.output + reserved.errors);
    }
}

void Home::change_wan_address() {
    lab::delete_address(gateway_, "wan", wan_address() + "/24");
    address_ = address_ % wan_addresses + 1;
    lab::add_address(gateway_, "wan", wan_address() + "/24");
    lab::add_route(gateway_, lab::everywhere, internet_address);
}

std::string Home::wan_address() const { return fmt::format("203.0.113.{}", address_); }

bool Home::has(const std::set<Contact>& contacts) const {
    if (contacts.empty()) return true;
    std::string elements;
    for (const auto& [remote, port] : contacts) {
        elements += fmt::format("{}udp . {} . {}", elements.empty() ? "" : ", ", remote, port);
    }
    const auto asked = lab::command(
        gateway_, {"nft", fmt::format("get element inet porthole contacts {{ {} }}", elements)});
    return asked.status == 0;
}

std::map<std::string, Fill> Home::sets() const {
    std::map<std::string, Fill> sets;
    const auto table = nlohmann::json::parse(
        lab::output_of(gateway_, {"nft", "-j", "list", "table", "inet", "porthole"}));
    for (const auto& object : table.at("nftables")) {
        for (const auto* const kind : {"set", "map"}) {
            if (!object.contains(kind)) continue;
            const auto& set = object[kind];
            auto& fill = sets[set.at("name").get<std::string>()];
            if (set.contains("elem")) fill.elements = set["elem"].size();
            if (set.contains("size")) fill.size = set["size"].get<std::size_t>();
        }
    }
    return sets;
}

std::set<Contact> Home::live_flows() const {
    std::set<Contact> live;
    for (const auto& flow : lab::flows(gateway_)) {
        if (flow.unreplied) continue;
        // Of a flow from inside the reply goes to the external port; one from outside came there.
        const bool from_inside = flow.original.destination == flow.reply.source;
        const auto& outside = from_inside ? flow.reply.source : flow.original.source;
        const auto& external = from_inside ? flow.reply.destination : flow.original.destination;
        live.insert({TextForm<Address>::format(outside.address), external.port});
    }
    return live;
}

}  // namespace porthole::day
