// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/route_finder.hpp"

#include <gtest/gtest.h>

#include "lab/links.hpp"
#include "lab/namespace.hpp"
#include "lab/process.hpp"

namespace porthole::netlink {
namespace {

// A host that sends everything through a tunnel, but for the tunnel's own packets, as wg-quick
// has it.
class RouteFinderTest : public testing::Test {
  protected:
    void SetUp() override {
        add("wan", 1492, "192.0.2.2/24");
        add("tunnel", 1412, "10.9.0.2/24");
        ip({"route", "add", "default", "via", "192.0.2.1"});
        ip({"route", "add", "default", "dev", "tunnel", "table", "77"});
        ip({"rule", "add", "not", "fwmark", "7", "table", "77"});
    }
    void add(const std::string& name, int mtu, const std::string& address) {
        lab::add_link(host_, name, "bridge");
        ip({"address", "add", address, "dev", name});
        ip({"link", "set", name, "mtu", std::to_string(mtu), "up"});
    }
    void ip(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), "ip");
        lab::output_of(host_, arguments);
    }

    lab::Namespace host_{"host"};
    RouteFinder routes_ = host_.run([] { return RouteFinder(); });
    const Address peer_ = parse<Address>("peer", "203.0.113.1");
};

TEST_F(RouteFinderTest, FindsTheMtuOfTheWayThatTheMarkTakes) {
    EXPECT_EQ(routes_.path_mtu(peer_), 1412U);
    EXPECT_EQ(routes_.path_mtu(peer_, 7), 1492U);
    ip({"route", "add", "203.0.113.0/24", "via", "192.0.2.1", "mtu", "1400"});
    EXPECT_EQ(routes_.path_mtu(peer_, 7), 1400U);
}

TEST_F(RouteFinderTest, DoesNotTakeATunnelForTheWayOfItsOwnPackets) {
    EXPECT_EQ(routes_.path_mtu(peer_, 0, host_.link_index("tunnel")), std::nullopt);
    EXPECT_EQ(routes_.path_mtu(peer_, 7, host_.link_index("tunnel")), 1492U);
}

TEST_F(RouteFinderTest, SaysWhereThereIsNoWay) {
    ip({"route", "flush", "table", "77"});
    ip({"route", "del", "default"});
    EXPECT_EQ(routes_.path_mtu(peer_), std::nullopt);
}

}  // namespace
}  // namespace porthole::netlink
