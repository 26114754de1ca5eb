// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/own_ports.hpp"

namespace porthole {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr ProtocolPort dns{Protocol::udp, Port::constant<53>()};
constexpr ProtocolPort tunnel{Protocol::udp, Port::constant<51820>()};
constexpr auto ephemeral = *PortRange::from(Port::constant<32768>(), Port::constant<60999>());
const std::array wan{parse<Address>("address", "203.0.113.2")};

Listener listener(const ProtocolPort& port, std::string_view address = "0.0.0.0",
                  bool of_kernel = false) {
    return {port, parse<Address>("address", address), of_kernel};
}

TEST(OwnPorts, AreThoseThatCanBeReachedThroughAWan) {
    const std::array listeners{listener(dns),
                               listener({Protocol::tcp, Port::constant<22>()}, "203.0.113.2"),
                               listener({Protocol::tcp, Port::constant<80>()}, "192.168.2.1"),
                               listener({Protocol::tcp, Port::constant<81>()}, "127.0.0.1"),
                               listener({Protocol::tcp, Port::constant<443>()}, "::")};
    EXPECT_THAT(OwnPorts(ephemeral).update(listeners, wan),
                ElementsAre(ProtocolPort{Protocol::tcp, Port::constant<22>()},
                            ProtocolPort{Protocol::tcp, Port::constant<443>()}, dns));
}

TEST(OwnPorts, IncludeAnEphemeralOneThatLasts) {
    const std::array listeners{listener(tunnel), listener(tunnel, "::")};
    OwnPorts ports(ephemeral);
    EXPECT_THAT(ports.update(listeners, wan), IsEmpty());
    EXPECT_THAT(ports.update(listeners, wan), IsEmpty());
    EXPECT_THAT(ports.update(listeners, wan), ElementsAre(tunnel));
    EXPECT_THAT(ports.update(listeners, wan), ElementsAre(tunnel));
}

TEST(OwnPorts, DoNotIncludeOneThatIsOpenedForEachQuestion) {
    const std::array listeners{listener(tunnel)};
    OwnPorts ports(ephemeral);
    for (int i = 0; i < 5; ++i) {
        EXPECT_THAT(ports.update(listeners, wan), IsEmpty());
        EXPECT_THAT(ports.update(listeners, wan), IsEmpty());
        EXPECT_THAT(ports.update({}, wan), IsEmpty());
    }
}

TEST(OwnPorts, IncludeTheKernelsAtOnce) {
    const std::array listeners{listener(tunnel, "0.0.0.0", true)};
    EXPECT_THAT(OwnPorts(ephemeral).update(listeners, wan), ElementsAre(tunnel));
}

}  // namespace
}  // namespace porthole
