// SPDX-License-Identifier: GPL-2.0-or-later
// The service as a user of its own, with CAP_NET_ADMIN and nothing else: so its unit starts it.
#include <fmt/format.h>
#include <linux/capability.h>
#include <unistd.h>

#include "tunnel_sites.hpp"

namespace porthole {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Unprivileged : public TunnelSites {
  protected:
    void start() {
        constexpr uid_t user = 65534;  // nobody: the bus lets only users in that it can look up
        ASSERT_EQ(chown(porthole.state_directory().c_str(), user, user), 0);
        porthole.start({.before_exec = lab::as_user_with(user, user, CAP_NET_ADMIN)});
    }
    [[nodiscard]] std::string shown(std::vector<std::string> command) const {
        return lab::output_of(sites.gateway_a, std::move(command));
    }

    // The policy that is installed lets nobody else have the name.
    lab::Porthole porthole{sites.gateway_a, "", lab::BusPolicy::everything};
};

class UnprivilegedReservations : public Unprivileged {
    void SetUp() override {}
};

TEST_F(UnprivilegedReservations, AreKept) {
    start();
    const auto status = lab::read_file(fmt::format("/proc/{}/status", porthole.process()->id()));
    EXPECT_THAT(status, AllOf(HasSubstr("Uid:\t65534\t65534\t65534\t65534\n"),
                              HasSubstr("CapEff:\t0000000000001000\n"),
                              HasSubstr("CapBnd:\t0000000000001000\n")));
    done(porthole, {"reserve", "192.168.2.2", "udp", "51820"});
    const auto table = lab::table_of(sites.gateway_a);
    EXPECT_THAT(table, HasSubstr("udp . 192.168.2.2 . 51820 : 51820"));
    EXPECT_EQ(porthole.stop(), 0);
    start();
    EXPECT_EQ(lab::table_of(sites.gateway_a), table);
}

TEST_F(Unprivileged, MakesTunnelsThatAreADefaultRoute) {
    start();
    done(porthole,
         {"tunnel", "create", "wg0", "--addresses", "10.9.0.1/24", "--listen-port", "51821"});
    done(porthole, {"tunnel", "peer", "set", "wg0", "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
                    "--endpoint", "203.0.113.2:51820", "--allowed-ips", "0.0.0.0/0"});
    EXPECT_THAT(shown({"ip", "-brief", "link", "show", "group", "87", "type", "wireguard"}),
                HasSubstr("wg0"));
    EXPECT_THAT(shown({"wg", "show", "wg0"}), HasSubstr("endpoint: 203.0.113.2:51820"));
    EXPECT_THAT(shown({"ip", "rule"}), HasSubstr("iif lo"));
    EXPECT_GT(porthole.memory("VmLck"), 0U);
    done(porthole, {"tunnel", "delete", "wg0"});
    EXPECT_THAT(shown({"ip", "rule"}), testing::Not(HasSubstr("iif lo")));
}

}  // namespace
}  // namespace porthole
