// SPDX-License-Identifier: GPL-2.0-or-later
// What iperf3 sends between two sites, through a tunnel of their gateways.
#include <sstream>

#include "lab/deadline.hpp"
#include "two_gateways.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using nlohmann::json;

constexpr std::uint64_t bytes_to_send = 4'000'000;
constexpr lab::Duration limit{30'000};

class TunnelLoad : public TwoGateways {
  protected:
    // With nothing but a line each way.
    void SetUp() override {
        TwoGateways::SetUp();
        if (IsSkipped()) return;
        done(a, {"tunnel", "create", "wg0", "--addresses", "10.9.0.1/24"});
        const auto invitation = done(a, {"tunnel", "invite", "wg0", "--gateway"});
        const auto joined = done(b, {"tunnel", "join"}, invitation["line"].get<std::string>());
        done(a, {"tunnel", "join"}, joined["answer"].get<std::string>());
        ASSERT_TRUE(sites_connect());
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

    /// What a client on a1 reports of one connection to b1, over which one of them sends. Large
    /// buffers could hold most of it when the sender has done.
    [[nodiscard]] json iperf3(const std::vector<std::string>& options) const {
        lab::Process server(sites.b1, {"iperf3", "--server", "--one-off", "--forceflush", "--bind",
                                       std::string(addresses::b1)});
        EXPECT_TRUE(server.wait_for_output("Server listening", limit)) << server.errors();
        std::vector<std::string> arguments{
            "iperf3",   "--json", "--client", std::string(addresses::b1),
            "--window", "64K",    "--bytes",  std::to_string(bytes_to_send)};
        arguments.insert(arguments.end(), options.begin(), options.end());
        const auto finished = lab::command(sites.a1, arguments);
        EXPECT_EQ(finished.status, 0) << finished.output << finished.errors;
        EXPECT_EQ(server.wait(limit), 0) << server.output() << server.errors();
        return json::parse(finished.output);
    }
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
