// SPDX-License-Identifier: GPL-2.0-or-later
// What keeps NetworkManager and systemd-networkd off the gateway's own tunnels.
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tunnel_sites.hpp"

namespace porthole {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class NetworkManagersTest : public TunnelSites {
  protected:
    /// What udev's rules, ours among them, make of an interface of gateway A.
    [[nodiscard]] std::string properties(const std::string& interface) const {
        const lab::Setting with_our_rules{.before_exec = [] {
            if (unshare(CLONE_NEWNS) != 0 ||
                mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0 ||
                mount(PORTHOLE_SOURCE_DIR "/systemd", "/etc/udev/rules.d", nullptr, MS_BIND,
                      nullptr) != 0) {
                _exit(99);
            }
        }};
        return lab::output_of(sites.gateway_a, {"udevadm", "test", "/sys/class/net/" + interface},
                              with_our_rules);
    }
};

TEST_F(NetworkManagersTest, AreToldWhoseATunnelIs) {
    a.start();
    done(a, {"tunnel", "create", "wg0", "--addresses", "10.9.0.1/24"});
    lab::output_of(sites.gateway_a, {"ip", "link", "add", "another", "type", "wireguard"});
    EXPECT_THAT(properties("wg0"),
                AllOf(HasSubstr("ID_PORTHOLE=1\n"), HasSubstr("NM_UNMANAGED=1\n")));
    EXPECT_THAT(properties("another"),
                AllOf(HasSubstr("DEVTYPE=wireguard\n"), Not(HasSubstr("ID_PORTHOLE")),
                      Not(HasSubstr("NM_UNMANAGED"))));
    EXPECT_THAT(lab::read_file(PORTHOLE_SOURCE_DIR "/systemd/10-porthole.network"),
                HasSubstr("Property=ID_PORTHOLE=1\n"));
}

}  // namespace
}  // namespace porthole
