// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/peer_file.hpp"
#include "wg/quick_file.hpp"

namespace porthole::cli {
namespace {

constexpr auto one = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=";
constexpr auto two = "MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI=";
constexpr auto secret = "MzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzM=";

std::vector<PeerSettings> wanted(const std::string& of_one) {
    return wg::parse_quick_file(std::string("[Peer]\nPublicKey = ") + one + "\n" + of_one).peers;
}

PeerRow present(const char* key) {
    return {.public_key = key,
            .name = "laptop",
            .endpoint = "203.0.113.2:51820",
            .endpoint_now = "203.0.113.2:4711",
            .keepalive = 5,
            .allowed_ips = {"10.9.0.2/32", "10.8.0.0/16"},
            .preshared_key = false,
            .state = "connected",
            .last_handshake = 1,
            .received = 2,
            .sent = 3,
            .extras = {}};
}

constexpr auto as_present =
    "Endpoint = 203.0.113.2:51820\nAllowedIPs = 10.8.0.0/16, 10.9.0.2/32\n"
    "PersistentKeepalive = 5\n";

TEST(CliPeerFile, HasNothingToDoForWhatIsThere) {
    const auto none = peer_difference({present(one)}, wanted(as_present));
    EXPECT_EQ(difference_text(none), "nothing to do\n");
    EXPECT_EQ(to_json(none).dump(), R"({"added":[],"changed":[],"removed":[]})");
}

TEST(CliPeerFile, SaysWhatIsOtherThanItWas) {
    const auto found = peer_difference({present(one), present(two)}, wanted(""));
    EXPECT_EQ(difference_text(found),
              fmt::format("~ {}  endpoint, allowed-ips, keepalive\n- {}\n", one, two));
    EXPECT_EQ(difference_text(peer_difference({}, wanted(as_present))), fmt::format("+ {}\n", one));
}

TEST(CliPeerFile, CannotCompareSecrets) {
    const auto with_key = std::string(as_present) + "PresharedKey = " + secret + "\n";
    auto row = present(one);
    EXPECT_EQ(difference_text(peer_difference({row}, wanted(with_key))),
              fmt::format("~ {}  preshared-key\n", one));
    row.preshared_key = true;
    const auto both = peer_difference({row}, wanted(with_key));
    EXPECT_THAT(both.uncertain, testing::ElementsAre(one));
    EXPECT_EQ(difference_text(both), "nothing to do\n");
    EXPECT_EQ(difference_text(peer_difference({row}, wanted(as_present))),
              fmt::format("~ {}  preshared-key\n", one));
}

// What SetPeers is not told would be its default, and what it is not told of a secret would stay.
TEST(CliPeerFile, TellsTheServiceEverything) {
    const auto wire = to_wire({present(one)}, wanted(""));
    ASSERT_EQ(wire.size(), 1U);
    EXPECT_EQ(to_json(wire[0]).dump(),
              fmt::format(R"({{"allowed-ips":[],"endpoint":"","keepalive":0,"name":"laptop",)"
                          R"("preshared-key":"","public-key":"{}"}})",
                          one));
    const auto keyed = to_wire({}, wanted(std::string("PresharedKey = ") + secret));
    EXPECT_EQ(keyed[0].at("preshared-key").get<std::string>(), secret);
    EXPECT_EQ(keyed[0].at("name").get<std::string>(), "");
}

}  // namespace
}  // namespace porthole::cli
