// SPDX-License-Identifier: GPL-2.0-or-later
// Table inet porthole in the running kernel, as nft(8) reads it back.
#include <array>
#include <fstream>
#include <functional>
#include <random>
#include <regex>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/desired_firewall.hpp"
#include "core/perimeter.hpp"
#include "lab/namespace.hpp"
#include "lab/process.hpp"
#include "netlink/socket.hpp"
#include "nft/firewall_table.hpp"

namespace porthole {
namespace {

using testing::HasSubstr;
using testing::Not;

class NftTable : public testing::Test {
  protected:
    [[nodiscard]] std::string listed() const {
        return lab::output_of(gateway, {"nft", "-s", "list", "table", "inet", "porthole"});
    }
    void nft(const std::string& script) const {
        lab::output_of(gateway, {"nft", "-f", "-"}, {.input = script});
    }

    /// As the gateway does it.
    void change(const Firewall& from, const Firewall& to) {
        if (!table.apply(difference(from, to))) table.replace(to);
    }

    lab::Namespace gateway{"gateway"};
    nft::FirewallTable table = gateway.run([] { return nft::FirewallTable(); });
};

InterfaceName interface(std::string_view name) { return parse<InterfaceName>("interface", name); }
Network network(std::string_view text) { return parse<Network>("network", text); }

Mapping mapping(Protocol protocol, std::string_view host, std::uint16_t internal,
                std::uint16_t external) {
    return {protocol, parse<Address>("host", host), *Port::from(internal), *Port::from(external)};
}

std::string golden(const std::string& name) {
    const auto path = std::string(PORTHOLE_SOURCE_DIR "/tests/kernel/golden/") + name;
    std::ifstream stream(path);
    EXPECT_TRUE(stream) << path;
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
}

// eth0 leads out, br-lan and eth1.20 lead in; docker0 is somebody else's.
InterfaceSnapshot house() {
    const auto address = [](int index, std::string_view text, unsigned length) {
        return LinkAddress{index, parse<Address>("address", text), length};
    };
    return {
        .links = {{2, interface("eth0"), LinkLayer::ethernet, "", true},
                  {3, interface("br-lan"), LinkLayer::ethernet, "bridge", true},
                  {4, interface("eth1.20"), LinkLayer::ethernet, "vlan", true},
                  {5, interface("docker0"), LinkLayer::ethernet, "bridge", true}},
        .addresses = {address(2, "203.0.113.1", 24), address(3, "192.168.2.1", 24),
                      address(4, "10.20.0.1", 16), address(5, "172.17.0.1", 16)},
        .default_routes = {{2, Family::ipv4, 0}},
    };
}

constexpr auto house_configuration = R"(
[nat]
masquerade = true
exempt = ["10.99.0.0/16", "192.168.77.0/24"]

[auto]
ports = "51820-51822"

[[reservation]]
host = "192.168.2.2"
protocol = "udp"
port = 51820

[[reservation]]
host = "192.168.2.3"
protocol = "udp"
port = 51820
external-port = 51821

[[reservation]]
host = "10.20.0.7"
protocol = "tcp"
port = 22
external-port = 2222
)";

TEST_F(NftTable, IsWhatTheConfigurationAsksFor) {
    const auto configuration = parse_configuration(house_configuration, "porthole.toml");
    auto perimeter = choose_perimeter(configuration, house());
    perimeter.scope.own_ports = {{Protocol::udp, Port::constant<53>()}};
    std::vector<ReserveRequest> requests;
    for (const auto& row : configuration.reservations) {
        requests.push_back({.internal = row.internal, .external_port = row.external_port});
    }
    Reservations reservations;
    reservations.apply(reservations.configure(requests, Time{}).difference);

    table.replace(desired_firewall(perimeter.scope, reservations));
    EXPECT_EQ(listed(), golden("house.nft"));
}

// The house with two IPv6 hosts: what is in the table for them, and what is not there without.
TEST_F(NftTable, HasPinholesOnceThereAreAny) {
    const Scope scope{.wans = {interface("eth0")}};
    const Pinhole strict{Protocol::tcp, parse<Address>("host", "2001:db8:2::3"),
                         Port::constant<22>(), Filtering::address_and_port_dependent};
    const Pinhole usual{Protocol::udp, parse<Address>("host", "2001:db8:2::2"),
                        Port::constant<51820>()};
    auto open = usual;
    open.port = Port::constant<51821>();
    open.filtering = Filtering::endpoint_independent;
    const Firewall without{.scope = scope, .mappings = {}};
    const Firewall with{.scope = scope, .mappings = {}, .pinholes = {strict, usual, open}};
    table.replace(without);
    const auto before = listed();
    EXPECT_THAT(before, Not(HasSubstr("pinhole")));
    EXPECT_TRUE(table.apply(difference(without, with))) << "without a new table";
    const auto grown = listed();
    EXPECT_EQ(grown, golden("pinholes.nft"));
    table.replace(with);
    EXPECT_EQ(listed(), grown);
    const Firewall fewer{.scope = scope, .mappings = {}, .pinholes = {usual}};
    EXPECT_TRUE(table.apply(difference(with, fewer)));
    const auto shrunk = listed();
    table.replace(fewer);
    EXPECT_EQ(listed(), shrunk);
    nft("flush ruleset\n" + shrunk);
    EXPECT_EQ(listed(), shrunk);
    table.replace(fewer);
    EXPECT_TRUE(table.apply(difference(fewer, without)));
    EXPECT_THAT(listed(), HasSubstr("@pinholes")) << "the next one comes as quietly";
    EXPECT_TRUE(table.apply(difference(without, with)));
    EXPECT_EQ(listed(), grown);
    table.replace(without);
    EXPECT_EQ(listed(), before);
}

// Who is bound to an address of the WAN has sets and rules of his own, which nobody else needs.
TEST_F(NftTable, HasRulesForFixedAddressesWhileThereAreAny) {
    const Scope scope{
        .wans = {interface("eth0")},
        .nat_sources = {network("192.168.2.0/24")},
        .wan_addresses = {parse<Address>("", "203.0.113.1"), parse<Address>("", "203.0.113.2")}};
    const auto usual = mapping(Protocol::udp, "192.168.2.4", 7, 7);
    const auto at = [](const char* host, const char* address, Filtering filtering) {
        auto fixed = mapping(Protocol::udp, host, 51820, 51820);
        fixed.external_address = ExternalAddress(parse<Address>("", address));
        fixed.filtering = filtering;
        return fixed;
    };
    const Firewall without{.scope = scope, .mappings = {usual}};
    Firewall with{
        .scope = scope,
        .mappings = {usual, at("192.168.2.2", "203.0.113.1", Filtering::endpoint_independent),
                     at("192.168.2.3", "203.0.113.2", Filtering::address_dependent)}};
    std::ranges::sort(with.mappings);
    table.replace(without);
    const auto before = listed();
    EXPECT_THAT(before, Not(HasSubstr("fixed")));
    EXPECT_FALSE(table.apply(difference(without, with)));
    EXPECT_EQ(listed(), before);
    table.replace(with);
    const auto built = listed();
    EXPECT_EQ(built, golden("fixed.nft"));
    nft("flush ruleset\n" + built);
    EXPECT_EQ(listed(), built);
    table.replace(with);
    auto away = with;
    away.mappings.back().host.reset();
    std::ranges::sort(away.mappings);
    EXPECT_TRUE(table.apply(difference(with, away)));
    EXPECT_TRUE(table.apply(difference(away, with)));
    EXPECT_EQ(listed(), built);
    EXPECT_FALSE(table.apply(difference(with, without)));
}

// So does IPv6 that is translated, whether anybody is to be translated now or not.
TEST_F(NftTable, HasRulesForNat66WhereItIs) {
    Scope scope{.wans = {interface("eth0")},
                .masquerade_wans = {interface("eth0")},
                .nat_sources = {network("192.168.2.0/24")},
                .wan_addresses = {parse<Address>("", "203.0.113.1")},
                .own_ports = {{Protocol::tcp, Port::constant<22>()}}};
    const Firewall without{.scope = scope, .mappings = {}};
    scope.ipv6_nat_sources = {network("fd00:2::/64"), network("fdff:ffff::/32")};
    scope.ipv6_wan_addresses = {parse<Address>("", "2001:db8:1::1")};
    scope.nat66 = scope.watches_moves = true;
    const auto translated = [](std::string_view host, std::uint16_t port, Filtering filtering) {
        auto result = mapping(Protocol::udp, host, 51820, port);
        result.family = Family::ipv6;
        result.filtering = filtering;
        return result;
    };
    auto away = translated("fd00:2::9", 51823, Filtering::address_dependent);
    away.host.reset();
    Firewall with{
        .scope = scope,
        .mappings = {mapping(Protocol::udp, "192.168.2.4", 7, 7),
                     translated("fd00:2::2", 51820, Filtering::address_dependent),
                     translated("fd00:2::3", 51821, Filtering::endpoint_independent),
                     translated("fd00:2::4", 51822, Filtering::address_and_port_dependent), away}};
    std::ranges::sort(with.mappings);
    table.replace(without);
    EXPECT_THAT(listed(), AllOf(Not(HasSubstr("nat66")), Not(HasSubstr("ip6"))));
    EXPECT_FALSE(differ_in_lists_only(without.scope, with.scope));
    table.replace(with);
    const auto built = listed();
    EXPECT_EQ(built, golden("nat66.nft"));
    nft("flush ruleset\n" + built);
    EXPECT_EQ(listed(), built);
    auto fewer = with;
    fewer.mappings = {with.mappings.front()};
    fewer.scope.ipv6_nat_sources.clear();
    fewer.scope.ipv6_wan_addresses.clear();
    table.replace(with);
    EXPECT_TRUE(table.apply(difference(with, fewer)));
    const auto shrunk = listed();
    EXPECT_TRUE(table.apply(difference(fewer, with)));
    EXPECT_EQ(listed(), built);
    table.replace(fewer);
    EXPECT_EQ(listed(), shrunk);
}

TEST_F(NftTable, HoldsMorePinholesThanPorts) {
    Firewall many;
    std::array<std::uint8_t, 16> host{0x20, 0x01, 0x0d, 0xb8};
    for (std::uint8_t number = 1; number <= 3; ++number) {
        host.back() = number;
        for (std::uint32_t port = 1; port <= 65535; ++port) {
            many.pinholes.push_back({Protocol::udp, *Address::from_bytes(host), *Port::from(port)});
        }
    }
    std::ranges::sort(many.pinholes);
    table.replace(many);
    auto one_more = many;
    host.back() = 9;
    one_more.pinholes.push_back({Protocol::udp, *Address::from_bytes(host), Port::constant<7>()});
    EXPECT_TRUE(table.apply(difference(many, one_more)));
}

TEST_F(NftTable, IsReadBackByNftAsItWasWritten) {
    table.replace({.scope = {.wans = {interface("eth0")},
                             .masquerade_wans = {interface("eth0")},
                             .nat_sources = {network("192.168.2.0/24")},
                             .exempt = {network("240.0.0.0/4")}},
                   .mappings = {mapping(Protocol::udp, "192.168.2.2", 51820, 51820)}});
    const auto before = listed();
    nft("flush ruleset\n" + before);
    EXPECT_EQ(listed(), before);
}

// What the packet path learnt long ago lasts longer again; what it knows well stays as it is.
TEST_F(NftTable, RenewsContacts) {
    table.replace({});
    const auto contact = [](std::string_view remote) {
        return Contact{{Protocol::udp, Port::constant<51820>()}, parse<Address>("remote", remote)};
    };
    nft("add element inet porthole contacts { udp . 192.0.2.1 . 51820 expires 100s, "
        "udp . 192.0.2.2 . 51820 expires 500s, udp . 192.0.2.3 . 51820 expires 100s }");
    const std::array wanted{contact("192.0.2.1"), contact("192.0.2.2"), contact("192.0.2.4")};
    const auto seconds_left = [this](const std::string& remote) {
        const auto text =
            lab::output_of(gateway, {"nft", "list", "set", "inet", "porthole", "contacts"});
        std::smatch found;
        const std::regex element("udp \\. " + remote +
                                 " \\. 51820 expires (?:(\\d+)m)?(?:(\\d+)s)?");
        if (!std::regex_search(text, found, element)) return 0;
        return (found[1].matched ? 60 * std::stoi(found[1]) : 0) +
               (found[2].matched ? std::stoi(found[2]) : 0);
    };
    table.remember(wanted);
    EXPECT_GT(seconds_left("192.0.2.4"), 590);
    table.renew(wanted);
    EXPECT_GT(seconds_left("192.0.2.1"), 590);
    EXPECT_LE(seconds_left("192.0.2.2"), 500) << "it lasts for a good while";
    EXPECT_GT(seconds_left("192.0.2.2"), 400);
    EXPECT_LE(seconds_left("192.0.2.3"), 100) << "nobody wants it";
    EXPECT_GT(seconds_left("192.0.2.3"), 50);
}

TEST_F(NftTable, LeavesEverybodyElsesTablesAlone) {
    const std::string others = R"(table inet others {
	chain forward {
		type filter hook forward priority filter; policy drop;
		udp dport 51820 accept
	}
}
)";
    nft(others);
    table.replace({});
    change({}, {.scope = {}, .mappings = {mapping(Protocol::udp, "192.168.2.2", 51820, 51820)}});
    EXPECT_EQ(lab::output_of(gateway, {"nft", "list", "table", "inet", "others"}), others);
}

TEST_F(NftTable, HoldsNetworksUpToTheEdgesOfTheAddressSpace) {
    const std::vector all{network("0.0.0.0/0")};
    const std::vector halves{network("0.0.0.0/1"), network("128.0.0.0/1")};
    const std::vector neighbours{network("10.0.0.0/9"), network("10.128.0.0/9"),
                                 network("255.255.255.255/32")};
    Firewall now;
    table.replace(now);
    for (const auto& networks : {all, halves, neighbours, all, {}}) {
        const Firewall next{
            .scope = {.wans = {}, .masquerade_wans = {}, .nat_sources = networks, .exempt = {}},
            .mappings = {}};
        change(now, next);
        const auto grown = listed();
        table.replace(next);
        EXPECT_EQ(grown, listed());
        now = next;
    }
}

// Fails as a whole: the first element is new, the second one is there already.
TEST_F(NftTable, ChangesAsAWholeOrNotAtAll) {
    const auto there = mapping(Protocol::udp, "192.168.2.3", 51820, 51821);
    table.replace({.scope = {}, .mappings = {there}});
    const auto before = listed();
    const FirewallDifference bad{
        .mappings = {.removed = {},
                     .added = {mapping(Protocol::udp, "192.168.2.2", 51820, 51820), there}}};
    EXPECT_THROW((void)table.apply(bad), FirewallDrift);
    EXPECT_EQ(listed(), before);
}

TEST_F(NftTable, SaysThatSomebodyRemovedIt) {
    const FirewallDifference change{
        .mappings = {.removed = {},
                     .added = {mapping(Protocol::udp, "192.168.2.2", 51820, 51820)}}};
    table.replace({});
    nft("delete table inet porthole");
    try {
        (void)table.apply(change);
        FAIL() << "the table is gone, but changing it succeeded";
    } catch (const FirewallDrift& drift) {
        EXPECT_EQ(drift.code(), ENOENT);
        EXPECT_THAT(
            drift.what(),
            HasSubstr("add element inet porthole exact { udp . 192.168.2.2 . 51820 : 51820 }"));
    }
}

TEST_F(NftTable, SaysThatSomebodyRemovedAnElement) {
    const auto gone = mapping(Protocol::tcp, "192.168.2.2", 22, 2222);
    table.replace({.scope = {}, .mappings = {gone}});
    nft("delete element inet porthole exact { tcp . 192.168.2.2 . 22 }");
    EXPECT_THROW((void)table.apply({.mappings = {.removed = {gone}, .added = {}}}), FirewallDrift);
}

TEST_F(NftTable, HoldsAReservationForEveryPort) {
    Firewall full;
    for (const auto protocol : {Protocol::tcp, Protocol::udp}) {
        for (std::uint32_t port = 1; port <= 65535; ++port) {
            full.mappings.push_back({protocol, Address::v4(0xC0A80200U + port % 200 + 2),
                                     *Port::from(port), *Port::from(port)});
        }
    }
    std::ranges::sort(full.mappings);
    table.replace(full);
    change(full, {});
    // A table that was large once stays so until the next rebuild.
    const auto without_sizes = [](const std::string& text) {
        return std::regex_replace(text, std::regex("\tsize [0-9]+\n"), "");
    };
    const auto emptied = listed();
    table.replace({});
    EXPECT_NE(emptied, listed());
    EXPECT_EQ(without_sizes(emptied), without_sizes(listed()));
}

std::vector<Mapping> mappings(std::uint32_t count) {
    std::vector<Mapping> result;
    for (std::uint32_t port = 1; port <= count; ++port) {
        result.push_back({Protocol::udp, parse<Address>("host", "192.168.2.2"), *Port::from(port),
                          *Port::from(port)});
    }
    return result;
}

TEST_F(NftTable, AsksForALargerOneWhereThereIsNoRoom) {
    constexpr std::uint32_t room = 4096;
    const Firewall full{.scope = {}, .mappings = mappings(room)};
    const Firewall fuller{.scope = {}, .mappings = mappings(room + 1)};
    table.replace(full);
    const auto before = listed();
    EXPECT_FALSE(table.apply(difference(full, fuller)));
    EXPECT_EQ(listed(), before);
    table.replace(fuller);
    EXPECT_THAT(listed(), HasSubstr("udp . 4097"));
    EXPECT_TRUE(table.apply(difference(fuller, full)));
    EXPECT_TRUE(table.apply(difference(full, fuller)));
}

TEST_F(NftTable, AsksForAnotherOneToMasquerade) {
    const Firewall without{.scope = {.wans = {interface("eth0")}}, .mappings = {}};
    const Firewall with{
        .scope = {.wans = {interface("eth0")}, .masquerade_wans = {interface("eth0")}},
        .mappings = {}};
    table.replace(without);
    EXPECT_THAT(listed(), Not(HasSubstr("@masquerade-wans")));
    EXPECT_FALSE(table.apply(difference(without, with)));
    table.replace(with);
    EXPECT_THAT(listed(), HasSubstr("@masquerade-wans"));
    EXPECT_FALSE(table.apply(difference(with, without)));
}

// Two hosts have the same port inside: it stays in @ports until the second one leaves, too.
TEST_F(NftTable, KeepsAPortThatAnotherMappingUses) {
    const auto first = mapping(Protocol::udp, "192.168.2.2", 4000, 5000);
    const auto second = mapping(Protocol::udp, "192.168.2.3", 4000, 5001);
    const auto ports = [this] {
        return lab::output_of(gateway, {"nft", "-s", "list", "set", "inet", "porthole", "ports"});
    };
    Firewall now{.scope = {}, .mappings = {first, second}};
    table.replace(now);
    for (const auto& left : {std::vector{second}, std::vector<Mapping>{}}) {
        const Firewall next{.scope = {}, .mappings = left};
        ASSERT_TRUE(table.apply(difference(now, next)));
        EXPECT_EQ(ports().find("udp . 4000") != std::string::npos, !left.empty());
        now = next;
    }
}

// The kernel's socket, after whose transactions somebody else does something.
class InterruptedSocket : public netlink::Transport {
  public:
    explicit InterruptedSocket(std::function<void()> interruption)
        : interruption_(std::move(interruption)) {}
    void send(std::span<const std::byte> datagram) override {
        socket_.send(datagram);
        constexpr std::size_t large = 10'000;
        if (datagram.size() > large) interruption_();
    }
    std::size_t receive(std::span<std::byte> buffer) override { return socket_.receive(buffer); }
    [[nodiscard]] int descriptor() const override { return socket_.descriptor(); }
    [[nodiscard]] std::uint32_t port_id() const { return socket_.port_id(); }

  private:
    netlink::Socket socket_{NETLINK_NETFILTER};
    std::function<void()> interruption_;
};

class NftTableWatch : public NftTable {
  protected:
    std::function<void()> interruption = [] {};
    nft::FirewallTable watched = gateway.run([this] {
        auto socket = std::make_unique<InterruptedSocket>([this] { interruption(); });
        auto monitor = std::make_unique<nft::TableMonitor>(socket->port_id());
        return nft::FirewallTable(std::move(socket), std::move(monitor));
    });
    const Firewall large{.scope = {}, .mappings = mappings(4000)};
};

TEST_F(NftTableWatch, IsNotToldOfItsOwnChangesHoweverLarge) {
    watched.replace(large);
    EXPECT_TRUE(watched.apply(difference(large, {})));
    EXPECT_FALSE(watched.unsure());
    EXPECT_FALSE(watched.changed_by_others());
}

TEST_F(NftTableWatch, SeesAChangeAfterALargeOneOfItsOwn) {
    watched.replace(large);
    nft("delete element inet porthole exact { udp . 192.168.2.2 . 7 }");
    EXPECT_TRUE(watched.changed_by_others());
    watched.replace(large);
    EXPECT_FALSE(watched.changed_by_others());
}

TEST_F(NftTableWatch, IsUnsureAboutAChangeDuringALargeOneOfItsOwn) {
    interruption = [this] { nft("delete element inet porthole exact { udp . 192.168.2.2 . 7 }"); };
    watched.replace(large);
    EXPECT_TRUE(watched.unsure());
    EXPECT_TRUE(watched.changed_by_others());
    EXPECT_TRUE(watched.unsure()) << "until it is made good";

    // Now it watches while it makes it good, so that it sees this one.
    watched.replace(large);
    EXPECT_FALSE(watched.unsure());
    EXPECT_TRUE(watched.changed_by_others());

    interruption = [] {};
    watched.replace(large);
    EXPECT_FALSE(watched.changed_by_others());
}

// A random way through firewalls: whatever the steps were, the table equals one that was built
// anew.
class NftTableGrows : public NftTable, public testing::WithParamInterface<unsigned> {
  protected:
    Firewall random_firewall() {
        Firewall firewall;
        std::set<Mapping> mappings;
        std::set<std::pair<Protocol, Port>> taken;
        for (unsigned i = 0; i < below(40); ++i) {
            const auto protocol = below(2) == 0 ? Protocol::udp : Protocol::tcp;
            const auto external = *Port::from(51820 + below(60));
            if (!taken.emplace(protocol, external).second) continue;
            Mapping made{protocol, Address::v4(0xC0A80202U + below(20)),
                         *Port::from(51820 + below(2000)), external};
            if (below(3) == 0) {
                made.external_address = ExternalAddress(Address::v4(0xCB007101U + below(3)));
            }
            mappings.insert(made);
        }
        std::set<std::tuple<Protocol, std::optional<Address>, Port>> endpoints;
        for (const auto& row : mappings) {
            if (!endpoints.emplace(row.protocol, row.host, row.internal_port).second) continue;
            firewall.mappings.push_back(row);
        }
        for (const auto* const name : {"eth0", "eth1", "ppp0", "wwan0"}) {
            if (below(2) == 0) firewall.scope.wans.push_back(interface(name));
            if (below(2) == 0) firewall.scope.masquerade_wans.push_back(interface(name));
        }
        for (const auto* const text :
             {"10.0.0.0/9", "10.128.0.0/9", "172.16.0.0/12", "192.168.2.0/24", "192.168.3.0/24"}) {
            if (below(2) == 0) firewall.scope.nat_sources.push_back(network(text));
            if (below(2) == 0) firewall.scope.exempt.push_back(network(text));
        }
        for (std::uint16_t port = 51820; port < 51900; port += 7) {
            const ProtocolPort own{Protocol::udp, *Port::from(port)};
            if (below(2) == 0) firewall.scope.own_ports.push_back(own);
        }
        return firewall;
    }
    unsigned below(unsigned limit) {
        return std::uniform_int_distribution<unsigned>(0, limit - 1)(random_);
    }

  private:
    std::mt19937 random_{GetParam()};
};

TEST_P(NftTableGrows, IntoWhatARebuildMakes) {
    Firewall now;
    table.replace(now);
    for (int step = 0; step < 25; ++step) {
        const auto next = random_firewall();
        change(now, next);
        now = next;
    }
    const auto grown = listed();
    table.replace(now);
    EXPECT_EQ(grown, listed());
}

INSTANTIATE_TEST_SUITE_P(Seeds, NftTableGrows, testing::Range(1U, 9U));

}  // namespace
}  // namespace porthole
