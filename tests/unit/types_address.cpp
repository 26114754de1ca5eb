// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <cstdint>
#include <string_view>

#include <gtest/gtest.h>

#include "types/address.hpp"
#include "types/port.hpp"

namespace porthole {
namespace {

Address address(std::string_view text) { return parse<Address>("address", text); }
Network network(std::string_view text) { return parse<Network>("network", text); }

TEST(AddressTest, IsTakenFromFourOrSixteenBytesOnly) {
    const std::array<std::uint8_t, 17> bytes{192, 168, 2, 7};
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
        EXPECT_EQ(Address::from_bytes(std::span(bytes).first(size)).has_value(),
                  size == 4 || size == 16)
            << size;
    }
    EXPECT_EQ(Address::from_bytes(std::span(bytes).first(4)), address("192.168.2.7"));
    EXPECT_EQ(Address::from_bytes(std::span(bytes).first(16)), address("c0a8:207::"));
}

TEST(AddressTest, HasItsIpv4ValueInHostByteOrder) {
    EXPECT_EQ(address("192.168.2.7").v4_value(), 0xC0A80207U);
    EXPECT_EQ(Address::v4(0xC0A80207U), address("192.168.2.7"));
    EXPECT_EQ(address("::c0a8:207").v4_value(), 0U);
}

TEST(AddressTest, IsUnicastWhereAHostCanHaveIt) {
    for (const auto* text : {"1.0.0.1", "126.0.0.1", "128.0.0.1", "223.255.255.255", "169.254.1.1",
                             "2001:db8::1", "fe80::1", "fd00::1", "::2"}) {
        EXPECT_TRUE(address(text).is_unicast()) << text;
    }
    for (const auto* text : {"0.0.0.0", "0.0.0.1", "127.0.0.1", "224.0.0.1", "239.255.255.255",
                             "255.255.255.255", "::", "::1", "ff02::1", "::ffff:192.0.2.1"}) {
        EXPECT_FALSE(address(text).is_unicast()) << text;
    }
}

TEST(NetworkTest, IsMadeFromACleanPrefixOrAroundAnAddress) {
    EXPECT_EQ(Network::from(address("192.168.2.0"), 24), network("192.168.2.0/24"));
    EXPECT_EQ(Network::from(address("192.168.2.1"), 24), std::nullopt);
    EXPECT_EQ(Network::around(address("192.168.2.1"), 24), network("192.168.2.0/24"));
    EXPECT_EQ(Network::around(address("192.168.2.1"), 23), network("192.168.2.0/23"));
    EXPECT_EQ(Network::around(address("255.255.255.255"), 0), network("0.0.0.0/0"));
    EXPECT_EQ(Network::around(address("2001:db8::ffff"), 113), network("2001:db8::8000/113"));
    EXPECT_EQ(Network::around(address("192.168.2.1"), 33), std::nullopt);
    EXPECT_EQ(Network::around(address("::1"), 129), std::nullopt);
}

struct Bounds {
    std::string_view network, last, before, after;  // the neighbours outside; empty: there is none
};

TEST(NetworkTest, ContainsEverythingFromItsAddressToItsLastOneAndNothingElse) {
    for (const auto& [text, last, before, after] : {
             Bounds{"0.0.0.0/0", "255.255.255.255", "", ""},
             Bounds{"128.0.0.0/1", "255.255.255.255", "127.255.255.255", ""},
             Bounds{"192.168.2.0/24", "192.168.2.255", "192.168.1.255", "192.168.3.0"},
             Bounds{"172.16.0.0/12", "172.31.255.255", "172.15.255.255", "172.32.0.0"},
             Bounds{"192.0.2.6/31", "192.0.2.7", "192.0.2.5", "192.0.2.8"},
             Bounds{"192.0.2.7/32", "192.0.2.7", "192.0.2.6", "192.0.2.8"},
             Bounds{"255.255.255.255/32", "255.255.255.255", "255.255.255.254", ""},
             Bounds{"fc00::/7", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                    "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe00::"},
             Bounds{"2001:db8::1/128", "2001:db8::1", "2001:db8::", "2001:db8::2"},
         }) {
        SCOPED_TRACE(text);
        const auto tested = network(text);
        EXPECT_EQ(tested.last(), address(last));
        EXPECT_TRUE(tested.contains(tested.address()));
        EXPECT_TRUE(tested.contains(tested.last()));
        for (const auto outside : {before, after}) {
            EXPECT_FALSE(!outside.empty() && tested.contains(address(outside))) << outside;
        }
    }
    EXPECT_FALSE(network("0.0.0.0/0").contains(address("::")));
    EXPECT_FALSE(network("::/0").contains(address("0.0.0.0")));
}

TEST(NetworkTest, ContainsItselfAndNarrowerNetworks) {
    const auto lan = network("192.168.2.0/24");
    EXPECT_TRUE(lan.contains(lan));
    EXPECT_TRUE(lan.contains(network("192.168.2.128/25")));
    EXPECT_FALSE(lan.contains(network("192.168.2.0/23")));
    EXPECT_FALSE(lan.contains(network("192.168.3.0/25")));
    EXPECT_TRUE(network("0.0.0.0/0").contains(lan));
    EXPECT_FALSE(network("::/0").contains(lan));
}

TEST(NetworkTest, IsPrivateWhereAllOfItIs) {
    for (const auto* text :
         {"10.0.0.0/8", "10.255.255.255/32", "172.16.0.0/12", "172.31.255.0/24", "192.168.0.0/16",
          "192.168.255.255/32", "fc00::/7", "fd12:3456::/48"}) {
        EXPECT_TRUE(network(text).is_private()) << text;
    }
    for (const auto* text : {"0.0.0.0/0", "10.0.0.0/7", "11.0.0.0/8", "172.0.0.0/8",
                             "172.32.0.0/12", "192.168.0.0/15", "192.169.0.0/16", "100.64.0.0/10",
                             "169.254.0.0/16", "::/0", "fe80::/10", "2001:db8::/32"}) {
        EXPECT_FALSE(network(text).is_private()) << text;
    }
}

TEST(PortRangeTest, ContainsBothItsEnds) {
    const auto range = parse<PortRange>("ports", "51820-51899");
    for (const std::uint64_t inside : {51820U, 51821U, 51899U}) {
        EXPECT_TRUE(range.contains(Port::from(inside).value())) << inside;
    }
    for (const std::uint64_t outside : {1U, 51819U, 51900U, 65535U}) {
        EXPECT_FALSE(range.contains(Port::from(outside).value())) << outside;
    }
}

}  // namespace
}  // namespace porthole
