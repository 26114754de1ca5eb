// SPDX-License-Identifier: GPL-2.0-or-later
// What RFC 5780 says about the gateway, as coturn's programs find it out: a server with two
// addresses and two ports outside, a host inside.
#include <filesystem>
#include <memory>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bus_client.hpp"
#include "lab/links.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using testing::HasSubstr;
using testing::Not;

constexpr auto port = "51820";
constexpr auto second_address = "203.0.113.10";
constexpr auto second_host = "192.168.2.4";  // another address of a1: the program is one process

class NatDiscovery : public testing::Test {
  protected:
    void SetUp() override {
        if (!std::filesystem::exists(unpacked)) GTEST_SKIP() << "coturn is not in " << unpacked;
        lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
        lab::add_address(sites.outside, "eth0", std::string(second_address) + "/24");
        lab::add_address(sites.a1, "eth0", std::string(second_host) + "/24");
        server = std::make_unique<lab::Process>(
            sites.outside,
            std::vector<std::string>{
                program("turnserver"), "-n", "--stun-only", "--no-auth", "--no-tls", "--no-dtls",
                "--no-cli", "--log-file=stdout", "--simple-log", "--listening-port=3478",
                "--alt-listening-port=3479", "--listening-ip=" + std::string(addresses::outside),
                "--listening-ip=" + std::string(second_address),
                "--pidfile=" + (directory.path() / "pid").string(),
                "--userdb=" + (directory.path() / "db").string()});
        ASSERT_TRUE(server->wait_for_output("DB connection success", lab::Duration(10'000)))
            << server->output() << server->errors();
    }

    void start_porthole() {
        porthole.emplace(sites.gateway_a);
        porthole->start();
        client = std::make_unique<BusClient>(*porthole);
    }
    void reserve(std::string_view host, std::uint16_t external,
                 const std::string& filtering = "address-dependent") {
        client->reserve(std::string(host), "udp", 51820,
                        {{"external-port", sdbus::Variant(external)},
                         {"filtering", sdbus::Variant(filtering)},
                         {"settle", sdbus::Variant(true)}});
    }
    /// What turnutils_natdiscovery finds out on a host.
    std::string discover(const lab::Namespace& host, std::string_view address,
                         std::vector<std::string> what) {
        std::vector<std::string> arguments{program("turnutils_natdiscovery")};
        for (auto& word : what) arguments.push_back(std::move(word));
        for (const auto* word : {"-L", "", "-l", port, "-p", "3478"}) {
            arguments.emplace_back(*word == '\0' ? std::string(address) : word);
        }
        arguments.emplace_back(addresses::outside);
        const auto found = lab::command(host, arguments);
        return found.output + found.errors;
    }

    /// Two hosts on the same port, to the same remote.
    std::string collide() { return discover(sites.a1, addresses::a1, {"-c", "-A", second_host}); }

    static std::string program(const std::string& name) { return unpacked + ("/usr/bin/" + name); }
    // Where tools/check puts it.
    static constexpr auto unpacked = PORTHOLE_SOURCE_DIR "/build/coturn";

    lab::TwoSites sites;
    lab::TemporaryDirectory directory;
    std::unique_ptr<lab::Process> server;
    std::optional<lab::Porthole> porthole;
    std::unique_ptr<BusClient> client;
};

TEST_F(NatDiscovery, FindsEndpointIndependentMapping) {
    start_porthole();
    reserve(addresses::a1, 40001);
    const auto found = discover(sites.a1, addresses::a1, {"-m"});
    EXPECT_THAT(found, HasSubstr("NAT with Endpoint Independent Mapping!"));
    EXPECT_THAT(found, HasSubstr("UDP reflexive addr: 203.0.113.1:40001"));
}

TEST_F(NatDiscovery, TellsTheFilteringBehavioursApart) {
    start_porthole();
    for (const auto& [filtering, verdict] :
         {std::pair("address-and-port-dependent", "NAT with Address and Port Dependent Filtering!"),
          std::pair("address-dependent", "NAT with Address Dependent Filtering!"),
          std::pair("endpoint-independent", "NAT with Endpoint Independent Filtering!")}) {
        reserve(addresses::a1, 51820, filtering);
        EXPECT_THAT(discover(sites.a1, addresses::a1, {"-f"}), HasSubstr(verdict)) << filtering;
        lab::output_of(sites.gateway_a, {"conntrack", "-F"});
    }
}

// What everybody's gateway does here: the second of two hosts on one port gets any other.
TEST_F(NatDiscovery, ACollisionTakesAStockGatewaysSecondHostElsewhere) {
    const auto found = collide();
    EXPECT_THAT(found, HasSubstr("UDP reflexive addr: 203.0.113.1:51820"));
    EXPECT_THAT(found, Not(HasSubstr("UDP reflexive addr: 203.0.113.1:51821")));
}

TEST_F(NatDiscovery, ACollisionLeavesBothHostsTheirPorts) {
    start_porthole();
    reserve(addresses::a1, 51820);
    reserve(second_host, 51821);
    for (int attempt = 0; attempt < 2; ++attempt) {
        const auto found = collide();
        EXPECT_THAT(found, HasSubstr("UDP reflexive addr: 203.0.113.1:51820"));
        EXPECT_THAT(found, HasSubstr("UDP reflexive addr: 203.0.113.1:51821"));
        lab::output_of(sites.gateway_a, {"conntrack", "-F"});
    }
}

// With br_netfilter a bridge does not send a packet back through the port that it came from.
TEST_F(NatDiscovery, FindsHairpinning) {
    sites.gateway_a.set_sysctl("net/bridge/bridge-nf-call-iptables", "0");
    constexpr auto hairpinned = "Received a request (maybe a successful hairpinning)";
    EXPECT_THAT(discover(sites.a1, addresses::a1, {"-H"}), Not(HasSubstr(hairpinned)));
    lab::output_of(sites.gateway_a, {"conntrack", "-F"});
    start_porthole();
    reserve(addresses::a1, 51820);
    EXPECT_THAT(discover(sites.a1, addresses::a1, {"-H"}), HasSubstr(hairpinned));
}

}  // namespace
}  // namespace porthole
