// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dbus/names.hpp"
#include "dbus/requests.hpp"

namespace porthole::dbus {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using testing::StrEq;
using testing::ThrowsMessage;

using Text = std::string;

ReserveCall reserve_with(const Dictionary& options) {
    return parse_reserve("192.168.2.2", "udp", 51820, options);
}

TEST(DBusReserve, TakesTheArguments) {
    const auto call = reserve_with({});
    EXPECT_EQ(to_text(call.request.internal.host), "192.168.2.2");
    EXPECT_EQ(call.request.internal.protocol, Protocol::udp);
    EXPECT_EQ(call.request.internal.port, Port::from(51820));
    EXPECT_EQ(call.request.external_port, std::nullopt);
    EXPECT_EQ(call.request.on_conflict, OnConflict::fail);
    EXPECT_EQ(call.request.filtering, std::nullopt);
    EXPECT_EQ(call.request.lifetime, std::nullopt);
    EXPECT_EQ(call.request.comment, std::nullopt);
    EXPECT_EQ(call.if_generation, std::nullopt);
    EXPECT_FALSE(call.settle);
}

TEST(DBusReserve, TakesEveryOption) {
    const auto call = reserve_with({{"external-port", std::uint16_t{4000}},
                                    {"on-conflict", Text("next")},
                                    {"filtering", Text("address-and-port-dependent")},
                                    {"lifetime", std::uint32_t{60}},
                                    {"comment", Text("laptop")},
                                    {"if-generation", std::uint64_t{7}},
                                    {"settle", true}});
    EXPECT_EQ(call.request.external_port, Port::from(4000));
    EXPECT_EQ(call.request.on_conflict, OnConflict::next);
    EXPECT_EQ(call.request.filtering, Filtering::address_and_port_dependent);
    EXPECT_EQ(call.request.lifetime, seconds(60));
    EXPECT_EQ(call.request.comment->text(), "laptop");
    EXPECT_EQ(call.if_generation, 7U);
    EXPECT_TRUE(call.settle);
}

TEST(DBusReserve, TakesLifetimeZeroAsUntilReleased) {
    EXPECT_EQ(reserve_with({{"lifetime", std::uint32_t{0}}}).request.lifetime, std::nullopt);
}

TEST(DBusReserve, NamesTheArgumentThatIsWrong) {
    EXPECT_THAT([] { parse_reserve("nobody", "udp", 1, {}); },
                ThrowsMessage<InvalidArgument>(StartsWith("invalid host \"nobody\": expected ")));
    EXPECT_THAT([] { parse_reserve("192.168.2.2", "icmp", 1, {}); },
                ThrowsMessage<InvalidArgument>(StartsWith("invalid protocol \"icmp\": expected ")));
    EXPECT_THAT([] { parse_reserve("192.168.2.2", "udp", 0, {}); },
                ThrowsMessage<InvalidArgument>(
                    StrEq("invalid internal-port \"0\": expected a port from 1 to 65535")));
    EXPECT_THAT(
        [] {
            reserve_with({{"external-port", std::uint16_t{0}}});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("invalid external-port \"0\": ")));
    EXPECT_THAT(
        [] {
            reserve_with({{"on-conflict", Text("maybe")}});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("invalid on-conflict \"maybe\": ")));
    EXPECT_THAT(
        [] {
            reserve_with({{"filtering", Text("")}});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("invalid filtering \"\": ")));
    EXPECT_THAT(
        [] {
            reserve_with({{"comment", Text(129, 'x')}});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("invalid comment ")));
}

TEST(DBusReserve, NamesAnUnknownKeyAndThoseItKnows) {
    EXPECT_THAT(
        [] {
            reserve_with({{"external_port", std::uint16_t{1}}});
        },
        ThrowsMessage<InvalidArgument>(
            StrEq("unknown key \"external_port\": allowed are external-port, external-address, "
                  "on-conflict, filtering, lifetime, comment, if-generation, settle")));
}

TEST(DBusReserve, NamesTheTypeItWants) {
    EXPECT_THAT(
        [] {
            reserve_with({{"external-port", std::uint32_t{4000}}});
        },
        ThrowsMessage<InvalidArgument>(
            StrEq("invalid external-port: expected a value of D-Bus type \"q\", got \"u\"")));
    EXPECT_THAT(
        [] {
            reserve_with({{"comment", std::vector<Text>{"a"}}});
        },
        ThrowsMessage<InvalidArgument>(
            StrEq("invalid comment: expected a value of D-Bus type \"s\", got \"as\"")));
}

TEST(DBusReserve, TakesAnExternalAddressOrAny) {
    const auto address = [](const char* text) {
        return reserve_with({{"external-address", Text(text)}}).request.external_address;
    };
    EXPECT_EQ(address("203.0.113.1"), ExternalAddress(parse<Address>("", "203.0.113.1")));
    EXPECT_EQ(address("any"), ExternalAddress());
    EXPECT_EQ(reserve_with({}).request.external_address, std::nullopt);
    for (const auto* wrong : {"", "2001:db8::1", "0.0.0.0", "224.0.0.1", "203.0.113.1/24"}) {
        EXPECT_THAT([&] { address(wrong); },
                    ThrowsMessage<InvalidArgument>(HasSubstr("external-address")))
            << wrong;
    }
}

TEST(DBusReserve, RefusesWhatOnlyLaterVersionsHave) {
    for (const auto& [key, value] : Dictionary{{"wan", Text("eth0")}}) {
        try {
            reserve_with({{key, value}});
            ADD_FAILURE() << key << " was taken";
        } catch (const Refused& refused) {
            EXPECT_EQ(refused.reason(), Refusal::unsupported);
            EXPECT_THAT(refused.what(), HasSubstr("\"" + key + "\""));
        }
    }
}

TEST(DBusReserveMany, TakesRowsAndTheirCommonOptions) {
    const auto call = parse_reserve_many(
        {{"10.0.0.2", "udp", std::uint16_t{1000}, std::uint16_t{2000}, "", "first"},
         {"10.0.0.3", "tcp", std::uint16_t{1001}, std::uint16_t{0}, "address-dependent", ""}},
        {{"on-conflict", Text("next")},
         {"lifetime", std::uint32_t{5}},
         {"if-generation", std::uint64_t{3}}});
    ASSERT_EQ(call.requests.size(), 2U);
    const auto& [first, second] = std::tie(call.requests[0], call.requests[1]);
    EXPECT_EQ(first.external_port, Port::from(2000));
    EXPECT_EQ(first.filtering, std::nullopt);
    EXPECT_EQ(first.comment->text(), "first");
    EXPECT_EQ(second.internal.protocol, Protocol::tcp);
    EXPECT_EQ(second.external_port, std::nullopt);
    EXPECT_EQ(second.filtering, Filtering::address_dependent);
    EXPECT_EQ(second.comment->text(), "");
    for (const auto& request : call.requests) {
        EXPECT_EQ(request.on_conflict, OnConflict::next);
        EXPECT_EQ(request.lifetime, seconds(5));
    }
    EXPECT_EQ(call.if_generation, 3U);
}

TEST(DBusReserveMany, SaysWhichRowIsWrong) {
    const RequestRow good{"10.0.0.2", "udp", std::uint16_t{1000}, std::uint16_t{0}, "", ""};
    auto bad = good;
    std::get<2>(bad) = 0;
    EXPECT_THAT(
        [&] {
            parse_reserve_many({good, good, bad}, {});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("rows[2]: invalid internal-port \"0\"")));
    EXPECT_THAT(
        [&] {
            parse_reserve_many({bad, good}, {});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("rows[0]: ")));
}

TEST(DBusReserveMany, HasItsOwnOptions) {
    EXPECT_TRUE(parse_reserve_many({}, {{"settle", true}}).settle);
    EXPECT_FALSE(parse_reserve_many({}, {}).settle);
    EXPECT_THAT(
        [] {
            parse_reserve_many({}, {{"comment", Text("x")}});
        },
        ThrowsMessage<InvalidArgument>(
            StrEq("unknown key \"comment\": allowed are on-conflict, lifetime, "
                  "if-generation, settle")));
}

TEST(DBusChange, LeavesWhatIsNotNamed) {
    const auto call = parse_change(12, {}, {});
    EXPECT_EQ(call.id, ReservationId{12});
    EXPECT_EQ(call.changes.external_port, std::nullopt);
    EXPECT_EQ(call.changes.filtering, std::nullopt);
    EXPECT_EQ(call.changes.lifetime, std::nullopt);
    EXPECT_EQ(call.changes.comment, std::nullopt);
    EXPECT_EQ(call.if_generation, std::nullopt);
    EXPECT_FALSE(call.settle);
}

TEST(DBusChange, TellsLifetimeZeroFromNone) {
    const auto call = parse_change(12, {{"lifetime", std::uint32_t{0}}, {"comment", Text("")}},
                                   {{"if-generation", std::uint64_t{0}}, {"settle", true}});
    EXPECT_EQ(call.changes.lifetime, seconds(0));
    EXPECT_EQ(call.changes.comment, Comment());
    EXPECT_EQ(call.if_generation, 0U);
    EXPECT_TRUE(call.settle);
}

TEST(DBusChange, KnowsChangesFromOptions) {
    EXPECT_THAT(
        [] {
            parse_change(1, {{"on-conflict", Text("next")}}, {});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("unknown key \"on-conflict\"")));
    EXPECT_THAT(
        [] {
            parse_change(1, {}, {{"comment", Text("x")}});
        },
        ThrowsMessage<InvalidArgument>(
            StrEq("unknown key \"comment\": allowed are if-generation, settle")));
}

TEST(DBusRelease, TakesIds) {
    const auto call = parse_release({3, 1, 3}, {{"if-generation", std::uint64_t{9}}});
    EXPECT_THAT(call.ids,
                testing::ElementsAre(ReservationId{3}, ReservationId{1}, ReservationId{3}));
    EXPECT_EQ(call.if_generation, 9U);
    EXPECT_THROW(parse_release({}, {{"force", true}}), InvalidArgument);
}

TEST(DBusList, TakesEveryKey) {
    const auto [query, offset, limit] = parse_list({{"host", Text("10.0.0.2")},
                                                    {"protocol", Text("tcp")},
                                                    {"port", std::uint16_t{80}},
                                                    {"origin", Text("static")},
                                                    {"state", Text("waiting")},
                                                    {"search", Text("lap")},
                                                    {"sort", Text("expires")},
                                                    {"descending", true}},
                                                   20, 500);
    EXPECT_EQ(to_text(*query.host), "10.0.0.2");
    EXPECT_EQ(query.protocol, Protocol::tcp);
    EXPECT_EQ(query.port, Port::from(80));
    EXPECT_EQ(query.origin, Origin::configured);
    EXPECT_EQ(query.state, ReservationState::waiting);
    EXPECT_EQ(query.search, "lap");
    EXPECT_EQ(query.sort, SortKey::expires);
    EXPECT_TRUE(query.descending);
    EXPECT_EQ(offset, 20U);
    EXPECT_EQ(limit, 500U);
}

TEST(DBusList, RefusesMoreThanAPage) {
    EXPECT_THAT([] { parse_list({}, 0, 501); },
                ThrowsMessage<InvalidArgument>(
                    StrEq("invalid limit \"501\": expected a number from 0 to 500")));
}

TEST(DBusList, NamesWhatIsWrong) {
    EXPECT_THAT(
        [] {
            parse_list({{"sort", Text("name")}}, 0, 1);
        },
        ThrowsMessage<InvalidArgument>(StartsWith("invalid sort \"name\": ")));
    EXPECT_THAT(
        [] {
            parse_list({{"descending", Text("yes")}}, 0, 1);
        },
        ThrowsMessage<InvalidArgument>(
            AllOf(HasSubstr("descending"), HasSubstr("\"b\""), HasSubstr("\"s\""))));
    EXPECT_THAT(
        [] {
            parse_list({{"name", Text("x")}}, 0, 1);
        },
        ThrowsMessage<InvalidArgument>(StartsWith("unknown key \"name\": allowed are host, ")));
}

TEST(DBusExplain, TakesAPacket) {
    const auto call = parse_explain("192.168.2.2", "udp", 51820, "203.0.113.9:7", {});
    EXPECT_EQ(to_text(call.from.host), "192.168.2.2");
    EXPECT_EQ(call.from.protocol, Protocol::udp);
    EXPECT_EQ(call.from.port, Port::from(51820));
    EXPECT_EQ(to_text(call.remote), "203.0.113.9:7");
    EXPECT_THAT([] { parse_explain("192.168.2.2", "udp", 0, "203.0.113.9:7", {}); },
                ThrowsMessage<InvalidArgument>(StartsWith("invalid port \"0\": ")));
    EXPECT_THAT([] { parse_explain("192.168.2.2", "udp", 1, "203.0.113.9", {}); },
                ThrowsMessage<InvalidArgument>(StartsWith("invalid remote \"203.0.113.9\": ")));
    EXPECT_THAT(
        [] {
            parse_explain("192.168.2.2", "udp", 1, "203.0.113.9:7", {{"ttl", Text("1")}});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("unknown key \"ttl\"")));
}

TEST(DBusFind, TakesAnExternalPort) {
    const auto call = parse_find("udp", 51820);
    EXPECT_EQ(call.protocol, Protocol::udp);
    EXPECT_EQ(call.external_port, Port::from(51820));
    EXPECT_THAT([] { parse_find("udp", 0); },
                ThrowsMessage<InvalidArgument>(StartsWith("invalid external-port \"0\": ")));
}

}  // namespace
}  // namespace porthole::dbus
