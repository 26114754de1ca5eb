// SPDX-License-Identifier: GPL-2.0-or-later
// What iperf3 sends between two sites, through a tunnel of their gateways.
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lab/deadline.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"
#include "lab/wireguard.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using nlohmann::json;

constexpr std::uint64_t bytes_to_send = 4'000'000;
constexpr lab::Duration limit{30'000};

class TunnelLoad : public testing::Test {
  protected:
    void SetUp() override {
        if (!lab::kernel_has_wireguard()) {
            GTEST_SKIP() << "this kernel has no WireGuard: see tests/vm";
        }
        lab::masquerade(sites.gateway_a, lab::InputPolicy::drop);
        lab::masquerade(sites.gateway_b, lab::InputPolicy::drop);
        a.start();
        b.start();
        done(a, {"tunnel", "create", "wg0", "--addresses", "10.9.0.1/24"});
        done(b, {"tunnel", "create", "wg0", "--addresses", "10.9.0.2/24"});
        done(a, {"tunnel", "peer", "set", "wg0", key_of(sites.gateway_b), "--endpoint",
                 "203.0.113.2:51820", "--allowed-ips", "10.9.0.2/32,192.168.3.0/24"});
        done(b, {"tunnel", "peer", "set", "wg0", key_of(sites.gateway_a), "--endpoint",
                 "203.0.113.1:51820", "--allowed-ips", "10.9.0.1/32,192.168.2.0/24"});
        const lab::UdpSocket a1(sites.a1, 4000);
        const lab::UdpSocket b1(sites.b1, 4000);
        ASSERT_TRUE(lab::comes_true([&] {
            return lab::exchange(a1, b1, at(addresses::b1, 4000), lab::Duration(200)).has_value();
        }));
    }

    static void done(const lab::Porthole& gateway, const std::vector<std::string>& arguments) {
        const auto finished = gateway.ctl(arguments);
        ASSERT_EQ(finished.status, 0) << finished.errors;
    }
    static std::string key_of(const lab::Namespace& gateway) {
        const auto key = lab::output_of(gateway, {"wg", "show", "wg0", "public-key"});
        return key.substr(0, key.find('\n'));
    }

    /// The bytes that a gateway has received and sent through its tunnel.
    struct Transfer {
        std::uint64_t received = 0;
        std::uint64_t sent = 0;
    };
    static Transfer transfer_of(const lab::Namespace& gateway) {
        std::istringstream line(lab::output_of(gateway, {"wg", "show", "wg0", "transfer"}));
        std::string key;
        Transfer transfer;
        line >> key >> transfer.received >> transfer.sent;
        return transfer;
    }

    /// What a client on a1 reports of one connection to b1, over which one of them sends.
    [[nodiscard]] json iperf3(const std::vector<std::string>& options) const {
        lab::Process server(sites.b1, {"iperf3", "--server", "--one-off", "--forceflush", "--bind",
                                       std::string(addresses::b1)});
        EXPECT_TRUE(server.wait_for_output("Server listening", limit)) << server.errors();
        std::vector<std::string> arguments{"iperf3",   "--json",
                                           "--client", std::string(addresses::b1),
                                           "--bytes",  std::to_string(bytes_to_send)};
        arguments.insert(arguments.end(), options.begin(), options.end());
        const auto finished = lab::command(sites.a1, arguments);
        EXPECT_EQ(finished.status, 0) << finished.output << finished.errors;
        EXPECT_EQ(server.wait(limit), 0) << server.output() << server.errors();
        return json::parse(finished.output);
    }

    lab::TwoSites sites;
    lab::Porthole a{sites.gateway_a};
    lab::Porthole b{sites.gateway_b};
};

TEST_F(TunnelLoad, OfTcpPassesInBothDirections) {
    for (const bool reverse : {false, true}) {
        SCOPED_TRACE(reverse ? "from b1 to a1" : "from a1 to b1");
        const auto& sender = reverse ? sites.gateway_b : sites.gateway_a;
        const auto& receiver = reverse ? sites.gateway_a : sites.gateway_b;
        const auto sent = transfer_of(sender).sent;
        const auto received = transfer_of(receiver).received;
        const auto report =
            iperf3(reverse ? std::vector<std::string>{"--reverse"} : std::vector<std::string>{});
        EXPECT_FALSE(report.contains("error")) << report["error"];
        EXPECT_GE(report["end"]["sum_sent"]["bytes"], bytes_to_send);
        // Without what is on its way when the sender has done.
        const auto arrived = report["end"]["sum_received"]["bytes"].get<std::uint64_t>();
        EXPECT_GE(arrived, bytes_to_send / 2);
        EXPECT_GE(transfer_of(sender).sent - sent, arrived);
        EXPECT_GE(transfer_of(receiver).received - received, arrived);
    }
}

}  // namespace
}  // namespace porthole
