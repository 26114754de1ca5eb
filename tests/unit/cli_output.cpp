// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/output.hpp"

namespace porthole::cli {
namespace {

Row example() {
    return {.id = 12,
            .host = "192.168.2.2",
            .protocol = "udp",
            .internal_port = 51820,
            .external_port = 51821,
            .filtering = "address-and-port-dependent",
            .origin = "api",
            .state = "active",
            .comment = "my laptop",
            .expires = 0,
            .last_seen = 1000,
            .extras = {{"family", std::string("ipv4")}}};
}

TEST(CliTable, ShowsReservations) {
    auto other = example();
    other.id = 3;
    other.comment = "";
    other.expires = 1'800'000'000;
    EXPECT_EQ(
        reservation_table({example(), other}),
        "ID  HOST         PROTO  PORT   EXTERNAL  FILTERING                   ORIGIN  STATE   "
        "EXPIRES               COMMENT\n"
        "12  192.168.2.2  udp    51820  51821     address-and-port-dependent  api     active  "
        "never                 my laptop\n"
        "3   192.168.2.2  udp    51820  51821     address-and-port-dependent  api     active  "
        "2027-01-15T08:00:00Z\n");
}

TEST(CliTable, ShowsOneReservationOnOneLine) {
    EXPECT_EQ(reservation_line(example()),
              "12  192.168.2.2  udp  51820  51821  address-and-port-dependent  api  active  never  "
              "my laptop");
}

TEST(CliJson, HasTheNamesOfTheContract) {
    EXPECT_EQ(to_json(example()).dump(),
              R"({"id":12,"host":"192.168.2.2","protocol":"udp","internal-port":51820,)"
              R"("external-port":51821,"filtering":"address-and-port-dependent","origin":"api",)"
              R"("state":"active","comment":"my laptop","expires":0,"last-seen":1000,)"
              R"("family":"ipv4"})");
}

TEST(CliJson, TakesEveryTypeOfTheContract) {
    const Dictionary inner{{"flag", true}};
    const Dictionary values{{"s", std::string("text")},
                            {"b", false},
                            {"q", std::uint16_t{65535}},
                            {"u", std::uint32_t{1}},
                            {"t", UINT64_MAX},
                            {"x", std::int64_t{-1}},
                            {"as", std::vector<std::string>{"a", "b"}},
                            {"a{sv}", inner},
                            {"aa{sv}", std::vector<Dictionary>{inner, {}}},
                            {"o", sdbus::ObjectPath("/unknown")}};
    EXPECT_EQ(to_json(values).dump(),
              R"({"aa{sv}":[{"flag":true},{}],"as":["a","b"],"a{sv}":{"flag":true},"b":false,)"
              R"("o":null,"q":65535,"s":"text","t":18446744073709551615,"u":1,"x":-1})");
}

TEST(CliRow, IsReadFromTheWire) {
    const auto row = to_row(std::tuple(
        std::uint64_t{12}, std::string("host"), std::string("udp"), std::uint16_t{1},
        std::uint16_t{2}, std::string("filtering"), std::string("origin"), std::string("state"),
        std::string("comment"), std::int64_t{3}, std::int64_t{4}, Dictionary()));
    EXPECT_EQ(row.id, 12U);
    EXPECT_EQ(row.internal_port, 1);
    EXPECT_EQ(row.external_port, 2);
    EXPECT_EQ(row.state, "state");
    EXPECT_EQ(row.comment, "comment");
    EXPECT_EQ(row.expires, 3);
    EXPECT_EQ(row.last_seen, 4);
}

TEST(CliHosts, AreALineEach) {
    const HostRow laptop{.key = "02:00:5e:10:00:01",
                         .name = "laptop",
                         .mac = "02:00:5e:10:00:01",
                         .addresses = {"192.168.2.2", "2001:db8::2"},
                         .last_seen = 1,
                         .extras = {{"interface", std::string("br-lan")}}};
    const HostRow gone{"02:00:5e:10:00:02", "", "02:00:5e:10:00:02", {}, 0, {}};
    EXPECT_EQ(
        host_table({laptop, gone}),
        "MAC                NAME    INTERFACE  LAST SEEN             ADDRESSES\n"
        "02:00:5e:10:00:01  laptop  br-lan     1970-01-01T00:00:01Z  192.168.2.2, 2001:db8::2\n"
        "02:00:5e:10:00:02  -       -          never                 -\n");
    EXPECT_EQ(to_json(laptop).dump(),
              R"({"key":"02:00:5e:10:00:01","name":"laptop","mac":"02:00:5e:10:00:01",)"
              R"("addresses":["192.168.2.2","2001:db8::2"],"last-seen":1,"interface":"br-lan"})");
}

TEST(CliExplanation, EndsWithTheVerdict) {
    const auto reserved = Json::parse(
        R"({"verdict":"reserved","external-port":7,"rule":"masquerade","steps":["One.","Two."]})");
    EXPECT_EQ(explanation_text(reserved),
              "One.\nTwo.\nrule: masquerade\nverdict: reserved, external port 7\n");
    EXPECT_EQ(explanation_text(Json::parse(R"({"verdict":"no-route"})")), "verdict: no-route\n");
}

TEST(CliStatus, IsReadable) {
    const auto status = Json::parse(R"({"version":"0.1.0","reservations":1,"generation":7,
        "masquerade":true,"counters":{"displaced":2,"guarded":0},"warnings":["forwarding is off"],
        "own-ports":["22/tcp","51821/udp"],
        "wans":[{"interface":"eth0","side":"wan","reason":"default route",
                 "addresses":["203.0.113.2","2001:db8::2"]}],
        "lans":[{"interface":"lan0","side":"lan","reason":"private address","addresses":[]}],
        "others":[]})");
    EXPECT_EQ(status_text(status),
              "Porthole 0.1.0: 1 reservation, generation 7, masquerade on\n"
              "INTERFACE  SIDE  ADDRESSES                REASON\n"
              "eth0       wan   203.0.113.2,2001:db8::2  default route\n"
              "lan0       lan   -                        private address\n"
              "own ports: 22/tcp, 51821/udp\n"
              "displaced 2, guarded 0\n"
              "warning: forwarding is off\n");
}

TEST(CliStatus, MakesDoWithWhatAServiceOfAnotherVersionSays) {
    EXPECT_EQ(status_text(Json::object()),
              "Porthole ?: 0 reservations, generation 0, masquerade off\n"
              "INTERFACE  SIDE  ADDRESSES  REASON\n");
}

}  // namespace
}  // namespace porthole::cli
