// SPDX-License-Identifier: GPL-2.0-or-later
// Flows that had the wrong port before a reservation was made have the right one at the next
// packet, and nobody else's flow is touched.
#include <array>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bus_client.hpp"
#include "lab/conntrack.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::UdpSocket;

class Settling : public testing::Test {
  protected:
    Settling() {
        lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
        porthole.start();
    }
    dbus::Row reserve(std::string_view host, std::uint16_t port, dbus::Dictionary options = {}) {
        options["settle"] = sdbus::Variant(true);
        return client->reserve(std::string(host), "udp", port, options);
    }
    [[nodiscard]] std::optional<lab::SocketAddress> shown(const UdpSocket& host) const {
        return lab::exchange(host, remote, at(addresses::outside, 51820));
    }

    lab::TwoSites sites;
    // Whoever has no reservation is displaced, and gets no claim.
    lab::Porthole porthole{sites.gateway_a, "[auto]\nenabled = false\n"};
    std::unique_ptr<BusClient> client = started();
    UdpSocket a1{sites.a1, 51820};
    UdpSocket a2{sites.a2, 51820};
    UdpSocket remote{sites.outside, 51820};

  private:
    std::unique_ptr<BusClient> started() {
        porthole.start();
        return std::make_unique<BusClient>(porthole);
    }
};

TEST_F(Settling, AFlowThatAnUnsolicitedPacketRemapped) {
    remote.send_to(at(addresses::a_wan, 51820), "knock");
    const auto before = lab::source_shown(a1, remote, at(addresses::outside, 51820));
    ASSERT_TRUE(before);
    ASSERT_NE(*before, at(addresses::a_wan, 51820));
    const auto row = reserve(addresses::a1, 51820);
    EXPECT_EQ(std::get<7>(row), "active");
    EXPECT_EQ(shown(a1), at(addresses::a_wan, 51820));
    remote.send_to(at(addresses::a_wan, 51820), "answer");
    EXPECT_TRUE(a1.receive("answer"));
}

TEST_F(Settling, APortThatAnotherHostHolds) {
    ASSERT_EQ(shown(a2), at(addresses::a_wan, 51820));
    ASSERT_NE(shown(a1), at(addresses::a_wan, 51820));
    reserve(addresses::a1, 51820);
    EXPECT_EQ(shown(a1), at(addresses::a_wan, 51820));
    const auto displaced = shown(a2);
    ASSERT_TRUE(displaced);
    EXPECT_GE(displaced->port, 61440);
}

// The remote that was remapped is gone, but its mapping sticks to the source.
TEST_F(Settling, AFlowThatAnEarlierRemapStuckTo) {
    const UdpSocket other(sites.gateway_b, 51820);
    remote.send_to(at(addresses::a_wan, 51820), "knock");
    const auto before = lab::source_shown(a1, remote, at(addresses::outside, 51820));
    ASSERT_TRUE(before);
    ASSERT_NE(*before, at(addresses::a_wan, 51820));
    const auto stuck = lab::source_shown(a1, other, at(addresses::b_wan, 51820));
    ASSERT_EQ(stuck, before) << "the kernel does not stick to mappings: nothing is shown here";
    reserve(addresses::a1, 51820);
    EXPECT_EQ(lab::exchange(a1, other, at(addresses::b_wan, 51820)), at(addresses::a_wan, 51820));
    EXPECT_EQ(shown(a1), at(addresses::a_wan, 51820));
}

TEST_F(Settling, AChangeOfTheExternalPort) {
    const auto row = reserve(addresses::a1, 51820);
    ASSERT_EQ(shown(a1), at(addresses::a_wan, 51820));
    client->change(std::get<0>(row), {{"external-port", std::uint16_t{51830}}}, {{"settle", true}});
    EXPECT_EQ(shown(a1), at(addresses::a_wan, 51830));
}

// The gateway answered: a service of its own, which was there before the reservation.
TEST_F(Settling, LeavesAServiceOfTheGatewayAlone) {
    const UdpSocket service(sites.gateway_a, 51820);
    const UdpSocket stranger(sites.outside, 7000);
    ASSERT_TRUE(lab::exchange(stranger, service, at(addresses::a_wan, 51820)));
    reserve(addresses::a1, 51820);
    EXPECT_TRUE(lab::exchange(stranger, service, at(addresses::a_wan, 51820)));
}

// By id: a flow that was deleted and came again would have another one.
TEST_F(Settling, LeavesAThousandRightFlowsOfOthersAlone) {
    constexpr std::uint16_t flows = 1000;
    for (std::uint16_t i = 0; i < flows; ++i) {
        const UdpSocket host(i % 2 == 0 ? sites.a1 : sites.a2,
                             static_cast<std::uint16_t>(20000 + i));
        ASSERT_TRUE(lab::source_shown(host, remote, at(addresses::outside, 51820))) << i;
    }
    const auto ids = [this] {
        std::map<std::uint32_t, std::string> found;
        for (const auto& flow : lab::flows(sites.gateway_a)) found.emplace(flow.id, flow.text);
        return found;
    };
    const auto before = ids();
    ASSERT_GE(before.size(), flows);
    std::vector<dbus::RequestRow> rows;
    for (std::uint16_t i = 0; i < 100; ++i) {
        rows.emplace_back(std::string(addresses::a1), "udp", static_cast<std::uint16_t>(30000 + i),
                          std::uint16_t{0}, "", "");
    }
    client->reserve_many(rows, {{"settle", true}});
    // Those that are right already are among the flows of the owner of this one.
    reserve(addresses::a1, 20000);
    const auto after = ids();
    for (const auto& [id, line] : before) EXPECT_TRUE(after.contains(id)) << line;
}

// A packet that left untranslated while there were no rules keeps its flow untranslated for ever.
TEST_F(Settling, AFlowThatWasNotTranslatedAtAll) {
    lab::output_of(sites.gateway_a, {"nft", "delete", "table", "ip", "stock"});
    const auto before = lab::source_shown(a1, remote, at(addresses::outside, 51820));
    ASSERT_EQ(before, at(addresses::a1, 51820));
    reserve(addresses::a1, 51820);
    EXPECT_EQ(shown(a1), at(addresses::a_wan, 51820));
}

// Destinations that are never translated: right without, also when everything is settled anew.
TEST_F(Settling, LeavesExemptFlowsAlone) {
    reserve(addresses::a1, 51820);
    lab::output_of(sites.gateway_a,
                   {"nft", "insert rule ip stock postrouting ip daddr 203.0.113.9 return"});
    lab::write_file(porthole.configuration_file(), "[nat]\nexempt = [\"203.0.113.9/32\"]\n");
    client->reload();
    lab::output_of(sites.gateway_a, {"conntrack", "-F"});
    ASSERT_EQ(lab::source_shown(a1, remote, at(addresses::outside, 51820)),
              at(addresses::a1, 51820));
    const auto before = lab::flows_from(sites.gateway_a, addresses::a1, 51820);
    ASSERT_EQ(before.size(), 1U);
    const auto row = client->list();
    client->change(std::get<0>(std::get<0>(row).at(0)), {{"external-port", std::uint16_t{51830}}},
                   {{"settle", true}});
    const auto after = lab::flows_from(sites.gateway_a, addresses::a1, 51820);
    ASSERT_EQ(after.size(), 1U);
    EXPECT_EQ(after[0].id, before[0].id);
}

// Flows of the owner that do not leave through a WAN are not translated, and right that way.
TEST_F(Settling, LeavesFlowsWithinTheLanAlone) {
    const UdpSocket service(sites.gateway_a, at(addresses::a_lan, 7000));
    ASSERT_TRUE(lab::exchange(a1, service, at(addresses::a_lan, 7000)));
    const auto id_of_flow = [this]() -> std::optional<std::uint32_t> {
        for (const auto& flow : lab::flows(sites.gateway_a)) {
            if (flow.original.destination == at(addresses::a_lan, 7000)) return flow.id;
        }
        return std::nullopt;
    };
    const auto before = id_of_flow();
    ASSERT_TRUE(before);
    reserve(addresses::a1, 51820);
    EXPECT_EQ(id_of_flow(), before);
}

}  // namespace
}  // namespace porthole
