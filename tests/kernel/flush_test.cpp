// SPDX-License-Identifier: GPL-2.0-or-later
// Somebody removes our table, again and again, while packets go both ways: it comes back, and every
// later packet of every owner is right.
#include <memory>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bus_client.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::UdpSocket;

class Flush : public testing::TestWithParam<std::vector<std::string>> {
  protected:
    Flush() {
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
        client->reserve(std::string(addresses::a1), "udp", 51820, {{"settle", true}});
        client->reserve(std::string(addresses::a2), "udp", 51820,
                        {{"external-port", std::uint16_t{51821}}, {"settle", true}});
    }
    std::uint64_t rebuilds() {
        return client->status()["counters"]
            .get<dbus::Dictionary>()["rebuilds"]
            .get<std::uint64_t>();
    }
    bool settling() {
        const auto [rows, total, generation] = client->list({{"state", std::string("settling")}});
        return total > 0;
    }
    [[nodiscard]] std::string table() const { return lab::table_of(sites.gateway_a); }

    lab::TwoSites sites;
    // The only NAT of the gateway: what leaves while there are no rules is not translated at all.
    lab::Porthole porthole{sites.gateway_a, "[nat]\nmasquerade = true\n"};
    std::unique_ptr<BusClient> client;
};

TEST_P(Flush, AHundredTimesUnderLoad) {
    const UdpSocket a1(sites.a1, 51820);
    const UdpSocket a2(sites.a2, 51820);
    const UdpSocket remote(sites.outside, 51820);
    const auto original = table();
    using Shown = std::optional<lab::SocketAddress>;
    const auto shown = [&](const UdpSocket& host) {
        return lab::exchange(host, remote, at(addresses::outside, 51820));
    };
    const std::pair<Shown, Shown> right{at(addresses::a_wan, 51820), at(addresses::a_wan, 51821)};
    ASSERT_EQ(std::pair(shown(a1), shown(a2)), right);
    for (int round = 1; round <= 100; ++round) {
        const auto before = rebuilds();
        lab::Process flush(sites.gateway_a, GetParam());
        // In the gap, if there is one, and before and after it.
        for (int i = 0; i < 20 || rebuilds() == before; ++i) {
            ASSERT_LT(i, 5000) << "round " << round << ": the table does not come back";
            a1.send_to(at(addresses::outside, 51820), "load");
            a2.send_to(at(addresses::outside, 51820), "load");
            remote.send_to(at(addresses::a_wan, 51820), "load");
            remote.send_to(at(addresses::a_wan, 51821), "load");
        }
        ASSERT_EQ(flush.wait(lab::Duration(5000)), 0);
        while (settling()) {
        }
        // A queue that is full of the load would lose what comes now.
        for (const auto* socket : {&a1, &a2, &remote}) {
            while (socket->receive(lab::Duration{0})) {
            }
        }
        for (int i = 0; i < 5; ++i) {
            ASSERT_EQ(std::pair(shown(a1), shown(a2)), right)
                << "round " << round << "; flows:\n"
                << lab::output_of(sites.gateway_a, {"conntrack", "-L", "-p", "udp"})
                << porthole.log();
        }
    }
    EXPECT_EQ(table(), original);
    EXPECT_GE(rebuilds(), 100U);
}

INSTANTIATE_TEST_SUITE_P(
    By, Flush,
    testing::Values(std::vector<std::string>{"nft", "flush", "ruleset"},
                    std::vector<std::string>{"nft", "delete", "table", "inet", "porthole"}),
    [](const auto& test) { return test.param[1] == "flush" ? "FlushRuleset" : "DeleteTable"; });

class Meddling : public Flush {};

// Not removed, but changed: our content comes back.
TEST_P(Meddling, IsUndone) {
    const auto original = table();
    const auto before = rebuilds();
    lab::output_of(sites.gateway_a, GetParam());
    const lab::Deadline deadline(lab::Duration(5000));
    while (rebuilds() == before && !deadline.passed()) {
    }
    EXPECT_EQ(table(), original);
}

INSTANTIATE_TEST_SUITE_P(
    By, Meddling,
    testing::Values(
        std::vector<std::string>{"nft", "flush", "chain", "inet", "porthole", "source-nat"},
        std::vector<std::string>{"nft", "insert rule inet porthole source-nat accept"},
        std::vector<std::string>{
            "nft", "delete element inet porthole exact { udp . 192.168.2.2 . 51820 }"},
        std::vector<std::string>{"nft", "add element inet porthole exempt { 203.0.113.9 }"},
        std::vector<std::string>{"nft", "add chain inet porthole foreign"}));

// Others may load rulesets of their own all day.
TEST_P(Meddling, WithOtherTablesIsNoneOfOurBusiness) {
    const auto before = rebuilds();
    lab::output_of(sites.gateway_a, {"nft", "add table inet other; add chain inet other forward"});
    lab::output_of(sites.gateway_a, {"nft", "add table ip porthole"});
    // A change of ours afterwards proves that what came before was seen.
    lab::output_of(sites.gateway_a, GetParam());
    const lab::Deadline deadline(lab::Duration(5000));
    while (rebuilds() == before && !deadline.passed()) {
    }
    EXPECT_EQ(rebuilds(), before + 1);
}

}  // namespace
}  // namespace porthole
