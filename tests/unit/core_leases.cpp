// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <chrono>
#include <cstddef>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/leases.hpp"
#include "core_support.hpp"

namespace porthole {

// The name is GoogleTest's.
// NOLINTNEXTLINE(readability-identifier-naming)
void PrintTo(const Lease& lease, std::ostream* out) {
    *out << to_text(lease.address) << ' ' << (lease.mac ? to_text(*lease.mac) : "-") << " \""
         << lease.name << '"';
}

namespace {

using namespace support;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// `now` is 2023-11-14 22:13:20 UTC.

constexpr std::string_view dnsmasq =
    R"(1700003600 02:00:5e:10:00:01 192.168.2.10 laptop 01:02:00:5e:10:00:01
0 02:00:5e:10:00:02 192.168.2.11 * *
1700000000 02:00:5e:10:00:03 192.168.2.12 gone *
1700003600 06-02:00:5e:10:00:04 192.168.2.100 console ff:10:00:00:04:00:02:00:00:ab:11
1700003600 01- 192.168.2.14 * ff:10:00:00:05
vendorclass 192.168.2.10 6d:73:66:74
agent-info 192.168.2.11 01:04:65:74:68:30
duid 00:01:00:01:2c:d1:3f:5e:02:00:5e:00:00:01
1700003600 268435457 fd00:2::10 laptop 00:01:00:01:2b:11:22:33:02:00:5e:10:00:01
1700003600 T268435457 fd00:2::aaaa * 00:01:00:01:2b:11:22:33:02:00:5e:10:00:01
1699999999 7 fd00:2::12 gone 00:03:00:01:02:00:5e:10:00:03
)";

constexpr std::string_view odhcpd =
    R"(# br-lan 02:00:5E:10:00:01 ipv4 laptop 1700003600 c0a8020a 32 192.168.2.10/32
192.168.2.10	laptop.lan	laptop
# br-lan 2:0:5e:10:0:2 ipv4 - -1 c0a8020b 32 192.168.2.11/32
# br-lan 02005e100003 ipv4 camera 1700003600 c0a8020c 32 192.168.2.12/32
# br-lan 02:00:5E:10:00:04 ipv4 broken\x20my\x20phone 1700003600 c0a8020d 32 192.168.2.13/32
# br-lan 02:00:5E:10:00:05 ipv4 gone 1699999999 c0a8020e 32 192.168.2.14/32
# br-lan 02:00:5E:10:00:06 ipv4 zero 0 c0a8020f 32 192.168.2.15/32
# br-lan 000100012b11223302005e100001 10000001 laptop 1700003600 10 128 fd00:2::10/128 2001:db8:2::10/128
fd00:2::10	laptop.lan	laptop
# br-lan 00030001cd5e10000042 1 router 1700003600 4 62 fd00:2:0:4::/62 2001:db8:2:4::/62
# br-lan 02005e100007 2 - -1 11 128 fd00:2::11/128
# br-lan 00030001cd5e10000043 3 gone 0 12 128
)";

constexpr std::string_view dhcpd =
    R"(# The format of this file is documented in the dhcpd.leases(5) manual page.
# This lease file was written by isc-dhcp-4.4.3-P1

# authoring-byte-order entry is generated, DO NOT DELETE
authoring-byte-order little-endian;

server-duid "\000\001\000\001,\321?^\002\000^\000\000\001";

host fixed {
  dynamic;
  hardware ethernet 02:00:5e:10:00:ff;
  fixed-address 192.168.2.200;
}
failover peer "pair" state {
  my state normal at 2 2023/11/14 20:00:00;
}
lease 192.168.2.10 {
  starts 2 2023/11/14 20:00:00;
  ends 2 2023/11/14 23:00:00;
  tstp 2 2023/11/14 23:00:00;
  cltt 2 2023/11/14 20:00:00;
  binding state active;
  next binding state free;
  rewind binding state free;
  hardware ethernet 02:00:5e:10:00:01;
  uid "\001\002\000^\020\000\001";
  set vendor-class-identifier = "MSFT 5.0";
  option agent.circuit-id "eth0 {";
  client-hostname "laptop";
  on expiry or release {
    if (1 = 1) {
      binding state free;
    } else {
      binding state free;
    }
    ends 2 2000/01/01 00:00:00;
  }
}
lease 192.168.2.11 {
  starts epoch 1699990000; # Tue Nov 14 19:26:40 2023
  ends epoch 1700000001; # Tue Nov 14 22:13:21 2023
  binding state active;
  hardware ethernet 02:00:5e:10:00:02;
}
lease 192.168.2.12 {
  ends never;
  binding state active;
  hardware token-ring 02:00:5e:10:00:03;
  client-hostname "a \"b\"; } {";
}
lease 192.168.2.13 {
  ends 2 2023/11/14 23:00:00;
  binding state active;
  hardware ethernet 02:00:5e:10:00:04;
}
lease 192.168.2.13 {
  ends 2 2023/11/14 22:00:00;
  binding state free;
  hardware ethernet 02:00:5e:10:00:04;
}
lease 192.168.2.14 {
  ends never;
  binding state abandoned;
  next binding state active;
  rewind binding state active;
  client-hostname "nobody";
}
lease 192.168.2.15 {
  ends 2 2023/11/14 22:13:20;
  binding state active;
  client-hostname "gone";
}
lease 192.168.2.16 {
  ends 2 2023/11/14 22:13:21;
  binding state active;
  client-hostname "old";
}
lease 192.168.2.16 {
  ends 2 2023/11/15 10:00:00;
  binding state active;
  client-hostname "renewed";
}
)";

constexpr std::string_view dhcpd6 = R"(server-duid "\000\001\000\001,\321?^\002\000^\000\000\001";

ia-na "\001\000\000\020\000\001\000\001+\021\"3\002\000^\020\000\001" {
  cltt 2 2023/11/14 20:00:00
  iaaddr fd00:2::10 {
    binding state active;
    preferred-life 27000;
    max-life 43200;
    ends 3 2023/11/15 08:00:00;
    set ddns-fwd-name = "laptop.lan";
  }
  iaaddr fd00:2::11 {
    binding state expired;
    preferred-life 27000;
    max-life 43200;
    ends 3 2023/11/15 08:00:00;
  }
}

ia-ta "\001\000\000\020\000\003" {
  cltt 2 2023/11/14 20:00:00
  iaaddr fd00:2::aaaa {
    binding state active;
    ends never;
  }
}

ia-pd "\001\000\000\020\000\003" {
  cltt 2 2023/11/14 20:00:00
  iaprefix fd00:2:0:4::/62 {
    binding state active;
    ends 3 2023/11/15 08:00:00;
  }
}
)";

constexpr std::string_view kea4 =
    R"(address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id
192.168.2.10,02:00:5e:10:00:01,01:02:00:5e:10:00:01,7200,1700003600,1,0,0,laptop.,0,,0
192.168.2.11,02:00:5e:10:00:02,,7200,1700003600,1,0,0,old,0,,0
192.168.2.11,02:00:5e:10:00:03,,7200,1700007200,1,0,0,,0,{ "ISC": 1 },0
192.168.2.12,02:00:5e:10:00:04,,7200,1700003600,1,0,0,released,0,,0
192.168.2.12,02:00:5e:10:00:04,,0,1700003600,1,0,0,released,0,,0
192.168.2.13,02:00:5e:10:00:05,,7200,1700003600,1,0,0,reclaimed,0,,0
192.168.2.13,02:00:5e:10:00:05,,7200,1700003600,1,0,0,reclaimed,2,,0
192.168.2.14,,,7200,1700003600,1,0,0,,1,,0
192.168.2.15,02:00:5e:10:00:06,,7200,1700000000,1,0,0,gone,0,,0
192.168.2.16,02:00:5e:10:00:07,,4294967295,5994967295,1,0,0,a&#x2cb,0,,0
)";

constexpr std::string_view kea6 =
    R"(address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source,pool_id
fd00:2::10,00:01:00:01:2b:11:22:33:02:00:5e:10:00:01,4000,1700003600,1,3000,0,1,128,0,0,laptop.lan.,02:00:5e:10:00:01,0,,1,2,0
fd00:2::aaaa,00:01:00:01:2b:11:22:33:02:00:5e:10:00:02,4000,1700003600,1,3000,1,1,128,0,0,,,0,,,,0
fd00:2:0:4::,00:03:00:01:02:00:5e:10:00:03,4000,1700003600,1,3000,2,1,62,0,0,,,0,,,,0
)";

constexpr std::array samples{dnsmasq, odhcpd, dhcpd, dhcpd6, kea4, kea6};

Lease lease(std::string_view address, std::string_view mac = "", std::string_view name = "") {
    return {parse<Address>("address", address), TextForm<MacAddress>::parse(mac),
            std::string(name)};
}

std::vector<Lease> leases(std::string_view text) { return parse_leases(text, now); }

std::vector<Address> addresses(std::string_view text, Time at = now) {
    std::vector<Address> found;
    for (const auto& each : parse_leases(text, at)) found.push_back(each.address);
    return found;
}

std::string with(std::string_view text, std::string_view part, std::string_view other) {
    std::string changed;
    for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part)) {
        changed += text.substr(0, at);
        changed += other;
        text.remove_prefix(at + part.size());
    }
    return changed.append(text);
}

std::string repeated(std::string_view text, std::size_t bytes) {
    std::string all;
    while (all.size() < bytes) all += text;
    return all;
}

// A file of each format, with one lease of a host that calls itself `name`.
std::vector<std::string> files_with_name(const std::string& name) {
    return {
        "1700003600 02:00:5e:10:00:01 192.168.2.10 " + name + " *\n",
        "# br-lan 02:00:5e:10:00:01 ipv4 " + name + " 1700003600 c0a8020a 32 192.168.2.10/32\n",
        "lease 192.168.2.10 {\n  ends never;\n  binding state active;\n"
        "  hardware ethernet 02:00:5e:10:00:01;\n  client-hostname \"" +
            name + "\";\n}\n",
        "address,hwaddr,valid_lifetime,expire,hostname,state\n"
        "192.168.2.10,02:00:5e:10:00:01,7200,1700003600," +
            name + ",0\n",
    };
}

std::string dhcpd_lease(std::string_view statements) {
    return "lease 192.168.2.10 {\n  binding state active;\n" + std::string(statements) + "\n}\n";
}

TEST(Leases, OfDnsmasq) {
    EXPECT_THAT(leases(dnsmasq),
                ElementsAre(lease("192.168.2.10", "02:00:5e:10:00:01", "laptop"),
                            lease("192.168.2.11", "02:00:5e:10:00:02"), lease("192.168.2.14"),
                            lease("192.168.2.100", "", "console"),
                            lease("fd00:2::10", "", "laptop"), lease("fd00:2::aaaa")));
}

TEST(Leases, OfOdhcpd) {
    EXPECT_THAT(leases(odhcpd),
                ElementsAre(lease("192.168.2.10", "02:00:5e:10:00:01", "laptop"),
                            lease("192.168.2.11", "02:00:5e:10:00:02"),
                            lease("192.168.2.12", "02:00:5e:10:00:03", "camera"),
                            lease("192.168.2.13", "02:00:5e:10:00:04"),
                            lease("2001:db8:2::10", "", "laptop"),
                            lease("fd00:2::10", "", "laptop"), lease("fd00:2::11")));
}

TEST(Leases, OfDhcpd) {
    EXPECT_THAT(leases(dhcpd),
                ElementsAre(lease("192.168.2.10", "02:00:5e:10:00:01", "laptop"),
                            lease("192.168.2.11", "02:00:5e:10:00:02"), lease("192.168.2.12"),
                            lease("192.168.2.16", "", "renewed")));
}

TEST(Leases, OfDhcpdForIpv6) {
    EXPECT_THAT(leases(dhcpd6), ElementsAre(lease("fd00:2::10"), lease("fd00:2::aaaa")));
}

TEST(Leases, OfKea) {
    EXPECT_THAT(leases(kea4), ElementsAre(lease("192.168.2.10", "02:00:5e:10:00:01", "laptop"),
                                          lease("192.168.2.11", "02:00:5e:10:00:03"),
                                          lease("192.168.2.16", "02:00:5e:10:00:07")));
}

TEST(Leases, OfKeaForIpv6) {
    EXPECT_THAT(leases(kea6), ElementsAre(lease("fd00:2::10", "02:00:5e:10:00:01", "laptop.lan"),
                                          lease("fd00:2::aaaa")));
}

TEST(Leases, OfKeaAreFoundByTheNamesOfTheColumns) {
    EXPECT_THAT(leases("address,expire,hostname,hwaddr,valid_lifetime\n"
                       "192.168.2.10,1700003600,laptop,02:00:5e:10:00:01,7200\n"),
                ElementsAre(lease("192.168.2.10", "02:00:5e:10:00:01", "laptop")));
}

TEST(Leases, OfKeaHaveAValueInEveryColumn) {
    const std::string header = "address,hwaddr,valid_lifetime,expire,hostname,state\n";
    EXPECT_THAT(leases(header + "192.168.2.10,,7200,1700003600,laptop\n"), IsEmpty());
    EXPECT_THAT(leases(header + "192.168.2.10,,7200,1700003600,lap,top,0\n"), IsEmpty());
    EXPECT_THAT(leases(header + "192.168.2.10,,7200,1700003600,laptop,0,\n"), IsEmpty());
}

TEST(Leases, AreTheSameWithOtherEndsOfLines) {
    for (const auto sample : samples) {
        EXPECT_EQ(leases(with(sample, "\n", "\r\n")), leases(sample)) << sample;
    }
}

TEST(Leases, OfOneAddressAreTheLastOne) {
    EXPECT_THAT(leases("1700003600 02:00:5e:10:00:01 192.168.2.10 first *\n"
                       "1700003600 02:00:5e:10:00:02 192.168.2.10 last *\n"),
                ElementsAre(lease("192.168.2.10", "02:00:5e:10:00:02", "last")));
    EXPECT_THAT(leases("1700003600 02:00:5e:10:00:01 192.168.2.10 first *\n"
                       "1699999999 02:00:5e:10:00:02 192.168.2.10 last *\n"),
                IsEmpty());
}

TEST(Leases, EndWhenTheFileSays) {
    const std::string_view file = "1700003600 02:00:5e:10:00:01 192.168.2.10 * *\n";
    EXPECT_THAT(addresses(file, now + 3599s), SizeIs(1));
    EXPECT_THAT(addresses(file, now + 3600s), IsEmpty());
    EXPECT_THAT(addresses("0 02:00:5e:10:00:01 192.168.2.10 * *\n", now + 24h * 36500), SizeIs(1));
}

TEST(Leases, OfDhcpdEndAtADateOfTheCalendar) {
    const auto ends_at = [](std::string_view statement, Time time) {
        const auto file = dhcpd_lease(statement);
        return addresses(file, time - 1s).size() == 1 && addresses(file, time).empty();
    };
    EXPECT_TRUE(ends_at("  ends 4 2024/02/29 23:59:59;", Time(1709251199s)));
    EXPECT_TRUE(ends_at("  ends 6 2000/01/01 00:00:00;", Time(946684800s)));
    EXPECT_TRUE(ends_at("  ends 0 2040/12/31 01:02:03;", Time(2240528523s)));
    for (const std::string_view none :
         {"2025/02/29 00:00:00", "2033/13/01 00:00:00", "2033/00/01 00:00:00", "2033/01/01",
          "2033/01/01 00:00", "2033/1/1 00:00:00", "20330/01/01 00:00:00", "2033/01/01 0a:00:00",
          "2033/01/-1 00:00:00", "tomorrow at noon", "noon 12:00:00", "2033/01/01 noon", ""}) {
        EXPECT_THAT(leases(dhcpd_lease("  ends 6 " + std::string(none) + ";")), IsEmpty()) << none;
    }
}

TEST(Leases, OfDhcpdNeedAnEnd) {
    EXPECT_THAT(leases(dhcpd_lease("  starts 2 2023/11/14 20:00:00;")), IsEmpty());
    EXPECT_THAT(leases(dhcpd_lease("  ends epoch soon;")), IsEmpty());
    EXPECT_THAT(leases(dhcpd_lease("  ends;")), IsEmpty());
}

TEST(Leases, OfDhcpdNeedNoState) {
    EXPECT_THAT(leases("lease 192.168.2.9 {\n  ends never;\n  binding state free;\n}\n"
                       "lease 192.168.2.10 {\n  ends never;\n}\n"),
                ElementsAre(lease("192.168.2.10")));
}

TEST(Leases, OfDhcpdAreOverWhereTheirBlocksEnd) {
    EXPECT_THAT(leases(dhcpd_lease("  ends never;") + "  binding state free;\n}\n"),
                ElementsAre(lease("192.168.2.10")));
}

TEST(Leases, OfDhcpdAreReadBehindAnUnfinishedOne) {
    EXPECT_THAT(leases("lease 192.168.2.9 {\n  ends never;\n  binding state free;\n"
                       "  on expiry {\n" +
                       dhcpd_lease("  ends never;")),
                ElementsAre(lease("192.168.2.10")));
}

TEST(Leases, KeepANameOfAHost) {
    for (const std::string& name :
         {std::string("a"), std::string("My-Host_2.lan"), std::string(253, 'x')}) {
        for (const auto& file : files_with_name(name)) {
            EXPECT_THAT(leases(file), ElementsAre(lease("192.168.2.10", "02:00:5e:10:00:01", name)))
                << file;
        }
    }
    for (const auto& file : files_with_name("laptop.lan.")) {
        EXPECT_THAT(leases(file),
                    ElementsAre(lease("192.168.2.10", "02:00:5e:10:00:01", "laptop.lan")));
    }
}

TEST(Leases, KeepNoOtherName) {
    for (const std::string& name :
         {std::string(254, 'x'), std::string("."), std::string("a/b"), std::string("a\x1b[2Jb"),
          std::string("a\0b", 3), std::string("m\xC3\xBCller"), std::string("<script>"),
          std::string("a\\\""), std::string("$(reboot)"), std::string("a'b"), std::string("\x80"),
          std::string("a&#x2cb"), std::string("{"), std::string("}"), std::string("a:b")}) {
        for (const auto& file : files_with_name(name)) {
            EXPECT_THAT(leases(file), ElementsAre(lease("192.168.2.10", "02:00:5e:10:00:01")))
                << file;
        }
    }
}

TEST(Leases, OfDhcpdHaveNoPartOfAName) {
    for (const std::string_view name : {R"("my phone")", R"("my\" phone")", R"(" phone")", R"("")",
                                        R"(")", R"("phone)", R"("x\"; binding state free;")"}) {
        EXPECT_THAT(
            leases(dhcpd_lease("  ends never;\n  client-hostname " + std::string(name) + ";\n")),
            ElementsAre(lease("192.168.2.10")))
            << name;
    }
}

// Old odhcpd writes the names of hosts as they are.
TEST(Leases, OfOthersAreNotForgedByAName) {
    EXPECT_THAT(leases("# br-lan 02:00:5e:10:00:01 ipv4 broken\\x20x 1800000000 1 32 "
                       "192.168.2.50/32 1700003600 c0a8020a 32 192.168.2.10/32\n"),
                ElementsAre(lease("192.168.2.10", "02:00:5e:10:00:01")));
    EXPECT_THAT(leases("# br-lan 02:00:5e:10:00:01 ipv4 my phone 1700003600 c0a8020a 32 "
                       "192.168.2.10/32\n"),
                ElementsAre(lease("192.168.2.10", "02:00:5e:10:00:01")));
    EXPECT_THAT(leases("# br-lan 0003 1 broken\\x20x 1800000000 1 128 fd00:2::50/128 "
                       "1700003600 10 128 fd00:2::10/128\n"),
                ElementsAre(lease("fd00:2::10")));
    EXPECT_THAT(leases("1700003600 02:00:5e:10:00:01 192.168.2.10 x 192.168.2.50 *\n"), IsEmpty());
}

TEST(Leases, HaveTheAddressOfAHost) {
    for (const std::string_view address :
         {"0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "ff02::1",
          "::ffff:192.168.2.10", "192.168.2", "192.168.2.256", "fd00::g", "host", "-"}) {
        const std::string text(address);
        EXPECT_THAT(leases("1700003600 02:00:5e:10:00:01 " + text + " x *\n"), IsEmpty()) << text;
        EXPECT_THAT(leases(with(dhcpd_lease("  ends never;"), "192.168.2.10", text)), IsEmpty());
        EXPECT_THAT(leases(with(kea6, "fd00:2::10", text)), SizeIs(1)) << text;
        EXPECT_THAT(leases("# br-lan 02005e100001 ipv4 x -1 1 32 " + text + "/32\n"), IsEmpty());
        EXPECT_THAT(leases("# br-lan 02005e100001 1 x -1 1 128 " + text + "/128\n"), IsEmpty());
    }
}

TEST(Leases, HaveAMacAddressOrNone) {
    for (const std::string_view mac :
         {"00:00:00:00:00:00", "01:00:5e:10:00:01", "02:00:5e:10:00", "02:00:5e:10:00:01:02",
          "02:00:5e:10:00:", "02:00:5e:10:00:0g", "02005e1000011", ":02:00:5e:10:00:01", "-", "*",
          "02-00-5e-10-00-01", "+2:00:5e:10:00:01"}) {
        EXPECT_THAT(leases("0 " + std::string(mac) + " 192.168.2.10 x *\n"),
                    ElementsAre(lease("192.168.2.10", "", "x")))
            << mac;
    }
}

TEST(Leases, OfAPrefixAreNotOfTheHost) {
    EXPECT_THAT(leases("# br-lan 0003 1 x -1 4 62 fd00:2::10/64 fd00:2::10/12 fd00:2::10/28\n"
                       "# br-lan 0003 1 x -1 4 62 fd00:2::10/32\n"
                       "# br-lan 02005e100001 ipv4 x -1 1 32 192.168.2.10/128\n"),
                IsEmpty());
}

TEST(Leases, OfAFileThatIsBeingWrittenHaveNoOtherAddresses) {
    for (const auto sample : samples) {
        for (std::size_t size = 0; size < sample.size(); ++size) {
            const auto part = sample.substr(0, size);
            const auto whole_lines = part.substr(0, part.rfind('\n') + 1);
            ASSERT_EQ(leases(part), leases(whole_lines)) << part;
            for (const auto& address : addresses(part)) {
                ASSERT_THAT(with(sample, "/", " ") + ' ',
                            testing::AnyOf(HasSubstr(' ' + to_text(address) + ' '),
                                           HasSubstr('\n' + to_text(address) + ',')));
            }
        }
    }
}

TEST(Leases, AreReadWhereAFileBeginsInTheMiddle) {
    for (const auto sample : samples) {
        for (std::size_t begin = 0; begin < sample.size(); ++begin) {
            ASSERT_LE(leases(sample.substr(begin)).size(), 20U);
        }
    }
}

TEST(Leases, SurviveEveryByteThatIsWrong) {
    for (const auto sample : samples) {
        std::string text(sample);
        for (std::size_t at = 0; at < text.size(); ++at) {
            for (const char wrong : {'\0', '\n', '{', '"'}) {
                const char right = std::exchange(text[at], wrong);
                ASSERT_LE(leases(text).size(), 20U);
                text[at] = right;
            }
        }
    }
}

TEST(Leases, AreNoneInGarbage) {
    for (const std::string_view garbage :
         {"",
          "\n",
          "\r\n\r\n",
          " ",
          "}\n",
          "{\n",
          "}\n}\n{\n{\n}\n",
          "#\n",
          "# \n",
          "# / / / /\n",
          "# / / / / / / / / / /\n",
          "address,\n\n,\n",
          "address,expire\n192.168.2.10\n",
          "0\n",
          "0 0 0 0 0\n",
          "lease\n",
          "lease {\n}\n",
          "lease { {\n}\n",
          "ends never;\n}\n",
          "iaaddr fd00::1 {",
          "<html><body>404</body></html>\n",
          "99999999999999999999 02:00:5e:10:00:01 192.168.2.10 x *\n",
          "-1 02:00:5e:10:00:01 192.168.2.10 x *\n",
          "1700003600 02:00:5e:10:00:01 192.168.2.10\n",
          "1700003600x 02:00:5e:10:00:01 192.168.2.10 x *\n",
          "# br-lan 02005e100001 ipv4 x soon 1 32 192.168.2.10/32\n",
          "# br-lan 02005e100001 ipv4 1800000000 1 32 192.168.2.10/32\n"}) {
        EXPECT_THAT(leases(garbage), IsEmpty()) << garbage;
    }
    std::string bytes;
    for (unsigned i = 0; i < 100'000; ++i) bytes += static_cast<char>(i * 2654435761U >> 24U);
    EXPECT_THAT(leases(bytes), IsEmpty());
}

TEST(Leases, AreReadInLinearTime) {
    constexpr std::size_t size = 1 << 20;
    const std::string header = "address,hwaddr,valid_lifetime,expire,hostname,state\n";
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_THAT(leases(repeated(dnsmasq.substr(0, dnsmasq.find('\n') + 1), size)), SizeIs(1));
    EXPECT_THAT(leases(repeated(odhcpd.substr(0, odhcpd.find('\n') + 1), size)), SizeIs(1));
    EXPECT_THAT(leases(repeated(dhcpd_lease("  ends never;"), size)), SizeIs(1));
    EXPECT_THAT(leases(header + repeated("192.168.2.10,,1,1700003600,,0\n", size)), SizeIs(1));
    EXPECT_THAT(leases(repeated(header, size)), IsEmpty());
    for (const std::string_view part :
         {"\n", " ", ",", "/ ", "{\n", "}\n", "address,", "lease {\n"})
        EXPECT_THAT(leases("# br-lan 0003 1 x -1 4 62 " + repeated(part, size) + '\n'), IsEmpty());
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);
}

}  // namespace
}  // namespace porthole
