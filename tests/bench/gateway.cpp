// SPDX-License-Identifier: GPL-2.0-or-later
#include "gateway.hpp"

#include <sstream>
#include <stdexcept>

#include <fmt/format.h>

#include "lab/links.hpp"

namespace porthole::bench {
namespace {

constexpr std::size_t hosts = 200;
constexpr std::uint16_t first_port = 10'000;

std::string host_of(std::size_t i) { return fmt::format("10.0.1.{}", i / 2 % hosts + 1); }
std::uint16_t port_of(std::size_t i) { return static_cast<std::uint16_t>(first_port + i / 2); }

}  // namespace

Site::Site() {
    constexpr lab::Duration limit{5000};
    gateway.set_sysctl("net/ipv4/ip_forward", "1");
    lab::add_cable({host, "eth0"}, {gateway, "lan"});
    lab::add_cable({outside, "eth0"}, {gateway, "wan"});
    lab::add_address(gateway, "lan", fmt::format("{}/16", lan_address));
    lab::add_address(gateway, "wan", fmt::format("{}/24", wan_address));
    lab::add_address(host, "eth0", fmt::format("{}/16", host_address));
    lab::add_address(outside, "eth0", fmt::format("{}/24", outside_address));
    lab::add_route(host, lab::everywhere, lan_address);
    lab::add_route(gateway, lab::everywhere, outside_address);
    for (const auto* where : {&host, &gateway, &outside}) {
        lab::wait_for_links(*where, lab::Deadline(limit));
    }
}

dbus::RequestRow existing_row(std::size_t i) {
    return {host_of(i), i % 2 == 0 ? "udp" : "tcp", port_of(i), port_of(i), "", ""};
}

Mapping existing_mapping(std::size_t i) {
    const auto port = Port::from(port_of(i)).value();
    return {i % 2 == 0 ? Protocol::udp : Protocol::tcp, parse<Address>("host", host_of(i)), port,
            port};
}

Service::Service(const lab::Namespace& gateway, std::size_t existing, const lab::Setting& setting)
    : porthole_(gateway, configuration) {
    porthole_.start(setting);
    client_ = std::make_unique<BusClient>(porthole_);
    if (existing != 0) reserve_existing(existing);
    wait_until_settled();
}

std::vector<std::uint64_t> Service::reserve_existing(std::size_t count) {
    std::vector<dbus::RequestRow> rows;
    for (std::size_t i = 0; i < count; ++i) rows.push_back(existing_row(i));
    std::vector<std::uint64_t> ids;
    for (const auto& row : client_->reserve_many(rows)) ids.push_back(row.get<0>());
    return ids;
}

void Service::trivial_call() {
    [[maybe_unused]] const std::string version =
        client_->proxy().getProperty("Version").onInterface(BusClient::manager);
}

void Service::wait_until_settled() {
    const dbus::Dictionary settling{{"state", sdbus::Variant(std::string("settling"))}};
    while (std::get<1>(client_->list(settling, 0, 1)) != 0) {
    }
}

double Service::cpu_time() {
    const auto text = lab::read_file(fmt::format("/proc/{}/schedstat", porthole_.process()->id()));
    return std::stod(text) * 1e-9;
}

double Service::cpu_time_of_all() {
    double sum = 0;
    const auto threads = fmt::format("/proc/{}/task", porthole_.process()->id());
    for (const auto& thread : std::filesystem::directory_iterator(threads)) {
        sum += std::stod(lab::read_file(thread.path() / "schedstat")) * 1e-9;
    }
    return sum;
}

}  // namespace porthole::bench
