// SPDX-License-Identifier: GPL-2.0-or-later
// What is done over D-Bus since a checkpoint is undone in the kernel and on the disk, whatever
// happens to the service meanwhile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "bus_client.hpp"
#include "lab/kill_at_call.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"
#include "two_gateways.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr auto manager = "org.porthole.Gateway1.Manager";

/// A client of Manager that hears how checkpoints end.
class ManagerClient {
  public:
    explicit ManagerClient(const lab::Porthole& porthole)
        : connection_(sdbus::createSessionBusConnectionWithAddress(porthole.bus().address())),
          proxy_(sdbus::createProxy(*connection_, dbus::service_name, dbus::object_path)) {
        proxy_->uponSignal("CheckpointEnded")
            .onInterface(manager)
            .call([this](const std::uint64_t& id, const std::string& how) {
                ended_.emplace_back(id, how);
            });
        proxy_->finishRegistration();
    }
    std::uint64_t checkpoint(std::uint32_t seconds) {
        std::uint64_t id = 0;
        proxy_->callMethod("Checkpoint")
            .onInterface(manager)
            .withArguments(seconds, dbus::Dictionary())
            .storeResultsTo(id);
        return id;
    }
    void commit(std::uint64_t id) {
        proxy_->callMethod("Commit").onInterface(manager).withArguments(id);
    }
    void roll_back(std::uint64_t id) {
        proxy_->callMethod("Rollback").onInterface(manager).withArguments(id);
    }
    dbus::Dictionary active() {
        return proxy_->getProperty("ActiveCheckpoint").onInterface(manager).get<dbus::Dictionary>();
    }
    /// How the next checkpoint to end has ended.
    std::pair<std::uint64_t, std::string> wait_for_end() {
        const lab::Deadline deadline(lab::Duration(20'000));
        for (;;) {
            // First what has come while a call waited for its answer.
            while (connection_->processPendingRequest()) {
            }
            if (!ended_.empty()) break;
            const auto wanted = connection_->getEventLoopPollData();
            if (!deadline.poll(wanted.fd, wanted.events)) return {0, "nothing was heard"};
        }
        const auto end = ended_.front();
        ended_.erase(ended_.begin());
        return end;
    }

  private:
    std::unique_ptr<sdbus::IConnection> connection_;
    std::unique_ptr<sdbus::IProxy> proxy_;
    std::vector<std::pair<std::uint64_t, std::string>> ended_;
};

class CheckpointTest : public testing::Test {
  protected:
    void SetUp() override { start(); }

    void start() {
        porthole.start();
        client.emplace(porthole);
        manager_client.emplace(porthole);
    }
    void reserve_two() {
        client->reserve(std::string(addresses::a1), "udp", 1000);
        client->reserve(std::string(addresses::a2), "udp", 2000);
    }
    void change_everything() {
        const auto [rows, total, generation] = client->list();
        client->release({rows.at(0).get<0>()});
        client->change(rows.at(1).get<0>(), {{"external-port", std::uint16_t{1000}}});
        client->reserve(std::string(addresses::a1), "tcp", 2000);
    }
    // Ids, hosts, protocols and ports.
    std::vector<std::tuple<std::uint64_t, std::string, std::string, std::uint16_t, std::uint16_t>>
    listed() {
        std::vector<
            std::tuple<std::uint64_t, std::string, std::string, std::uint16_t, std::uint16_t>>
            all;
        const auto [rows, total, generation] = client->list();
        for (const auto& row : rows) {
            all.emplace_back(row.get<0>(), row.get<1>(), row.get<2>(), row.get<3>(), row.get<4>());
        }
        return all;
    }
    [[nodiscard]] std::string table() const { return lab::table_of(sites.gateway_a); }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a, "[auto]\nenabled = false\n"};
    std::optional<BusClient> client;
    std::optional<ManagerClient> manager_client;
};

TEST_F(CheckpointTest, IsGoneBackToWhenNobodyCommits) {
    reserve_two();
    const auto rows = listed();
    const auto rules = table();
    const auto id = manager_client->checkpoint(1);
    EXPECT_EQ(manager_client->active()["id"].get<std::uint64_t>(), id);
    change_everything();
    EXPECT_EQ(manager_client->wait_for_end(), std::pair(id, std::string("expired")));
    EXPECT_EQ(listed(), rows);
    EXPECT_EQ(table(), rules);
    EXPECT_TRUE(manager_client->active().empty());
}

TEST_F(CheckpointTest, IsGoneBackToOrCommittedOnDemand) {
    reserve_two();
    const auto rows = listed();
    const auto rules = table();
    const auto id = manager_client->checkpoint(60);
    change_everything();
    manager_client->roll_back(id);
    EXPECT_EQ(manager_client->wait_for_end(), std::pair(id, std::string("rolled-back")));
    EXPECT_EQ(listed(), rows);
    EXPECT_EQ(table(), rules);
    const auto second = manager_client->checkpoint(60);
    change_everything();
    const auto changed = listed();
    manager_client->commit(second);
    EXPECT_EQ(manager_client->wait_for_end(), std::pair(second, std::string("committed")));
    EXPECT_EQ(listed(), changed);
    EXPECT_EQ(error_of([&] { manager_client->roll_back(second); }).first,
              "org.porthole.Gateway1.Error.NoSuchCheckpoint");
}

// The port of the wrong flow is its owner's again with the next packet.
TEST_F(CheckpointTest, MovesFlowsBack) {
    const lab::UdpSocket host(sites.a1, 1000);
    const lab::UdpSocket remote(sites.outside, 7);
    const auto remote_end = at(addresses::outside, 7);
    client->reserve(std::string(addresses::a1), "udp", 1000, {{"settle", true}});
    ASSERT_EQ(lab::exchange(host, remote, remote_end), at(addresses::a_wan, 1000));
    const auto id = manager_client->checkpoint(60);
    client->change(std::get<0>(listed().front()), {{"external-port", std::uint16_t{1234}}},
                   {{"settle", true}});
    ASSERT_EQ(lab::exchange(host, remote, remote_end), at(addresses::a_wan, 1234));
    manager_client->roll_back(id);
    client->reserve(std::string(addresses::a2), "udp", 5, {{"settle", true}});
    EXPECT_EQ(lab::exchange(host, remote, remote_end), at(addresses::a_wan, 1000));
}

TEST_F(CheckpointTest, IsGoneBackToWhenTheServiceIsThereAgain) {
    reserve_two();
    const auto rows = listed();
    const auto rules = table();
    manager_client->checkpoint(1);
    change_everything();
    const auto expires = manager_client->active()["expires"].get<std::int64_t>();
    porthole.kill();
    const lab::Deadline deadline(lab::Duration(5'000));
    while (std::time(nullptr) < expires) ASSERT_FALSE(deadline.passed());
    start();
    EXPECT_EQ(listed(), rows) << "before anybody can see what was not committed";
    EXPECT_EQ(table(), rules);
    EXPECT_TRUE(manager_client->active().empty());
}

// Killed as each of its system calls is about to begin: it goes back when it is there again.
TEST_F(CheckpointTest, IsGoneBackToWhereverGoingBackWasInterrupted) {
    if (!lab::can_kill_at_calls()) GTEST_SKIP() << "this kernel does not say where a process is";
    reserve_two();
    const auto rows = listed();
    const auto rules = table();
    bool interrupted = true;
    unsigned calls = 1;
    for (; interrupted; ++calls) {
        const auto id = manager_client->checkpoint(600);
        change_everything();
        {
            const lab::KillAtCall killer(porthole.process()->id(), calls);
            interrupted = !error_of([&] { manager_client->roll_back(id); }).first.empty();
            if (!interrupted) porthole.kill();
        }
        porthole.kill();
        start();
        const bool begun = manager_client->active().empty();
        if (!begun) {
            EXPECT_NE(listed(), rows) << "half of it was done: call " << calls;
            manager_client->roll_back(id);
        }
        ASSERT_EQ(listed(), rows) << "call " << calls;
        ASSERT_EQ(table(), rules) << "call " << calls;
    }
    EXPECT_GT(calls, 20U);
}

TEST_F(CheckpointTest, IsWhatPortholectlAndItsMonitorSay) {
    const auto ctl = [this](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), "--json");
        const auto done = porthole.ctl(std::move(arguments));
        EXPECT_EQ(done.status, 0) << done.errors;
        return json::parse(done.output);
    };
    EXPECT_TRUE(ctl({"checkpoint", "show"})["active-checkpoint"].empty());
    const auto id = ctl({"checkpoint", "start", "60"})["checkpoint"].get<std::uint64_t>();
    EXPECT_EQ(ctl({"checkpoint", "show"})["active-checkpoint"]["id"], id);
    const auto text = std::to_string(id);
    const auto busy = porthole.ctl({"checkpoint", "start", "60"});
    EXPECT_EQ(busy.status, 1);
    EXPECT_THAT(busy.errors, HasSubstr("there is checkpoint " + text + " already"));
    ctl({"checkpoint", "extend", text, "120"});
    EXPECT_GT(ctl({"checkpoint", "show"})["active-checkpoint"]["seconds-left"], 60);
    ctl({"checkpoint", "rollback", text});
    const auto gone = porthole.ctl({"checkpoint", "commit", text});
    EXPECT_EQ(gone.status, 1);
    EXPECT_THAT(gone.errors, HasSubstr("there is no checkpoint " + text));
    for (const auto* seconds : {"0", "86401"}) {
        EXPECT_THAT(porthole.ctl({"checkpoint", "start", seconds}).errors,
                    HasSubstr("a number from 1 to 86400"));
    }
}

class TunnelCheckpointTest : public TwoGateways {};

TEST_F(TunnelCheckpointTest, GivesTunnelsAndPeersBack) {
    connect_sites();
    ASSERT_TRUE(sites_connect());
    const auto before = lab::output_of(sites.gateway_a, {"wg", "showconf", "wg0"});
    const auto checkpoint = done(a, {"checkpoint", "start", "60"})["checkpoint"];
    done(a, {"tunnel", "peer", "remove", "wg0", key_of(b)});
    done(a, {"tunnel", "create", "wg1"});
    done(a, {"checkpoint", "rollback", std::to_string(checkpoint.get<std::uint64_t>())});
    EXPECT_EQ(lab::output_of(sites.gateway_a, {"wg", "showconf", "wg0"}), before);
    EXPECT_EQ(done(a, {"tunnel", "show"})["tunnels"].size(), 1U);
    EXPECT_TRUE(sites_are_connected(lab::Duration(20'000)));
}

TEST_F(TunnelCheckpointTest, GivesATunnelBackThatWasDeleted) {
    connect_sites();
    ASSERT_TRUE(sites_connect());
    const auto before = lab::output_of(sites.gateway_a, {"wg", "showconf", "wg0"});
    const auto checkpoint = done(a, {"checkpoint", "start", "60"})["checkpoint"];
    done(a, {"tunnel", "delete", "wg0"});
    a.kill();
    a.start();
    done(a, {"checkpoint", "rollback", std::to_string(checkpoint.get<std::uint64_t>())});
    EXPECT_EQ(lab::output_of(sites.gateway_a, {"wg", "showconf", "wg0"}), before);
    EXPECT_TRUE(sites_are_connected(lab::Duration(20'000)));
}

}  // namespace
}  // namespace porthole
