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

using Texts = std::vector<std::string>;

TEST(DBusTunnel, TakesEverySetting) {
    const auto call =
        parse_create("wg0",
                     {{"private-key", Text("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=")},
                      {"listen-port", std::uint16_t{51821}},
                      {"addresses", Texts{"10.9.0.1/24", "fd00::1/64"}},
                      {"mtu", std::uint32_t{1400}},
                      {"fwmark", std::uint32_t{7}},
                      {"table", Text("off")},
                      {"metric", std::uint32_t{5}}},
                     {});
    EXPECT_EQ(to_text(call.name), "wg0");
    EXPECT_EQ(to_text(call.settings.private_key->public_key()),
              "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
    EXPECT_EQ(call.settings.listen_port, Port::from(51821));
    EXPECT_EQ(to_text(call.settings.addresses.at(1)), "fd00::1/64");
    EXPECT_EQ(call.settings.mtu, 1400U);
    EXPECT_EQ(call.settings.fwmark, 7U);
    EXPECT_EQ(to_text(call.settings.table), "off");
    EXPECT_EQ(call.settings.metric, 5U);
    EXPECT_EQ(parse_create("wg0", {}, {}).settings, TunnelSettings());
}

TEST(DBusTunnel, NamesTheSettingThatIsWrong) {
    const auto create = [](const Dictionary& settings) { parse_create("wg0", settings, {}); };
    EXPECT_THAT([] { parse_create("wg 0", {}, {}); },
                ThrowsMessage<InvalidArgument>(StartsWith("invalid name \"wg 0\"")));
    EXPECT_THAT(
        [&] {
            create({{"listen-port", std::uint16_t{0}}});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("invalid listen-port \"0\"")));
    EXPECT_THAT(
        [&] {
            create({{"addresses", Texts{"10.9.0.1/33"}}});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("invalid addresses \"10.9.0.1/33\"")));
    EXPECT_THAT(
        [&] {
            create({{"mtu", std::uint32_t{65456}}});
        },
        ThrowsMessage<InvalidArgument>(HasSubstr("expected bytes from 576 to 65455")));
    EXPECT_THAT(
        [&] {
            create({{"private-key", Text("secret")}});
        },
        ThrowsMessage<InvalidArgument>(
            AllOf(StartsWith("invalid private-key: expected"), testing::Not(HasSubstr("secret")))));
    EXPECT_THAT(
        [&] {
            create({{"peers", Text("")}});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("unknown key \"peers\"")));
    EXPECT_THAT(
        [] {
            parse_create("wg0", {}, {{"mtu", std::uint32_t{1400}}});
        },
        ThrowsMessage<InvalidArgument>(StartsWith("unknown key \"mtu\"")));
}

constexpr auto peer_key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

TEST(DBusTunnel, TakesOfAPeerWhatIsGiven) {
    const auto nothing = parse_peer({{"public-key", Text(peer_key)}}, {});
    EXPECT_EQ(to_text(nothing.public_key), peer_key);
    EXPECT_FALSE(nothing.name || nothing.preshared_key || nothing.endpoint || nothing.keepalive ||
                 nothing.allowed_ips);
    const auto all = parse_peer({{"public-key", Text(peer_key)},
                                 {"name", Text("laptop")},
                                 {"preshared-key", Text(peer_key)},
                                 {"endpoint", Text("gw.example.net:51820")},
                                 {"keepalive", std::uint16_t{25}},
                                 {"allowed-ips", Texts{"10.9.0.3/32", "10.9.0.2/32"}}},
                                {});
    EXPECT_EQ(all.name->text(), "laptop");
    EXPECT_TRUE(all.preshared_key->has_value());
    EXPECT_EQ(to_text(**all.endpoint), "gw.example.net:51820");
    EXPECT_EQ(all.keepalive, Keepalive(25));
    EXPECT_EQ(to_text(all.allowed_ips->front()), "10.9.0.2/32");  // sorted
    const auto none = parse_peer({{"public-key", Text(peer_key)},
                                  {"preshared-key", Text()},
                                  {"endpoint", Text()},
                                  {"allowed-ips", Texts()}},
                                 {});
    EXPECT_TRUE(none.preshared_key && !none.preshared_key->has_value());
    EXPECT_TRUE(none.endpoint && !none.endpoint->has_value());
    EXPECT_TRUE(none.allowed_ips && none.allowed_ips->empty());
}

TEST(DBusTunnel, NamesWhatIsWrongWithAPeer) {
    EXPECT_THAT([] { parse_peer({}, {}); },
                ThrowsMessage<InvalidArgument>(HasSubstr("public-key is missing")));
    const auto peer = [](const char* key, const sdbus::Variant& value) {
        parse_peer({{"public-key", Text(peer_key)}, {key, value}}, {});
    };
    EXPECT_THAT([&] { peer("endpoint", Text("gw")); },
                ThrowsMessage<InvalidArgument>(StartsWith("invalid endpoint \"gw\": expected")));
    EXPECT_THAT([&] { peer("allowed-ips", Texts{"10.9.0.1/24"}); },
                ThrowsMessage<InvalidArgument>(StartsWith("invalid allowed-ips \"10.9.0.1/24\"")));
    EXPECT_THAT([&] { peer("keepalive", std::uint32_t{5}); },
                ThrowsMessage<InvalidArgument>(HasSubstr("D-Bus type \"q\"")));
    EXPECT_THAT([] { parse_peer_key("x", {}); },
                ThrowsMessage<InvalidArgument>(StartsWith("invalid public-key \"x\"")));
}

TEST(DBusTunnel, HasAPathThatEveryNameFitsInto) {
    EXPECT_EQ(escaped("wg0"), "wg0");
    EXPECT_EQ(escaped("0wg-a.b"), "_30wg_2da_2eb");
    EXPECT_EQ(escaped("\xC3\xA4"), "_c3_a4");
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
