// SPDX-License-Identifier: GPL-2.0-or-later
// The gateway's use cases over the real table and a real store.
#include "core/gateway.hpp"

#include <random>

#include <gtest/gtest.h>

#include "core/desired_firewall.hpp"
#include "lab/namespace.hpp"
#include "lab/process.hpp"
#include "lab/temporary_directory.hpp"
#include "nft/conntrack_settler.hpp"
#include "nft/firewall_table.hpp"

namespace porthole {
namespace {

InterfaceSnapshot house(bool second_lan, bool wan_up) {
    const auto link = [](int index, std::string_view name, std::string_view kind) {
        return Link{index, parse<InterfaceName>("name", name), LinkLayer::ethernet,
                    std::string(kind), true};
    };
    const auto address = [](int index, std::string_view text) {
        return LinkAddress{index, parse<Address>("address", text), 24};
    };
    InterfaceSnapshot snapshot{{link(2, "eth0", ""), link(3, "br-lan", "bridge")},
                               {address(2, "203.0.113.1"), address(3, "192.168.2.1")},
                               {}};
    if (wan_up) snapshot.default_routes.push_back({2, Family::ipv4, 0});
    if (second_lan) {
        snapshot.links.push_back(link(4, "eth1.7", "vlan"));
        snapshot.addresses.push_back(address(4, "10.7.0.1"));
    }
    return snapshot;
}

// Random sequences of operations, refused ones among them: afterwards the table that grew step by
// step equals one that is built at once from the same state.
class GatewayOverKernel : public testing::TestWithParam<unsigned> {
  protected:
    [[nodiscard]] std::string listed() const {
        return lab::output_of(router, {"nft", "-s", "list", "table", "inet", "porthole"});
    }
    unsigned below(unsigned limit) {
        return std::uniform_int_distribution<unsigned>(0, limit - 1)(random_);
    }
    Port some_port() { return *Port::from(51820 + below(30)); }
    ReserveRequest some_request() {
        ReserveRequest request{.internal = {Address::v4(0xC0A80202U + below(6)),
                                            below(2) == 0 ? Protocol::udp : Protocol::tcp,
                                            some_port()}};
        if (below(2) == 0) request.external_port = some_port();
        if (below(2) == 0) request.on_conflict = OnConflict::next;
        if (below(4) == 0) request.lifetime = std::chrono::seconds(below(50) + 1);
        return request;
    }
    ReservationId some_id() {
        return ReservationId{
            below(static_cast<unsigned>(number(gateway.reservations().next_id()))) + 1};
    }
    void step() {
        try {
            switch (below(8)) {
                case 0: {
                    std::vector<ReserveRequest> requests;
                    for (auto i = below(8) + 1; i > 0; --i) requests.push_back(some_request());
                    gateway.reserve_many(requests, {});
                    break;
                }
                case 1:
                    gateway.change(some_id(), {.external_port = some_port()}, {});
                    break;
                case 2:
                case 3: {
                    const std::array ids{some_id()};
                    gateway.release(ids, {});
                    break;
                }
                case 4:
                    gateway.interfaces_changed(house(below(2) == 0, below(4) != 0));
                    break;
                case 5:
                    clock += std::chrono::seconds(below(20));
                    gateway.expire();
                    break;
                case 6: {
                    Configuration configuration;
                    configuration.masquerade = below(2) == 0;
                    const auto request = some_request();
                    configuration.reservations = {{request.internal, some_port(), {}, {}}};
                    gateway.reload(configuration);
                    break;
                }
                default:
                    gateway.reserve(some_request(), {});
            }
            ++done;
        } catch (const Refused&) {
            ++refused;
        }
    }

    lab::Namespace router{"router"};
    lab::TemporaryDirectory directory;
    nft::FirewallTable table = router.run([] { return nft::FirewallTable(); });
    Time clock{std::chrono::seconds(1'000'000)};
    std::unique_ptr<nft::ConntrackSettler> settler =
        router.run([] { return std::make_unique<nft::ConntrackSettler>(); });
    Gateway gateway{{}, Store::open(directory.path()), table, *settler, [this] { return clock; }};
    int done = 0;
    int refused = 0;

  private:
    std::mt19937 random_{GetParam()};
};

TEST_P(GatewayOverKernel, GrowsIntoWhatARebuildMakes) {
    gateway.start(house(false, true));
    for (int i = 0; i < 300; ++i) step();
    EXPECT_GT(done, 100);
    EXPECT_GT(refused, 10);

    const auto grown = listed();
    table.replace(desired_firewall(gateway.perimeter().scope, gateway.reservations()));
    EXPECT_EQ(grown, listed());
}

// The same, but somebody removes the table now and then.
TEST_P(GatewayOverKernel, RebuildsATableThatSomebodyRemoved) {
    gateway.start(house(false, true));
    for (int i = 0; i < 5; ++i) {
        for (int j = 0; j < 20; ++j) step();
        lab::output_of(router, {"nft", "flush", "ruleset"});
        const std::array<ReserveRequest, 1> request{
            {{.internal = {parse<HostKey>("host", "192.168.2.99"), Protocol::udp,
                           *Port::from(static_cast<std::uint64_t>(1000 + i))}}}};
        gateway.reserve(request[0], {});
        const auto rebuilt = listed();
        table.replace(desired_firewall(gateway.perimeter().scope, gateway.reservations()));
        EXPECT_EQ(rebuilt, listed());
    }
}

// What was acknowledged is there again, with the same ids, when everything but the disk is gone.
TEST_P(GatewayOverKernel, ComesBackFromTheStore) {
    gateway.start(house(false, true));
    for (int i = 0; i < 100; ++i) step();
    const auto rows = gateway.reservations();
    const auto generation = gateway.generation();
    const auto before = listed();
    lab::output_of(router, {"nft", "flush", "ruleset"});

    // The database has one owner at a time: copy it, as a power cut would leave it.
    const lab::TemporaryDirectory copy;
    for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
        std::filesystem::copy(entry, copy.path());
    }
    auto opened = Store::open(copy.path());
    EXPECT_EQ(opened.state.reservations, rows);
    EXPECT_EQ(opened.state.generation, generation);
    EXPECT_EQ(opened.kept_aside, "");
    table.replace(desired_firewall(gateway.perimeter().scope, opened.state.reservations));
    EXPECT_EQ(listed(), before);
}

INSTANTIATE_TEST_SUITE_P(Seeds, GatewayOverKernel, testing::Range(1U, 5U));

}  // namespace
}  // namespace porthole
