// SPDX-License-Identifier: GPL-2.0-or-later
// How long conntrack keeps idle flows: those of reserved ports as long as nat.udp-timeout says, all
// others as long as the kernel's own timeouts say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lab/conntrack.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::TcpListener;
using lab::TcpSocket;
using lab::UdpSocket;
using testing::AllOf;
using testing::Ge;
using testing::Le;

constexpr std::uint16_t wireguard = 51820;
const auto remote_end = at(addresses::outside, wireguard);

class Timers : public testing::Test {
  protected:
    Timers() { lab::masquerade(sites.gateway_a, lab::InputPolicy::accept); }
    void reserve(const std::string& protocol, std::vector<std::string> options = {}) {
        std::vector<std::string> all{"reserve", std::string(addresses::a1), protocol,
                                     std::to_string(wireguard)};
        all.insert(all.end(), options.begin(), options.end());
        ASSERT_EQ(porthole.ctl(all).status, 0);
    }
    /// Seconds until the only flow that `who` has begun from `port` ends.
    [[nodiscard]] unsigned left(std::string_view who, std::uint16_t port) const {
        const auto found = lab::flows_from(sites.gateway_a, who, port);
        EXPECT_EQ(found.size(), 1U);
        return found.empty() ? 0 : found[0].timeout;
    }
    static auto about(unsigned seconds) { return AllOf(Ge(seconds - 5), Le(seconds)); }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a, "[auto]\nenabled = false\n"};
    UdpSocket host{sites.a1, wireguard};
    UdpSocket remote{sites.outside, wireguard};
};

// RFC 4787 REQ-5 recommends five minutes; answered or not, as a phone may sleep at either end.
TEST_F(Timers, KeepUdpFlowsOfReservedPortsForFiveMinutes) {
    porthole.start();
    reserve("udp");
    host.send_to(remote_end, "not answered");
    ASSERT_TRUE(remote.receive());
    EXPECT_THAT(left(addresses::a1, wireguard), about(300));
    ASSERT_TRUE(lab::exchange(host, remote, remote_end));
    EXPECT_THAT(left(addresses::a1, wireguard), about(300));
    const UdpSocket other(sites.a1, 40000);
    other.send_to(remote_end, "not reserved");
    ASSERT_TRUE(remote.receive("not reserved"));
    EXPECT_THAT(left(addresses::a1, 40000), Le(120U));
}

TEST_F(Timers, AreTheSameForFlowsThatTheRemoteHasBegun) {
    porthole.start();
    reserve("udp", {"--filtering", "endpoint-independent"});
    remote.send_to(at(addresses::a_wan, wireguard), "inbound");
    ASSERT_TRUE(host.receive("inbound"));
    EXPECT_THAT(left(addresses::outside, wireguard), about(300));
}

// RFC 5382 REQ-5: an established connection stays for two hours and four minutes at least, for
// which the kernel's own five days are enough; one that is opening or closing for four minutes.
TEST_F(Timers, KeepTcpAsLongAsItMustBe) {
    porthole.start();
    reserve("tcp");
    const TcpListener listener(sites.outside, 80);
    const auto connection =
        TcpSocket::connect(sites.a1, lab::any(wireguard), at(addresses::outside, 80));
    ASSERT_TRUE(connection);
    EXPECT_THAT(left(addresses::a1, wireguard), about(432'000));
    const auto accepted = listener.accept();
    ASSERT_TRUE(accepted);
    lab::output_of(sites.gateway_a, {"conntrack", "-F"});
    // A host that is there, and does not answer.
    lab::output_of(sites.outside,
                   {"nft",
                    "add table ip silent; add chain ip silent in { type filter hook input "
                    "priority filter; }; add rule ip silent in tcp dport 81 drop"});
    EXPECT_FALSE(TcpSocket::connect(sites.a1, lab::any(40001), at(addresses::outside, 81),
                                    lab::Duration(50)));
    EXPECT_THAT(left(addresses::a1, 40001), Le(120U)) << "not reserved";
    ASSERT_EQ(porthole.ctl({"reserve", std::string(addresses::a1), "tcp", "40002"}).status, 0);
    EXPECT_FALSE(TcpSocket::connect(sites.a1, lab::any(40002), at(addresses::outside, 81),
                                    lab::Duration(50)));
    EXPECT_THAT(left(addresses::a1, 40002), about(240));
}

TEST_F(Timers, FollowTheConfiguration) {
    lab::write_file(porthole.configuration_file(), "[nat]\nudp-timeout = 900\n");
    porthole.start();
    reserve("udp");
    ASSERT_TRUE(lab::exchange(host, remote, remote_end));
    EXPECT_THAT(left(addresses::a1, wireguard), about(900));
    lab::write_file(porthole.configuration_file(), "[nat]\nudp-timeout = 119\n");
    const auto checked =
        porthole.run({"--check-config", "--config", porthole.configuration_file().string()});
    EXPECT_NE(checked.status, 0);
    EXPECT_THAT(checked.errors, testing::HasSubstr("nat.udp-timeout: invalid \"119\": expected a "
                                                   "number from 120 to 86400"));
}

}  // namespace
}  // namespace porthole
