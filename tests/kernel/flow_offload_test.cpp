// SPDX-License-Identifier: GPL-2.0-or-later
// Somebody else's flowtable, as OpenWrt's fw4 makes one with flow_offloading: established flows
// bypass the packet filter. Kernels without flowtables skip this; the one of tests/vm has them.
#include <array>
#include <memory>

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
using testing::HasSubstr;
using testing::SizeIs;

constexpr std::uint16_t wireguard = 51820;
constexpr std::uint16_t external = 40001;
constexpr auto ruleset = R"(table inet others {
    flowtable fast {
        hook ingress priority filter
        devices = { "wan", "lan" }
    }
    chain forward {
        type filter hook forward priority filter; policy accept;
        meta l4proto { tcp, udp } flow add @fast
    }
}
)";

class FlowOffload : public testing::Test {
  protected:
    void SetUp() override {
        lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
        const auto loaded = lab::command(sites.gateway_a, {"nft", "-f", "-"}, {.input = ruleset});
        if (loaded.status != 0) GTEST_SKIP() << "no flowtables here: " << loaded.errors;
        start();
        client->reserve(
            std::string(addresses::a1), "udp", wireguard,
            {{"external-port", sdbus::Variant(external)}, {"settle", sdbus::Variant(true)}});
    }
    void start() {
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
    }
    /// The service looks at all flows when it starts.
    void look() {
        client.reset();
        porthole.stop();
        start();
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a, "[auto]\nenabled = false\n"};
    std::unique_ptr<BusClient> client;
    UdpSocket a1{sites.a1, wireguard};
    UdpSocket remote{sites.outside, wireguard};
    UdpSocket other_port{sites.outside, 40000};
};

TEST_F(FlowOffload, KeepsPortsAndContactsAndIsAConflict) {
    const auto shown = at(addresses::a_wan, external);
    for (int packet = 0; packet < 5; ++packet) {
        ASSERT_EQ(lab::exchange(a1, remote, at(addresses::outside, wireguard)), shown);
    }
    ASSERT_THAT(lab::output_of(sites.gateway_a, {"conntrack", "-L"}), HasSubstr("[OFFLOAD]"));
    look();
    const auto conflict_of = [&]() -> std::string {
        for (const auto& conflict : client->conflicts()) {
            if (conflict.get<1>() != "flow-offload") continue;
            const auto& evidence = conflict.get<8>();
            return evidence.at("owner").get<std::string>() + " " +
                   evidence.at("remote").get<std::string>();
        }
        return "";
    };
    EXPECT_TRUE(lab::comes_true([&] { return !conflict_of().empty(); }));
    EXPECT_EQ(conflict_of(), "192.168.2.2 203.0.113.9:51820");
    // The rules were made anew, and the contact was found in conntrack.
    EXPECT_TRUE(lab::comes_true([&] {
        other_port.send_to(shown, "from another port");
        return a1.receive("from another port", std::chrono::milliseconds(100)).has_value();
    }));
    EXPECT_EQ(lab::exchange(a1, remote, at(addresses::outside, wireguard)), shown);
}

}  // namespace
}  // namespace porthole
