// SPDX-License-Identifier: GPL-2.0-or-later
// Rulesets of the kind that gateways have already, in tests/kernel/neighbours: ours decides first
// about reserved ports, theirs stay as they are, whoever comes first and whenever they are loaded
// again.
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bus_client.hpp"
#include "lab/deadline.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::UdpSocket;

constexpr std::uint16_t wireguard = 51820;
const auto remote_end = at(addresses::outside, wireguard);

class NeighbourRules : public testing::TestWithParam<std::string> {
  protected:
    [[nodiscard]] static std::string theirs() {
        const auto file =
            std::string(PORTHOLE_SOURCE_DIR "/tests/kernel/neighbours/") + GetParam() + ".nft";
        std::ifstream stream(file);
        EXPECT_TRUE(stream) << file;
        std::ostringstream text;
        text << stream.rdbuf();
        return text.str();
    }
    /// As they do it: their own tables are emptied and made anew, in one transaction.
    void load_theirs() const {
        std::string script;
        std::istringstream lines(theirs());
        for (std::string line; std::getline(lines, line);) {
            if (!line.starts_with("table ")) continue;
            const auto table = line.substr(0, line.find(" {"));
            script += "add " + table + "\ndelete " + table + "\n";
        }
        lab::output_of(sites.gateway_a, {"nft", "-f", "-"}, {.input = script + theirs()});
    }
    [[nodiscard]] std::string listed_theirs() const {
        std::string text;
        std::istringstream lines(theirs());
        for (std::string line; std::getline(lines, line);) {
            if (!line.starts_with("table ")) continue;
            std::istringstream words(line);
            std::string word;
            std::string family;
            std::string name;
            words >> word >> family >> name;
            text += lab::output_of(sites.gateway_a, {"nft", "-s", "list", "table", family, name});
        }
        return text;
    }
    void start() {
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
        client->reserve(std::string(addresses::a1), "udp", wireguard,
                        {{"settle", sdbus::Variant(true)}});
        client->reserve(std::string(addresses::a2), "udp", wireguard,
                        {{"external-port", sdbus::Variant(std::uint16_t{51821})},
                         {"settle", sdbus::Variant(true)}});
    }
    /// Whoever begins, each of the hosts has its port.
    void expect_ports() const {
        remote.send_to(at(addresses::a_wan, wireguard), "knock");
        remote.send_to(at(addresses::a_wan, 51821), "knock");
        EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(addresses::a_wan, wireguard));
        EXPECT_EQ(lab::exchange(a2, remote, remote_end), at(addresses::a_wan, 51821));
        // Others are theirs to translate.
        const UdpSocket other(sites.a1, 40000);
        EXPECT_EQ(lab::exchange(other, remote, remote_end), at(addresses::a_wan, 40000));
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a};
    std::unique_ptr<BusClient> client;
    UdpSocket a1{sites.a1, wireguard};
    UdpSocket a2{sites.a2, wireguard};
    UdpSocket remote{sites.outside, wireguard};
};

TEST_P(NeighbourRules, WereThereBefore) {
    load_theirs();
    const auto before = listed_theirs();
    start();
    expect_ports();
    EXPECT_EQ(listed_theirs(), before);
}

TEST_P(NeighbourRules, ComeLaterAndAreLoadedAgain) {
    start();
    for (int round = 0; round < 3; ++round) {
        load_theirs();
        const auto before = listed_theirs();
        expect_ports();
        lab::output_of(sites.gateway_a, {"conntrack", "-F"});
        expect_ports();
        EXPECT_EQ(listed_theirs(), before);
    }
    EXPECT_EQ(
        client->status().at("counters").get<dbus::Dictionary>().at("rebuilds").get<std::uint64_t>(),
        0U)
        << "their reload is none of our business";
}

TEST_P(NeighbourRules, KeepTheirForwards) {
    load_theirs();
    start();
    const lab::TcpListener server(sites.a2, 80);
    const auto connection =
        lab::TcpSocket::connect(sites.outside, lab::any(), at(addresses::a_wan, 8080));
    EXPECT_TRUE(connection);
}

// A zone of fw4's without a redirect stops what was sent on to a host; what we ship opens it.
class Fw4WithoutRedirects : public NeighbourRules {
  protected:
    [[nodiscard]] static std::string read(const std::string& file) {
        std::ifstream stream(std::string(PORTHOLE_SOURCE_DIR "/") + file);
        EXPECT_TRUE(stream) << file;
        std::ostringstream text;
        text << stream.rdbuf();
        return text.str();
    }
    void load(const std::string& included) const {
        auto rules = theirs();
        for (const std::string redirect :
             {"ct status dnat accept",
              R"(iifname "wan" tcp dport 8080 dnat ip to 192.168.2.3:80)"}) {
            rules.replace(rules.find(redirect), redirect.size(), "");
        }
        const std::string forward = "type filter hook forward priority filter; policy drop;\n";
        rules.insert(rules.find(forward) + forward.size(), included);
        lab::output_of(sites.gateway_a, {"nft", "-f", "-"},
                       {.input = "add table inet fw4\ndelete table inet fw4\n" + rules});
    }
};

TEST_P(Fw4WithoutRedirects, LetContactsInByTheIncludeThatWeShip) {
    load("");
    start();
    ASSERT_EQ(lab::exchange(a1, remote, remote_end), at(addresses::a_wan, wireguard));
    const UdpSocket other_port(sites.outside, 7001);
    const auto comes_in = [&] {
        other_port.send_to(at(addresses::a_wan, wireguard), "inbound");
        return a1.receive("inbound", lab::Duration(100)).has_value();
    };
    EXPECT_FALSE(comes_in());
    load(read("openwrt/nftables.d/chain-pre/forward/50-porthole.nft"));
    EXPECT_TRUE(comes_in());
}

INSTANTIATE_TEST_SUITE_P(Of, Fw4WithoutRedirects, testing::Values("fw4"),
                         [](const auto& test) { return test.param; });

INSTANTIATE_TEST_SUITE_P(Of, NeighbourRules, testing::Values("fw4", "firewalld", "docker"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace porthole
