// SPDX-License-Identifier: GPL-2.0-or-later
// The resolver against a real name server.
#include <algorithm>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include "lab/name_server.hpp"
#include "lab/sockets.hpp"
#include "lab/temporary_directory.hpp"
#include "lab/two_sites.hpp"
#include "resolver/ares_resolver.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using testing::AnyOf;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

Address address(std::string_view text) { return parse<Address>("address", text); }

class ResolverTest : public testing::Test {
  protected:
    ResolverTest() { name_servers({addresses::outside}); }
    void name_servers(const std::vector<std::string_view>& servers) const {
        std::string text;
        for (const auto each : servers) text += "nameserver " + std::string(each) + "\n";
        lab::write_file(configuration, text);
    }
    void serve(const std::vector<std::string>& hosts) {
        server.reset();
        server.emplace(sites.outside, addresses::outside, hosts);
    }
    void ask(const std::string& host) {
        sites.gateway_a.run([&] { resolver.resolve(host); });
    }
    /// The next answers; none at the end of the longest time that a question may take.
    std::vector<Resolution> answers() {
        const lab::Deadline deadline(lab::Duration(30'000));
        while (!deadline.passed()) {
            pollfd event{resolver.descriptor(), POLLIN, 0};
            const auto wait = resolver.timeout().value_or(std::chrono::milliseconds(1'000));
            poll(&event, 1, static_cast<int>(wait.count()));
            auto found = sites.gateway_a.run([&] { return resolver.take(); });
            if (!found.empty()) return found;
        }
        return {};
    }
    Resolution resolve(const std::string& host) {
        ask(host);
        const auto found = answers();
        EXPECT_EQ(found.size(), 1U);
        return found.empty() ? Resolution() : found[0];
    }

    lab::TwoSites sites;
    lab::TemporaryDirectory directory;
    std::filesystem::path configuration = directory / "resolv.conf";
    std::optional<lab::NameServer> server;
    resolver::AresResolver resolver{configuration};
};

TEST_F(ResolverTest, FindsAllAddressesOfBothFamilies) {
    sites.add_ipv6();
    serve({"both.example.net,203.0.113.2,2001:db8:1::2", "both.example.net,203.0.113.7",
           "old.example.net,192.0.2.1", "new.example.net,2001:db8::1"});
    const auto both = resolve("both.example.net");
    EXPECT_EQ(both.host, "both.example.net");
    EXPECT_EQ(both.failure, "");
    EXPECT_THAT(both.addresses, UnorderedElementsAre(address("203.0.113.2"), address("203.0.113.7"),
                                                     address("2001:db8:1::2")));
    // RFC 6724: where both can be reached.
    EXPECT_EQ(both.addresses.at(0), address("2001:db8:1::2"));
    EXPECT_THAT(resolve("old.example.net").addresses, ElementsAre(address("192.0.2.1")));
    EXPECT_THAT(resolve("new.example.net").addresses, ElementsAre(address("2001:db8::1")));
}

TEST_F(ResolverTest, SaysThatThereIsNoSuchName) {
    serve({"gw.example.net,203.0.113.2"});
    const auto nowhere = resolve("nowhere.example.net");
    EXPECT_EQ(nowhere.failure, "Domain name not found");
    EXPECT_THAT(nowhere.addresses, IsEmpty());
    EXPECT_THAT(resolve("gw.example.net").addresses, ElementsAre(address("203.0.113.2")));
}

TEST_F(ResolverTest, SaysThatNobodyAnswers) {
    const lab::UdpSocket silent(sites.outside, lab::at(addresses::outside, 53));
    const auto begin = lab::Clock::now();
    EXPECT_EQ(resolve("gw.example.net").failure, "Timeout while contacting DNS servers");
    EXPECT_LT(lab::Clock::now() - begin, std::chrono::seconds(20));
    EXPECT_TRUE(silent.receive());
}

TEST_F(ResolverTest, SaysThatNobodyIsThere) {
    EXPECT_THAT(resolve("gw.example.net").failure,
                AnyOf("Could not contact DNS servers", "Timeout while contacting DNS servers"));
}

// A gateway's uplink brings other servers.
TEST_F(ResolverTest, ReadsItsConfigurationAgainWhenItHasChanged) {
    const lab::UdpSocket silent(sites.internet, lab::at(addresses::internet, 53));
    serve({"one.example.net,192.0.2.1", "two.example.net,192.0.2.2"});
    name_servers({addresses::internet});
    ask("one.example.net");
    ASSERT_TRUE(silent.receive());
    name_servers({addresses::outside});
    ask("two.example.net");
    auto found = answers();
    if (found.size() == 1) std::ranges::move(answers(), std::back_inserter(found));
    std::ranges::sort(found, {}, &Resolution::host);
    ASSERT_EQ(found.size(), 2U);
    EXPECT_THAT(found[0].addresses, ElementsAre(address("192.0.2.1")));
    EXPECT_THAT(found[1].addresses, ElementsAre(address("192.0.2.2")));
}

TEST_F(ResolverTest, AsksOnceWhileItIsAsking) {
    serve({"gw.example.net,203.0.113.2"});
    ask("gw.example.net");
    ask("gw.example.net");
    EXPECT_EQ(answers().size(), 1U);
    EXPECT_THAT(resolve("gw.example.net").addresses, ElementsAre(address("203.0.113.2")));
}

TEST_F(ResolverTest, TakesAnAddressForWhatItIs) {
    EXPECT_THAT(resolve("192.0.2.1").addresses, ElementsAre(address("192.0.2.1")));
    EXPECT_NE(resolve("").failure, "");
}

}  // namespace
}  // namespace porthole
