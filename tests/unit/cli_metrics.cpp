// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/metrics.hpp"

namespace porthole::cli {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

PeerRow peer(std::int64_t last_handshake) {
    return {.public_key = "KEY=",
            .name = "a \"b\"\\c",
            .endpoint = {},
            .endpoint_now = {},
            .keepalive = 5,
            .allowed_ips = {},
            .preshared_key = false,
            .state = "stale",
            .last_handshake = last_handshake,
            .received = 18446744073709551615U,
            .sent = 7,
            .extras = {}};
}

Overview overview(std::int64_t last_handshake) {
    return {.status = Json::parse(R"({"version":"1.2","enabled":false,"warnings":[],
                                      "counters":{"claims-refused":3,"of-tomorrow":4}})"),
            .conflicts = {},
            .tunnels = {{.name = "wg0",
                         .public_key = "OWN=",
                         .listen_port = 51820,
                         .addresses = {},
                         .origin = "api",
                         .up = true,
                         .peers = {peer(last_handshake)}}}};
}

TEST(CliMetrics, CountWhatThereIs) {
    const auto text = metrics(overview(1'800'000'000), {});
    EXPECT_THAT(
        text, AllOf(HasSubstr("# HELP porthole_up Whether the service answers.\n"
                              "# TYPE porthole_up gauge\n"
                              "porthole_up 1\n"),
                    HasSubstr("\nporthole_build_info{version=\"1.2\"} 1\n"),
                    HasSubstr("\nporthole_enabled 0\n"),
                    HasSubstr("\n# TYPE porthole_claims_refused counter\n"
                              "porthole_claims_refused_total 3\n"),
                    HasSubstr("\nporthole_of_tomorrow_total 4\n"),
                    HasSubstr("\nporthole_tunnel_up{tunnel=\"wg0\"} 1\n"), EndsWith("\n# EOF\n")));
}

TEST(CliMetrics, NamePeersAsPeopleDo) {
    const std::string labels = "{tunnel=\"wg0\",public_key=\"KEY=\",name=\"a \\\"b\\\"\\\\c\"";
    EXPECT_THAT(metrics(overview(1'800'000'000), {}),
                AllOf(HasSubstr("porthole_peer_state" + labels + ",state=\"stale\"} 1\n"),
                      HasSubstr("porthole_peer_state" + labels + ",state=\"connected\"} 0\n"),
                      HasSubstr("# UNIT porthole_peer_received_bytes bytes\n"
                                "porthole_peer_received_bytes_total" +
                                labels + "} 18446744073709551615\n"),
                      HasSubstr("porthole_peer_sent_bytes_total" + labels + "} 7\n"),
                      HasSubstr("porthole_peer_last_handshake_timestamp_seconds" + labels +
                                "} 1800000000\n")));
    EXPECT_THAT(metrics(overview(0), {}),
                Not(HasSubstr("porthole_peer_last_handshake_timestamp_seconds{")));
}

// Of a file for its node exporter, Prometheus reads no other types.
TEST(CliMetrics, HaveTypesThatTheOlderFormatHas) {
    auto text = metrics(overview(1), {});
    for (const auto* type : {" gauge\n", " counter\n"}) {
        for (auto at = text.find(type); at != std::string::npos; at = text.find(type)) {
            const auto begin = text.rfind('\n', at) + 1;
            text.erase(begin, text.find('\n', at) - begin);
        }
    }
    EXPECT_THAT(text, Not(HasSubstr("# TYPE")));
}

TEST(CliMetrics, SayThatTheServiceIsAway) {
    EXPECT_EQ(metrics_without_service(),
              "# HELP porthole_up Whether the service answers.\n"
              "# TYPE porthole_up gauge\n"
              "porthole_up 0\n"
              "# EOF\n");
}

}  // namespace
}  // namespace porthole::cli
