// SPDX-License-Identifier: GPL-2.0-or-later
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/perimeter.hpp"
#include "core_support.hpp"

namespace porthole {
namespace {

using namespace support;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

constexpr auto ethernet = LinkLayer::ethernet;
constexpr auto point_to_point = LinkLayer::point_to_point;

struct Device {
    std::string_view name;
    std::string kind;
    LinkLayer layer = ethernet;
    std::vector<std::string> addresses = {};  // "192.168.2.1/24"
    unsigned default_routes = 0;
};

InterfaceSnapshot snapshot_of(const std::vector<Device>& devices) {
    InterfaceSnapshot snapshot;
    snapshot.links.push_back(
        {1, parse<InterfaceName>("name", "lo"), LinkLayer::loopback, "", true});
    snapshot.addresses.push_back({1, parse<Address>("address", "127.0.0.1"), 8});
    int index = 1;
    for (const auto& device : devices) {
        ++index;
        snapshot.links.push_back(
            {index, parse<InterfaceName>("name", device.name), device.layer, device.kind, true});
        for (const auto& text : device.addresses) {
            const auto slash = text.find('/');
            snapshot.addresses.push_back(
                {index, parse<Address>("address", text.substr(0, slash)),
                 static_cast<unsigned>(std::stoul(text.substr(slash + 1)))});
        }
        for (auto metric = device.default_routes; metric > 0; --metric) {
            snapshot.default_routes.push_back({index, Family::ipv4, metric});
        }
    }
    return snapshot;
}

const Device wan{"wan", "", ethernet, {"203.0.113.2/24"}, 1};
const Device lan{"br-lan", "bridge", ethernet, {"192.168.2.1/24"}};

Perimeter perimeter_of(const std::vector<Device>& devices,
                       const Configuration& configuration = {}) {
    return choose_perimeter(configuration, snapshot_of(devices));
}

TEST(PerimeterTest, ChoosesEachSideByTheDefaultRulesAndSaysWhy) {
    struct Case {
        Device device;
        Side side;
        std::string_view reason;
    };
    for (const auto& [device, side, reason] : std::initializer_list<Case>{
             {wan, Side::wan, "default route"},
             {{"eth0", "", ethernet, {"192.168.1.7/24"}, 1}, Side::wan, "default route"},
             {{"pppoe-wan", "ppp", point_to_point, {"203.0.113.2/32"}, 1}, Side::wan, "default"},
             {{"wwan0", "", LinkLayer::other, {"10.64.1.2/30"}, 1}, Side::wan, "default route"},
             {{"eth0.7", "vlan", ethernet, {"203.0.113.2/24"}, 1}, Side::wan, "default route"},
             {lan, Side::lan, "private address"},
             {{"eth1", "", ethernet, {"10.1.2.1/8"}}, Side::lan, "private address"},
             {{"eth1.5", "vlan", ethernet, {"172.16.5.1/24"}}, Side::lan, "private address"},
             {{"wlan0", "", ethernet, {"192.168.3.1/24"}}, Side::lan, "private address"},
             {{"bond0", "bond", ethernet, {"192.168.3.1/24"}}, Side::lan, "private address"},
             {{"eth1", "", ethernet, {"fd12:3456::1/64"}}, Side::lan, "private address"},
             {{"br-0123456789", "bridge", ethernet, {"172.18.0.1/16"}}, Side::lan, "private"},
             {{"docker0", "", ethernet, {"172.17.0.1/16"}}, Side::lan, "private address"},
             {{"wg0", "wireguard", point_to_point, {"10.9.0.1/24"}, 1}, Side::neither, "wireguard"},
             {{"tun0", "tun", point_to_point, {"10.8.0.2/24"}, 2}, Side::neither, "tunnel (tun)"},
             {{"tap0", "tun", ethernet, {"10.8.0.2/24"}, 1}, Side::neither, "tunnel (tun)"},
             {{"ipip1", "ipip", point_to_point, {"10.8.0.2/24"}, 1}, Side::neither, "(ipip)"},
             {{"gre1", "gre", point_to_point, {"10.8.0.2/24"}, 1}, Side::neither, "tunnel (gre)"},
             {{"gretap1", "gretap", ethernet, {"10.8.0.2/24"}, 1}, Side::neither, "(gretap)"},
             {{"vti1", "vti", point_to_point, {"10.8.0.2/24"}, 1}, Side::neither, "tunnel (vti)"},
             {{"vrf1", "vrf", ethernet, {"10.8.0.2/24"}, 1}, Side::neither, "tunnel (vrf)"},
             {{"wg0", "wireguard", point_to_point, {"10.9.0.1/24"}}, Side::neither, "Ethernet"},
             {{"vxlan0", "vxlan", ethernet, {"10.9.0.1/24"}}, Side::neither, "Ethernet-like"},
             {{"eth1", "", ethernet, {}}, Side::neither, "no private address"},
             {{"eth1", "", ethernet, {"198.51.100.1/24"}}, Side::neither, "no private address"},
             {{"eth1", "", ethernet, {"169.254.7.7/16"}}, Side::neither, "no private address"},
             {{"eth1", "", ethernet, {"10.0.0.1/7"}}, Side::neither, "no private address"},
             {{"docker0", "bridge", ethernet, {"172.17.0.1/16"}}, Side::neither, "containers"},
             {{"br-0123456789ab", "bridge", ethernet, {"172.18.0.1/16"}}, Side::neither, "contai"},
             {{"podman1", "bridge", ethernet, {"10.88.0.1/16"}}, Side::neither, "containers"},
             {{"cni0", "bridge", ethernet, {"10.42.0.1/24"}}, Side::neither, "containers"},
             {{"virbr0", "bridge", ethernet, {"192.168.122.1/24"}}, Side::neither, "virtual mach"},
             {{"lxcbr0", "bridge", ethernet, {"10.0.3.1/24"}}, Side::neither, "containers"},
             {{"lxdbr0", "bridge", ethernet, {"10.0.4.1/24"}}, Side::neither, "containers"},
         }) {
        SCOPED_TRACE(device.name);
        SCOPED_TRACE(device.kind);
        const auto perimeter = perimeter_of({device});
        ASSERT_EQ(perimeter.interfaces.size(), 1U) << "loopback is not among them";
        const auto& chosen = perimeter.interfaces[0];
        EXPECT_EQ(chosen.name.text(), device.name);
        EXPECT_EQ(to_text(chosen.side), to_text(side));
        EXPECT_THAT(chosen.reason, HasSubstr(reason));
        EXPECT_EQ(perimeter.scope.wans.size(), side == Side::wan ? 1U : 0U);
        const bool has_ipv4_lan =
            side == Side::lan && device.addresses[0].find(':') == std::string::npos;
        EXPECT_EQ(perimeter.scope.nat_sources.size(), has_ipv4_lan ? 1U : 0U);
    }
}

TEST(PerimeterTest, TakesThePppDeviceOverAnEthernetWanForATunnel) {
    const Device ppp{"ppp0", "ppp", point_to_point, {"10.8.0.2/32"}, 1};
    const auto perimeter = perimeter_of({ppp, wan});
    EXPECT_THAT(perimeter.scope.wans, ElementsAre(parse<InterfaceName>("", "wan")));
    EXPECT_THAT(perimeter.interfaces[0].reason, HasSubstr("name it in wan.interfaces"));
}

TEST(PerimeterTest, HasAWanForEachDefaultRouteOnce) {
    const auto perimeter = perimeter_of({{"wwan0", "", LinkLayer::other, {"10.64.1.2/30"}, 1},
                                         lan,
                                         {"eth0", "", ethernet, {"203.0.113.2/24"}, 2}});
    EXPECT_EQ(perimeter.scope.wans, all<InterfaceName>({"eth0", "wwan0"}));
    EXPECT_THAT(perimeter.scope.masquerade_wans, IsEmpty());
}

TEST(PerimeterTest, ListsInterfacesByNameWithAllTheirAddresses) {
    const auto perimeter =
        perimeter_of({wan, {"eth1", "", ethernet, {"192.168.3.1/24", "2001:db8::1/64"}}, lan});
    ASSERT_EQ(perimeter.interfaces.size(), 3U);
    EXPECT_EQ(perimeter.interfaces[0].name.text(), "br-lan");
    EXPECT_EQ(perimeter.interfaces[1].name.text(), "eth1");
    EXPECT_EQ(perimeter.interfaces[2].name.text(), "wan");
    EXPECT_EQ(perimeter.interfaces[1].addresses, all<Address>({"192.168.3.1", "2001:db8::1"}));
    Perimeter nothing;
    nothing.scope.watched = ClaimPolicy().ports;
    EXPECT_EQ(perimeter_of({}), nothing);
}

TEST(PerimeterTest, TranslatesThePrivateIpv4NetworksOfTheLansWithoutNestedOnes) {
    const auto perimeter =
        perimeter_of({wan,
                      {"br-lan",
                       "bridge",
                       ethernet,
                       {"192.168.2.1/24", "192.168.2.129/25", "198.51.100.1/24", "fd00::1/64"}},
                      {"eth1", "", ethernet, {"192.168.3.1/24", "192.168.2.2/24"}},
                      {"eth2", "", ethernet, {"10.0.0.1/8"}},
                      {"eth3", "", ethernet, {"10.1.0.1/16"}}});
    EXPECT_EQ(perimeter.scope.nat_sources,
              all<Network>({"10.0.0.0/8", "192.168.2.0/24", "192.168.3.0/24"}));
}

TEST(PerimeterTest, FollowsTheNamesOfTheConfiguration) {
    Configuration configuration;
    configuration.wan_interfaces = all<InterfaceName>({"wg0", "absent", "eth1"});
    const Device tunnel{"wg0", "wireguard", point_to_point, {"10.9.0.1/24"}};
    const Device private_wan{"eth1", "", ethernet, {"192.168.9.2/24"}};
    auto perimeter = perimeter_of({wan, tunnel, private_wan, lan}, configuration);
    EXPECT_EQ(perimeter.scope.wans, all<InterfaceName>({"absent", "eth1", "wg0"}));
    EXPECT_EQ(perimeter.scope.nat_sources, all<Network>({"192.168.2.0/24"}));
    EXPECT_EQ(perimeter.interfaces[1].reason, "named in wan.interfaces");
    EXPECT_EQ(perimeter.interfaces[2].side, Side::neither) << "wan is not named";
    EXPECT_EQ(perimeter.interfaces[2].reason, "not named in wan.interfaces");

    configuration = {};
    configuration.lan_interfaces = all<InterfaceName>({"virbr0", "wan", "absent"});
    const Device guests{"virbr0", "bridge", ethernet, {"192.168.122.1/24"}};
    perimeter = perimeter_of({wan, guests, lan}, configuration);
    EXPECT_THAT(perimeter.scope.wans, IsEmpty()) << "what is named goes before what is found";
    EXPECT_EQ(perimeter.scope.nat_sources, all<Network>({"192.168.122.0/24"}));
    EXPECT_EQ(perimeter.interfaces[0].reason, "not named in lan.interfaces");
}

TEST(PerimeterTest, TakesNetworksAndMasqueradeFromTheConfiguration) {
    Configuration configuration;
    configuration.masquerade = true;
    configuration.nat_sources = all<Network>({"192.168.7.0/24", "192.168.0.0/16"});
    configuration.nat_exempt = all<Network>({"10.9.1.0/24", "10.9.0.0/16", "10.9.0.0/16"});
    const auto scope = perimeter_of({wan, lan}, configuration).scope;
    EXPECT_EQ(scope.masquerade_wans, scope.wans);
    EXPECT_EQ(scope.nat_sources, all<Network>({"192.168.0.0/16"}));
    EXPECT_EQ(scope.exempt, all<Network>({"10.9.0.0/16"}));
}

TEST(RequireLanHost, AcceptsTheHostsOfTheTranslatedNetworks) {
    const auto perimeter = perimeter_of({wan, lan, {"eth1", "", ethernet, {"10.0.0.0/31"}}});
    for (const auto* host : {"192.168.2.2", "192.168.2.254", "10.0.0.1"}) {
        EXPECT_NO_THROW(require_lan_host(perimeter, parse<HostKey>("host", host))) << host;
    }
}

TEST(RequireLanHost, SaysWhatIsWrongWithAHost) {
    const auto perimeter = perimeter_of({wan, lan});
    const auto require = [&](std::string_view host) {
        return [&, host] { require_lan_host(perimeter, parse<HostKey>("host", host)); };
    };
    EXPECT_THAT(require("192.168.3.2"),
                ThrowsMessage<InvalidArgument>(
                    "invalid host \"192.168.3.2\": expected a host in 192.168.2.0/24"));
    EXPECT_THAT(require("203.0.113.9"), ThrowsMessage<InvalidArgument>(HasSubstr("a host in")));
    EXPECT_THAT(require("192.168.2.1"),
                ThrowsMessage<InvalidArgument>(HasSubstr("the gateway's own")));
    EXPECT_THAT(require("203.0.113.2"),
                ThrowsMessage<InvalidArgument>(HasSubstr("the gateway's own")));
    for (const auto* host : {"192.168.2.0", "192.168.2.255"}) {
        EXPECT_THAT(require(host), ThrowsMessage<InvalidArgument>(HasSubstr("192.168.2.0/24")));
    }
    EXPECT_NO_THROW(require("02:00:5e:10:00:01")());
    EXPECT_THAT([&] { require_lan_host(Perimeter(), parse<HostKey>("host", "192.168.2.2")); },
                ThrowsMessage<InvalidArgument>(HasSubstr("no LAN with a private network")));
}

}  // namespace
}  // namespace porthole
