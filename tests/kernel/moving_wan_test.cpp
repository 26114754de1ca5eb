// SPDX-License-Identifier: GPL-2.0-or-later
// WANs that change their address, go down, come back as another device, or hand over to another
// one: the external port of a host stays, and nothing stays with an address that is gone.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bus_client.hpp"
#include "lab/conntrack.hpp"
#include "lab/deadline.hpp"
#include "lab/links.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::UdpSocket;
using testing::IsEmpty;

constexpr std::uint16_t wireguard = 51820;
constexpr std::uint16_t external = 40001;
const auto remote_end = at(addresses::outside, wireguard);
const std::string first_address(addresses::a_wan);
const std::string other_address = "203.0.113.77";

class MovingWan : public testing::Test {
  protected:
    MovingWan() { lab::masquerade(sites.gateway_a, lab::InputPolicy::accept); }
    void start() {
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
        client->reserve(
            std::string(addresses::a1), "udp", wireguard,
            {{"external-port", sdbus::Variant(external)}, {"settle", sdbus::Variant(true)}});
        ASSERT_EQ(lab::exchange(a1, remote, remote_end), at(first_address, external));
    }
    std::vector<dbus::Dictionary> wans() {
        return client->proxy()
            .getProperty("Wans")
            .onInterface("org.porthole.Gateway1.Diagnostics")
            .get<std::vector<dbus::Dictionary>>();
    }
    /// Whether the service has taken in that this is the only WAN and its only address.
    bool follows_to(const std::string& interface, const std::string& address) {
        const lab::Deadline deadline(lab::Duration(10'000));
        while (!deadline.passed()) {
            const auto now = wans();
            if (now.size() != 1 || now[0].at("interface").get<std::string>() != interface) continue;
            auto found = now[0].at("addresses").get<std::vector<std::string>>();
            std::erase_if(found, [](const auto& a) { return a.find(':') != std::string::npos; });
            if (found != std::vector{address}) continue;
            const auto [rows, total, generation] =
                client->list({{"state", sdbus::Variant(std::string("settling"))}});
            if (total == 0) return true;
        }
        return false;
    }
    void default_route() const {
        lab::output_of(sites.gateway_a, {"ip", "route", "replace", "default", "via",
                                         std::string(addresses::internet)});
    }
    void change_address() const {
        lab::delete_address(sites.gateway_a, "wan", first_address + "/24");
        lab::add_address(sites.gateway_a, "wan", other_address + "/24");
        default_route();
    }
    void wait_for_links() const {
        const lab::Deadline deadline(lab::Duration(5'000));
        lab::wait_for_links(sites.gateway_a, deadline);
        lab::wait_for_links(sites.internet, deadline);
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a, "[auto]\nenabled = false\n"};
    std::unique_ptr<BusClient> client;
    UdpSocket a1{sites.a1, wireguard};
    UdpSocket remote{sites.outside, wireguard};
};

TEST_F(MovingWan, GetsAnotherAddress) {
    start();
    change_address();
    ASSERT_TRUE(follows_to("wan", other_address));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(other_address, external));
    EXPECT_EQ(wans().at(0).at("verdict").get<std::string>(), "public");
}

// The rule of another table names the address, so that its entries outlive it.
TEST_F(MovingWan, LeavesNoEntryWithAnAddressThatIsGone) {
    lab::output_of(sites.gateway_a, {"nft", "flush", "chain", "ip", "stock", "postrouting"});
    lab::output_of(sites.gateway_a,
                   {"nft", "add", "rule", "ip", "stock", "postrouting", "oifname", "wan", "udp",
                    "sport", "51820", "snat", "to", "203.0.113.1:40001"});
    ASSERT_EQ(lab::exchange(a1, remote, remote_end), at(first_address, external));
    start();
    ASSERT_EQ(lab::flows_from(sites.gateway_a, addresses::a1, wireguard).size(), 1U);
    change_address();
    ASSERT_TRUE(follows_to("wan", other_address));
    EXPECT_THAT(lab::flows_from(sites.gateway_a, addresses::a1, wireguard), IsEmpty());
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(other_address, external));
}

TEST_F(MovingWan, GoesDownAndUp) {
    start();
    lab::set_link(sites.gateway_a, "wan", false);
    a1.send_to(remote_end, "into the dark");
    lab::set_link(sites.gateway_a, "wan", true);
    wait_for_links();
    default_route();
    ASSERT_TRUE(follows_to("wan", first_address));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(first_address, external));
}

// As PPPoE does when it dials again.
TEST_F(MovingWan, ComesBackAsAnotherDevice) {
    start();
    const auto before = sites.gateway_a.link_index("wan");
    lab::delete_link(sites.gateway_a, "wan");
    a1.send_to(remote_end, "into the dark");
    lab::add_cable({sites.gateway_a, "wan"}, {sites.internet, "again", "wan"});
    lab::add_address(sites.gateway_a, "wan", other_address + "/24");
    default_route();
    wait_for_links();
    ASSERT_NE(sites.gateway_a.link_index("wan"), before);
    ASSERT_TRUE(follows_to("wan", other_address));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(other_address, external));
}

TEST_F(MovingWan, HandsOverToAnotherOne) {
    start();
    lab::add_cable({sites.gateway_a, "wan2"}, {sites.internet, "second", "wan"});
    lab::delete_address(sites.gateway_a, "wan", first_address + "/24");
    lab::add_address(sites.gateway_a, "wan2", other_address + "/24");
    default_route();
    wait_for_links();
    ASSERT_TRUE(follows_to("wan2", other_address));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(other_address, external));
    // And back.
    lab::delete_link(sites.gateway_a, "wan2");
    lab::add_address(sites.gateway_a, "wan", first_address + "/24");
    default_route();
    ASSERT_TRUE(follows_to("wan", first_address));
    EXPECT_EQ(lab::exchange(a1, remote, remote_end), at(first_address, external));
}

TEST_F(MovingWan, TellsWhoWantsToKnow) {
    start();
    lab::Process monitor(sites.gateway_a,
                         {"dbus-monitor", "--address", porthole.bus().address(),
                          "type=signal,interface=org.freedesktop.DBus.Properties"});
    // It says who it is once it listens.
    ASSERT_TRUE(monitor.wait_for_output("NameLost", lab::Duration(5'000)));
    lab::add_address(sites.gateway_a, "wan", "100.64.0.5/32");
    EXPECT_TRUE(monitor.wait_for_output("100.64.0.5", lab::Duration(5'000))) << monitor.output();
    EXPECT_THAT(monitor.output(), testing::HasSubstr("org.porthole.Gateway1.Diagnostics"));
}

}  // namespace
}  // namespace porthole
