// SPDX-License-Identifier: GPL-2.0-or-later
// Switched off, the service leaves nothing in the packet filter, and everything is there again when
// it is switched on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "bus_client.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;

class SwitchTest : public testing::Test {
  protected:
    void SetUp() override { porthole.start(); }

    json ctl(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), "--json");
        const auto done = porthole.ctl(std::move(arguments));
        EXPECT_EQ(done.status, 0) << done.errors;
        return json::parse(done.output);
    }
    std::vector<std::string> states() {
        std::vector<std::string> all;
        const auto list = ctl({"list"});
        for (const auto& row : list["reservations"]) all.push_back(row["state"]);
        return all;
    }
    // Everything that there is in the packet filter.
    [[nodiscard]] std::string ruleset() const {
        return lab::output_of(sites.gateway_a, {"nft", "-s", "list", "ruleset"});
    }

    lab::TwoSites sites;
    const std::string before = ruleset();
    lab::Porthole porthole{sites.gateway_a, "[auto]\nenabled = false\n"};
    const std::string a1{addresses::a1};
    const std::string a2{addresses::a2};
};

TEST_F(SwitchTest, TakesAllRulesOutAndPutsThemBack) {
    ctl({"reserve", a1, "udp", "1000"});
    const auto table = lab::table_of(sites.gateway_a);
    ASSERT_NE(ruleset(), before);

    ctl({"off"});
    EXPECT_EQ(ruleset(), before);
    EXPECT_EQ(states(), std::vector<std::string>{"waiting"});
    EXPECT_THAT(ctl({"status"})["warnings"].get<std::vector<std::string>>(),
                Contains(HasSubstr("switched off")));
    EXPECT_FALSE(ctl({"status"})["enabled"]);

    porthole.kill();
    porthole.start();
    EXPECT_EQ(ruleset(), before) << "after a restart, too";
    ctl({"reserve", a2, "udp", "2000"});
    ctl({"release", "udp:2000"});

    ctl({"on"});
    EXPECT_EQ(lab::table_of(sites.gateway_a), table);
    EXPECT_TRUE(ctl({"status"})["enabled"]);
}

TEST_F(SwitchTest, IsUndoneWithACheckpoint) {
    ctl({"reserve", a1, "udp", "1000"});
    const auto table = lab::table_of(sites.gateway_a);
    const auto checkpoint = ctl({"checkpoint", "start", "600"})["checkpoint"].dump();
    ctl({"off"});
    ASSERT_EQ(ruleset(), before);
    ctl({"checkpoint", "rollback", checkpoint});
    EXPECT_EQ(lab::table_of(sites.gateway_a), table);
    EXPECT_TRUE(ctl({"status"})["enabled"]);
}

// What began elsewhere while it was off is moved.
TEST_F(SwitchTest, SettlesFlowsWhenItIsOnAgain) {
    const lab::UdpSocket host(sites.a1, 1000);
    const lab::UdpSocket other(sites.a2, 1000);
    const lab::UdpSocket remote(sites.outside, 7);
    const auto remote_end = at(addresses::outside, 7);
    lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
    ctl({"reserve", a1, "udp", "1000"});
    ctl({"off"});
    ASSERT_EQ(lab::exchange(other, remote, remote_end), at(addresses::a_wan, 1000));
    ASSERT_NE(lab::exchange(host, remote, remote_end), at(addresses::a_wan, 1000));
    ctl({"on"});
    BusClient client(porthole);
    client.reserve(a2, "udp", 5, {{"settle", true}});
    EXPECT_EQ(lab::exchange(host, remote, remote_end), at(addresses::a_wan, 1000));
    EXPECT_NE(lab::exchange(other, remote, remote_end), at(addresses::a_wan, 1000));
}

TEST_F(SwitchTest, KeepsATableOfItsNameOutWhileItIsOff) {
    ctl({"off"});
    lab::output_of(sites.gateway_a, {"nft", "add", "table", "inet", "porthole"});
    const lab::Deadline deadline(lab::Duration(10'000));
    while (ruleset() != before) ASSERT_FALSE(deadline.passed());
}

}  // namespace
}  // namespace porthole
