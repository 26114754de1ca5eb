// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/rule_editor.hpp"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/default_routes.hpp"
#include "lab/links.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"

namespace porthole {
namespace {

using netlink::RuleEditor;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// A gateway with a tunnel, which table 1234 leads to.
class RuleEditorTest : public testing::Test {
  protected:
    void SetUp() override {
        for (const auto* link : {"wan", "lan", "tunnel"}) {
            lab::add_cable({gateway_, link}, {others_, link});
        }
        gateway_.set_sysctl("net/ipv4/ip_forward", "1");
        gateway_.set_sysctl("net/ipv6/conf/all/forwarding", "1");
        for (const auto* address : {"192.0.2.2/24", "2001:db8:1::2/64"}) {
            lab::add_address(gateway_, "wan", address);
        }
        lab::add_address(gateway_, "lan", "192.168.2.1/24");
        for (const auto* address : {"10.9.0.1/24", "fd00:9::1/64"}) {
            lab::add_address(gateway_, "tunnel", address);
        }
        lab::wait_for_links(gateway_, lab::Deadline(lab::Duration(5000)));
        lab::add_route(gateway_, lab::everywhere, "192.0.2.1");
        lab::add_route(gateway_, lab::everywhere_ipv6, "2001:db8:1::1");
        for (const auto* family : {"-4", "-6"}) {
            ip({family, "route", "add", "default", "dev", "tunnel", "table", "1234"});
        }
    }

    std::string ip(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), "ip");
        return lab::output_of(gateway_, arguments);
    }
    [[nodiscard]] std::string rules() const { return ip({"-4", "rule"}) + ip({"-6", "rule"}); }
    [[nodiscard]] std::string way(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), {"route", "get"});
        return ip(std::move(arguments));
    }

    static std::vector<RoutingRule> into_the_tunnel() {
        const TunnelSettings settings{.fwmark = 1234,
                                      .addresses = {parse<InterfaceAddress>("a", "10.9.0.1/24"),
                                                    parse<InterfaceAddress>("a", "fd00:9::1/64")}};
        const PeerSettings peer{
            .public_key = PublicKey({9}),
            .allowed_ips = {parse<Network>("n", "0.0.0.0/0"), parse<Network>("n", "::/0")}};
        DefaultRoutes routes;
        routes.add(parse<InterfaceName>("interface", "tunnel"), settings, peer);
        return routes.rules();
    }

    lab::Namespace gateway_{"gateway"};
    lab::Namespace others_{"others"};
    RuleEditor editor_ = gateway_.run([] { return RuleEditor(); });
};

TEST_F(RuleEditorTest, LeadsIntoTheTunnelWhatDefaultRoutesSay) {
    const auto before = rules();
    editor_.set(into_the_tunnel());
    EXPECT_THAT(way({"203.0.113.9"}), AllOf(HasSubstr("dev tunnel"), HasSubstr("src 10.9.0.1")));
    EXPECT_THAT(way({"203.0.113.9", "from", "10.9.0.1"}), HasSubstr("dev tunnel"));
    EXPECT_THAT(way({"203.0.113.9", "from", "192.0.2.2"}), HasSubstr("dev wan"));
    EXPECT_THAT(way({"203.0.113.9", "mark", "1234"}), HasSubstr("dev wan"));
    EXPECT_THAT(way({"203.0.113.9", "mark", "7"}), HasSubstr("dev wan"));
    EXPECT_THAT(way({"203.0.113.9", "from", "192.168.2.2", "iif", "lan"}), HasSubstr("dev wan"));
    EXPECT_THAT(way({"192.0.2.7"}), HasSubstr("dev wan"));
    EXPECT_THAT(way({"2001:db8:7::9"}), AllOf(HasSubstr("dev tunnel"), HasSubstr("fd00:9::1")));
    EXPECT_THAT(way({"2001:db8:7::9", "from", "fd00:9::1"}), HasSubstr("dev tunnel"));
    EXPECT_THAT(way({"2001:db8:7::9", "from", "2001:db8:1::2"}), HasSubstr("dev wan"));
    EXPECT_THAT(way({"2001:db8:7::9", "mark", "1234"}), HasSubstr("dev wan"));
    EXPECT_THAT(way({"2001:db8:7::9", "from", "2001:db8:2::2", "iif", "lan"}),
                HasSubstr("dev wan"));
    EXPECT_THAT(way({"2001:db8:1::7"}), HasSubstr("dev wan"));
    editor_.set({});
    EXPECT_EQ(rules(), before);
}

TEST_F(RuleEditorTest, AsksTheRulesOfOthersFirst) {
    ip({"route", "add", "203.0.113.0/24", "via", "192.0.2.1", "table", "99"});
    ip({"rule", "add", "to", "203.0.113.9", "lookup", "99"});
    editor_.set(into_the_tunnel());
    ip({"rule", "add", "to", "203.0.113.8", "lookup", "99"});
    EXPECT_THAT(way({"203.0.113.7"}), HasSubstr("dev tunnel"));
    for (const auto* other : {"203.0.113.8", "203.0.113.9"}) {
        EXPECT_THAT(way({other}), HasSubstr("dev wan")) << other;
    }
}

TEST_F(RuleEditorTest, RemovesWhatIsTheServicesAndNobodyWants) {
    ip({"rule", "add", "to", "203.0.113.9", "lookup", "99", "protocol", "87"});
    ip({"-6", "rule", "add", "from", "2001:db8::/32", "lookup", "99", "protocol", "87"});
    ip({"rule", "add", "to", "203.0.113.8", "lookup", "99"});
    editor_.set(into_the_tunnel());
    EXPECT_THAT(rules(), AllOf(HasSubstr("1234"), HasSubstr("203.0.113.8"),
                               Not(HasSubstr("203.0.113.9")), Not(HasSubstr("2001:db8::/32"))));
    editor_.set({});
    EXPECT_THAT(rules(), AllOf(Not(HasSubstr("1234")), HasSubstr("203.0.113.8")));
}

TEST_F(RuleEditorTest, ChangesNoneWhereTheKernelRefusesOne) {
    editor_.set(into_the_tunnel());
    ip({"rule", "add", "to", "203.0.113.9", "lookup", "99", "protocol", "87"});
    const auto before = rules();
    auto wanted = into_the_tunnel();
    wanted.back().table = 0;
    try {
        editor_.set(wanted);
        FAIL() << "the kernel has no table 0";
    } catch (const KernelFailure& failure) {
        EXPECT_EQ(failure.code(), EINVAL);
        EXPECT_THAT(failure.what(), HasSubstr("add routing rule from all iif lo"));
    }
    EXPECT_EQ(rules(), before);
}

TEST_F(RuleEditorTest, LeavesAloneWhatIsAsItShouldBe) {
    editor_.set(into_the_tunnel());
    lab::Process monitor(gateway_, {"ip", "monitor", "rule"});
    const auto heard = [&](const std::string& other) {
        ip({"rule", "add", "to", other, "lookup", "99"});
        ip({"rule", "del", "to", other, "lookup", "99"});
        return monitor.wait_for_output(other, lab::Duration(50));
    };
    ASSERT_TRUE(lab::comes_true([&] { return heard("203.0.113.8"); }));
    editor_.set(into_the_tunnel());
    EXPECT_TRUE(heard("203.0.113.7"));
    EXPECT_THAT(monitor.output(), Not(HasSubstr("1234")));
    editor_.set({});
    EXPECT_TRUE(monitor.wait_for_output("1234", lab::packet_limit));
}

}  // namespace
}  // namespace porthole
