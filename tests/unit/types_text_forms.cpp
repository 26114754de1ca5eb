// SPDX-License-Identifier: GPL-2.0-or-later
#include <initializer_list>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "types/interfaces.hpp"
#include "types/place.hpp"
#include "types/reservation.hpp"

namespace porthole {
namespace {

using namespace std::string_view_literals;
using ::testing::ThrowsMessage;

template <typename T>
void accepts_as(std::string_view canonical, std::string_view text) {
    const auto value = TextForm<T>::parse(text);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(to_text(*value), canonical);
    EXPECT_EQ(TextForm<T>::parse(canonical), value) << text;
}

template <typename T>
void accepts(std::initializer_list<std::string_view> canonical_texts) {
    for (const auto text : canonical_texts) accepts_as<T>(text, text);
}

template <typename T>
void refuses(std::initializer_list<std::string_view> texts) {
    for (const auto text : texts) {
        EXPECT_FALSE(TextForm<T>::parse(text)) << ::testing::PrintToString(text);
    }
}

TEST(TextForms, OfPorts) {
    accepts<Port>({"1", "51820", "65535"});
    refuses<Port>({"", "0", "65536", "4294967297", "18446744073709551617", "+1", "-1", " 1", "1 ",
                   "1.0", "0x50", "http", "1\0"sv});
}

TEST(TextForms, OfPortRanges) {
    accepts<PortRange>({"51820-51899", "1-65535", "7-7"});
    refuses<PortRange>({"", "-", "7", "7-", "-7", "0-7", "7-65536", "8-7", "7 - 8", "7-8-9"});
}

TEST(TextForms, OfNames) {
    accepts<Protocol>({"udp", "tcp"});
    refuses<Protocol>({"", "icmp", "UDP", "17", "udp "});
    accepts<Filtering>({"endpoint-independent", "address-dependent", "address-and-port-dependent"});
    refuses<Filtering>({"", "strict", "address_dependent"});
    accepts<Origin>({"static", "api", "auto"});
    refuses<Origin>({"", "configured", "automatic"});
    accepts<ReservationState>({"settling", "active", "waiting"});
    refuses<ReservationState>({"", "Active"});
}

TEST(TextForms, OfPlaces) {
    accepts<Place>({"192.0.2.1:51820", "[2001:db8::9]:1"});
    refuses<Place>({"", ":", ":1", "192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536",
                    "[192.0.2.1]:1", "2001:db8::9:1", "2001:db8::9", "[2001:db8::9]", "[]:1", "[:1",
                    "host:1"});
}

TEST(TextForms, OfAddresses) {
    accepts<Address>({"192.168.2.2", "0.0.0.0", "255.255.255.255", "::", "::ffff:192.0.2.1"});
    accepts_as<Address>("2001:db8::1", "2001:DB8:0:0:0:0:0:1");
    refuses<Address>({"", "192.168.2", "192.168.2.256", "192.168.2.2 ", "192.168.02.2",
                      "3232236034", "192.168.2.2:1", "[::1]", "2001:db8::1::2", "fe80::1%eth0",
                      "host", "192.168.2.2\0"sv, "\0"sv});
}

TEST(TextForms, OfNetworks) {
    accepts<Network>({"192.168.2.0/24", "0.0.0.0/0", "192.0.2.7/32", "::/0", "2001:db8::1/128"});
    accepts_as<Network>("fc00::/7", "FC00::/7");
    refuses<Network>({"", "192.168.2.0", "192.168.2.0/", "/24", "192.168.2.1/24", "128.0.0.0/0",
                      "192.168.2.0/33", "192.168.2.0/-1", "192.168.2.0/+8", "192.168.2.0/ 24",
                      "192.168.2.0/24 ", "192.168.2.0/4294967320", "192.168.2.0/255.255.255.0",
                      "::/129", "fd00::1/64", "fe80::%eth0/64", "192.168.2.0\0/24"sv});
}

TEST(TextForms, OfHosts) {
    accepts<MacAddress>({"02:00:5e:10:00:01"});
    accepts_as<MacAddress>("02:00:5e:10:00:ff", "02:00:5E:10:00:FF");
    refuses<MacAddress>({"", "00:00:00:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff",
                         "02-00-5e-10-00-01", "02:00:5e:10:00", "02:00:5e:10:00:1",
                         "02:00:5e:10:00:01:", "02:00:5e:10:00:0g", "0x:00:5e:10:00:01",
                         " 2:00:5e:10:00:01", "-2:00:5e:10:00:01", "02:00:5e:10:00:0\0"sv});

    accepts<HostKey>({"192.168.2.2", "2001:db8::1", "02:00:5e:10:00:01"});
    refuses<HostKey>({"", "0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1",
                      "ff02::1", "::ffff:192.168.2.2", "fe80::1%eth0", "01:00:5e:00:00:01",
                      "192.168.2.0/24", "laptop"});
}

TEST(TextForms, OfInterfaceNames) {
    accepts<InterfaceName>({"lo", "br-lan", "eth0.7", "fifteen-letters", "wän", "@"});
    refuses<InterfaceName>({"", ".", "..", "sixteen--letters", "a b", "a\tb", "a\nb", "a\xA0",
                            "a/b", "a:b", "a\0b"sv, "\0"sv});
}

TEST(TextForms, OfComments) {
    const std::string longest(128, 'x');
    accepts<Comment>({"", "Anna's laptop", "Größe – 大きさ 🕳", " ", "\xC2\xA0",
                      "\U0010FFFF", longest});
    refuses<Comment>({longest + "x", std::string(127, 'x') + "é",
                      // Control characters: C0, DEL and C1.
                      "a\nb", "\x1B[2J", "\0"sv, "\x7F", "\xC2\x80", "\xC2\x9F",
                      // Broken UTF-8: stray and missing continuations, overlong forms, surrogates,
                      // beyond U+10FFFF, Latin-1.
                      "\x80", "\xC3", "\xC3(", "\xE2\x82", "\xF0\x9F\x95", "\xC0\xAF", "\xC1\xBF",
                      "\xE0\x80\xAF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\xED\xA0\x80",
                      "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "Gr\xF6\xDF"});
}

TEST(TextForms, ParseThrowsWhatWasGivenAndWhatIsAllowed) {
    EXPECT_EQ(parse<Port>("port", "51820"), Port::constant<51820>());
    EXPECT_THAT([] { return parse<Port>("external-port", "65536"); },
                ThrowsMessage<InvalidArgument>(
                    "invalid external-port \"65536\": expected a port from 1 to 65535"));
    EXPECT_THAT(
        [] { return parse<Protocol>("protocol", "icmp"); },
        ThrowsMessage<InvalidArgument>("invalid protocol \"icmp\": expected \"udp\" or \"tcp\""));
}

TEST(Errors, NameTheKernelCommandTheErrorAndTheKernelsOwnText) {
    const KernelFailure plain("add element to map out", 16, "");
    EXPECT_STREQ(plain.what(), "add element to map out: Device or resource busy");
    EXPECT_EQ(plain.code(), 16);
    const KernelFailure detailed("add element to map out", 22, "missing key");
    EXPECT_STREQ(detailed.what(), "add element to map out: Invalid argument (missing key)");
    EXPECT_STREQ(StorageFailure("open the database", "disk full").what(),
                 "open the database: disk full");
}

}  // namespace
}  // namespace porthole
