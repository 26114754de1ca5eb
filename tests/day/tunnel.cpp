// SPDX-License-Identifier: GPL-2.0-or-later
#include "tunnel.hpp"

#include <utility>

#include <fmt/format.h>

#include "lab/links.hpp"
#include "lab/process.hpp"

namespace porthole::day {
namespace {

constexpr std::uint16_t probe_port = 7;
constexpr auto* question = "question";
constexpr auto* answer = "answer";

std::string tunnel_address(unsigned number, End end) {
    return fmt::format("10.9.{}.{}", number, end == End::inside ? 1 : 2);
}

}  // namespace

Tunnel::Tunnel(Home& home, unsigned number, bool endpoint_independent)
    : home_(home), number_(number), endpoint_independent_(endpoint_independent) {
    home_.add_host(host_, number_);
    home_.reserve(number_, listen_port, external_port(),
                  endpoint_independent_ ? "endpoint-independent" : "address-dependent");
    lab::add_cable({remote_, "eth0"}, {home_.internet(), fmt::format("remote{}", number_), "wan"});
    lab::add_address(remote_, "eth0", remote_address() + "/24");
    lab::wait_for_links(remote_, lab::Deadline(lab::Duration(10'000)));

    for (const auto end : {End::inside, End::outside}) {
        const auto& where = end == End::inside ? host_ : remote_;
        const auto place = static_cast<std::size_t>(end);
        wireguards_.at(place).emplace(where, tunnel_address(number_, end) + "/24");
        sockets_.at(place).emplace(where, lab::at(tunnel_address(number_, end), probe_port));
    }
    wireguards_[0]->configure(
        listen_port, {{wireguards_[1]->public_key(), lab::at(remote_address(), listen_port),
                       tunnel_address(number_, End::outside) + "/32", keepalive}});
    wireguards_[1]->configure(
        listen_port, {{wireguards_[0]->public_key(), lab::at(home_.wan_address(), external_port()),
                       tunnel_address(number_, End::inside) + "/32", keepalive}});
}

std::uint16_t Tunnel::external_port() const {
    return static_cast<std::uint16_t>(listen_port + number_);
}

std::string Tunnel::remote_address() const {
    constexpr unsigned first = 100;
    constexpr unsigned others = 50;
    const bool elsewhere = endpoint_independent_ && moves_ % 2 == 1;
    return fmt::format("203.0.113.{}", first + number_ + (elsewhere ? others : 0));
}

void Tunnel::sleep() {
    home_.unplug(number_);
    asleep_ = true;
}

void Tunnel::wake() {
    home_.plug_in(number_);
    asleep_ = false;
}

void Tunnel::roam() {
    if (!endpoint_independent_) {
        const auto port = listen_port + 1000 + ++moves_;
        lab::output_of(remote_, {"wg", "set", wireguards_[1]->interface(), "listen-port",
                                 std::to_string(port)});
        return;
    }
    lab::delete_address(remote_, "eth0", remote_address() + "/24");
    ++moves_;
    lab::add_address(remote_, "eth0", remote_address() + "/24");
}

void Tunnel::ask(End from) {
    const auto to = from == End::inside ? End::outside : End::inside;
    socket(from).send_to(lab::at(tunnel_address(number_, to), probe_port), question);
}

void Tunnel::receive(End at) {
    while (const auto datagram = socket(at).receive(lab::Duration(0))) {
        if (datagram->payload == question) {
            socket(at).send_to(datagram->source, answer);
        } else {
            answered_.at(static_cast<std::size_t>(at)) = true;
        }
    }
}

bool Tunnel::answered(End from) {
    return std::exchange(answered_.at(static_cast<std::size_t>(from)), false);
}

}  // namespace porthole::day
