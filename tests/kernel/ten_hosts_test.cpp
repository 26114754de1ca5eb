// SPDX-License-Identifier: GPL-2.0-or-later
// Ten hosts behind one gateway, all with WireGuard on the same port, and nobody has configured
// anything. Each has a remote of its own, and all have one in common.
#include <memory>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bus_client.hpp"
#include "lab/conntrack.hpp"
#include "lab/deadline.hpp"
#include "lab/links.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/two_sites.hpp"
#include "lab/wireguard.hpp"

namespace porthole {
namespace {

using lab::Namespace;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint16_t wireguard = 51820;
constexpr std::size_t host_count = 10;
constexpr std::string_view wan_address = "203.0.113.1";
constexpr lab::Duration handshake_limit{20'000};
// A host says something every 5 s; 5 s is also what WireGuard waits for the answer to a handshake.
constexpr lab::Duration keepalive_and_handshake{10'000};

/// WireGuard on a machine of its own, with the address that it has in the tunnels.
struct Peer {
    Peer(const std::string& name, const std::string& network_address, std::string tunnel_address)
        : where(name), address(network_address), tunnel(std::move(tunnel_address)) {}
    void start() { wireguard = std::make_unique<lab::WireGuard>(where, tunnel + "/16"); }

    Namespace where;
    std::string address;
    std::string tunnel;
    std::unique_ptr<lab::WireGuard> wireguard;
    std::vector<lab::WireGuardPeer> peers = {};
};

class TenHosts : public testing::Test {
  protected:
    TenHosts() {
        gateway.set_sysctl("net/ipv4/ip_forward", "1");
        lab::add_bridge(internet, "wan");
        lab::add_address(internet, "wan", "203.0.113.254/24");
        lab::add_cable({gateway, "wan"}, {internet, "gateway", "wan"});
        lab::add_address(gateway, "wan", fmt::format("{}/24", wan_address));
        lab::add_route(gateway, lab::everywhere, "203.0.113.254");
        lab::add_bridge(gateway, "lan");
        lab::add_address(gateway, "lan", "192.168.2.1/24");
        for (std::size_t i = 0; i < host_count; ++i) {
            auto& host = *hosts.emplace_back(
                std::make_unique<Peer>(fmt::format("h{}", i), fmt::format("192.168.2.{}", 10 + i),
                                       fmt::format("10.9.0.{}", 10 + i)));
            lab::add_cable({host.where, "eth0"}, {gateway, host.where.name(), "lan"});
            lab::add_address(host.where, "eth0", host.address + "/24");
            lab::add_route(host.where, lab::everywhere, "192.168.2.1");
        }
        for (std::size_t i = 0; i <= host_count; ++i) {  // the last one is everybody's
            auto& remote = *remotes.emplace_back(
                std::make_unique<Peer>(fmt::format("r{}", i), fmt::format("203.0.113.{}", 10 + i),
                                       fmt::format("10.9.1.{}", 10 + i)));
            lab::add_cable({remote.where, "eth0"}, {internet, remote.where.name(), "wan"});
            lab::add_address(remote.where, "eth0", remote.address + "/24");
        }
        const lab::Deadline deadline(lab::Duration(10'000));
        for (const auto* where : {&internet, &gateway}) lab::wait_for_links(*where, deadline);
        for (const auto& peer : hosts) lab::wait_for_links(peer->where, deadline);
        for (const auto& peer : remotes) lab::wait_for_links(peer->where, deadline);
        lab::masquerade(gateway, lab::InputPolicy::accept);
    }

    /// Everybody knows everybody's key; only the hosts know where to begin.
    void start_wireguard() {
        for (const auto& peer : hosts) peer->start();
        for (const auto& peer : remotes) peer->start();
        for (std::size_t i = 0; i < host_count; ++i) {
            for (auto* remote : {remotes[i].get(), remotes.back().get()}) {
                auto& host = *hosts[i];
                host.peers.push_back({.public_key = remote->wireguard->public_key(),
                                      .endpoint = lab::at(remote->address, wireguard),
                                      .allowed_ips = remote->tunnel + "/32"});
                remote->peers.push_back({.public_key = host.wireguard->public_key(),
                                         .endpoint = std::nullopt,
                                         .allowed_ips = host.tunnel + "/32"});
            }
        }
        for (const auto& peer : remotes) peer->wireguard->configure(wireguard, peer->peers);
        for (const auto& peer : hosts) peer->wireguard->configure(wireguard, peer->peers);
    }
    void start_porthole() {
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
    }

    bool all_have_shaken_hands() const {
        const lab::Deadline deadline(handshake_limit);
        for (const auto& host : hosts) {
            for (const auto& peer : host->peers) {
                while (!host->wireguard->has_shaken_hands_with(peer.public_key)) {
                    if (deadline.passed()) return false;
                }
            }
        }
        return true;
    }
    /// External ports by host, once every host has a claim.
    std::map<std::string, std::uint16_t> claims() {
        const lab::Deadline deadline(lab::Duration(20'000));
        std::map<std::string, std::uint16_t> ports;
        while (ports.size() < host_count && !deadline.passed()) {
            ports.clear();
            const auto page = client->list({{"origin", sdbus::Variant(std::string("auto"))}});
            for (const auto& row : std::get<0>(page)) {
                ports.emplace(row.get<1>(), row.get<4>());
            }
        }
        return ports;
    }
    static void expect_one_natural_port_and_alternates(
        const std::map<std::string, std::uint16_t>& claims) {
        std::set<std::uint16_t> distinct;
        std::size_t natural = 0;
        for (const auto& [host, port] : claims) {
            distinct.insert(port);
            if (port == wireguard) {
                ++natural;
            } else {
                EXPECT_TRUE(port >= 42000 && port <= 42999) << host << " has " << port;
            }
        }
        EXPECT_THAT(distinct, SizeIs(host_count));
        EXPECT_EQ(natural, 1U);
    }
    /// Whether every remote has its hosts where their claims say. Otherwise who is elsewhere.
    std::string who_is_elsewhere(const std::map<std::string, std::uint16_t>& claims) const {
        std::string elsewhere;
        for (std::size_t i = 0; i < host_count; ++i) {
            const auto wanted = fmt::format("{}:{}", wan_address, claims.at(hosts[i]->address));
            for (const auto* remote : {remotes[i].get(), remotes.back().get()}) {
                const auto endpoint =
                    remote->wireguard->endpoint_of(hosts[i]->wireguard->public_key());
                if (endpoint == wanted) continue;
                elsewhere += fmt::format("{} at {}: {} instead of {}\n", hosts[i]->where.name(),
                                         remote->where.name(), endpoint, wanted);
            }
        }
        return elsewhere;
    }
    std::map<std::string, std::uint32_t> flow_ids() const {
        std::map<std::string, std::uint32_t> ids;
        for (const auto& host : hosts) {
            for (const auto& flow : lab::flows_from(gateway, host->address, wireguard)) {
                ids[host->address + ">" + lab::to_text(flow.original.destination)] = flow.id;
            }
        }
        return ids;
    }
    /// The service dies, and everything that the kernel knew of ports is gone.
    void lose_everything_but_the_store() {
        client.reset();
        porthole.kill();
        lab::output_of(gateway, {"nft", "flush", "ruleset"});
        lab::output_of(gateway, {"conntrack", "-F"});
        lab::masquerade(gateway, lab::InputPolicy::accept);
        start_porthole();
    }

    Namespace internet{"internet"};
    Namespace gateway{"gateway"};
    std::vector<std::unique_ptr<Peer>> hosts;
    std::vector<std::unique_ptr<Peer>> remotes;
    lab::Porthole porthole{gateway};
    std::unique_ptr<BusClient> client;
};

TEST_F(TenHosts, HaveTheirPortsWithoutConfiguration) {
    start_porthole();
    start_wireguard();
    EXPECT_TRUE(all_have_shaken_hands());
    const auto claimed = claims();
    ASSERT_THAT(claimed, SizeIs(host_count)) << porthole.log();
    expect_one_natural_port_and_alternates(claimed);

    lose_everything_but_the_store();
    const lab::Deadline deadline(keepalive_and_handshake);
    while (!who_is_elsewhere(claimed).empty() && !deadline.passed()) {
    }
    EXPECT_EQ(who_is_elsewhere(claimed), "");
    EXPECT_EQ(claims(), claimed);
}

TEST_F(TenHosts, KeepWhatWorkedBefore) {
    start_wireguard();
    ASSERT_TRUE(all_have_shaken_hands());
    const auto before = flow_ids();
    ASSERT_THAT(before, SizeIs(2 * host_count));
    start_porthole();
    const auto claimed = claims();
    ASSERT_THAT(claimed, SizeIs(host_count)) << porthole.log();
    expect_one_natural_port_and_alternates(claimed);
    // Until what the claims have brought about is looked at.
    const lab::Deadline found(lab::Duration(20'000));
    std::set<std::string> causes;
    while (!causes.contains("overload") || !causes.contains("remapped")) {
        ASSERT_FALSE(found.passed()) << porthole.log();
        for (const auto& conflict : client->conflicts()) causes.insert(conflict.get<1>());
    }
    EXPECT_EQ(flow_ids(), before);

    lose_everything_but_the_store();
    const lab::Deadline deadline(keepalive_and_handshake);
    while (!who_is_elsewhere(claimed).empty() && !deadline.passed()) {
    }
    EXPECT_EQ(who_is_elsewhere(claimed), "");
}

}  // namespace
}  // namespace porthole
