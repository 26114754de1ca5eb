// SPDX-License-Identifier: GPL-2.0-or-later
// What portholectl says of the service as a whole, to people and to Prometheus.
#include <algorithm>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lab/deadline.hpp"
#include "lab/porthole.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Prints every sample as the reference parser of OpenMetrics understands it.
constexpr auto judge = R"(
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
        print(f"{family.type} {sample.name}{{{labels}}} {sample.value:g}")
)";

class ReportsTest : public testing::Test {
  protected:
    void SetUp() override { porthole.start(); }

    void reserve() const {
        ASSERT_EQ(porthole.ctl({"reserve", "192.168.2.2", "udp", "51820"}).status, 0);
    }
    [[nodiscard]] std::string judged(const std::string& metrics) const {
        return lab::output_of(sites.gateway_a, {"/usr/bin/python3", "-c", judge},
                              {.input = metrics});
    }
    // The service looks every few seconds, and when it starts.
    void forward_nothing() {
        sites.gateway_a.set_sysctl("net/ipv4/ip_forward", "0");
        porthole.restart();
        ASSERT_TRUE(lab::comes_true([this] {
            return porthole.ctl({"status"}).output.find("ip_forward is off") != std::string::npos;
        }));
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a};
};

TEST_F(ReportsTest, SayThatAllIsWell) {
    reserve();
    const auto status = porthole.ctl({"status"});
    EXPECT_EQ(status.status, 0);
    EXPECT_THAT(status.output, AllOf(StartsWith("Porthole "), HasSubstr(": all is well\n"),
                                     HasSubstr("1 reservation, 0 of them claimed; 0 conflicts; "
                                               "WAN wan; LAN lan; 0 tunnels")));
    const auto report = porthole.ctl({"diagnose"});
    EXPECT_EQ(report.status, 0);
    EXPECT_THAT(report.output, HasSubstr("== problems ==\nall is well\n"));
}

TEST_F(ReportsTest, SayWhatToDoIfItIsNot) {
    forward_nothing();
    const auto status = porthole.ctl({"status"});
    EXPECT_EQ(status.status, 0);
    EXPECT_THAT(status.output,
                AllOf(HasSubstr(": 1 problem\n"), HasSubstr("net.ipv4.ip_forward is off"),
                      HasSubstr("what to do: sysctl -w net.ipv4.ip_forward=1")));
    EXPECT_LE(std::ranges::count(status.output, '\n'), 10);

    const auto report = porthole.ctl({"--json", "diagnose"});
    EXPECT_EQ(report.status, 1);
    const auto content = json::parse(report.output);
    ASSERT_EQ(content["problems"].size(), 1U);
    EXPECT_THAT(content["problems"][0]["remedy"], HasSubstr("sysctl -w"));
    EXPECT_EQ(content["status"], json::parse(porthole.ctl({"--json", "status"}).output));
    EXPECT_THAT(content["kernel"], StartsWith("Linux "));
}

TEST_F(ReportsTest, ShowAllThatTheServiceWorksWithIfAsked) {
    EXPECT_THAT(porthole.ctl({"status", "--all"}).output,
                AllOf(HasSubstr("masquerade off"), HasSubstr("INTERFACE  SIDE"),
                      HasSubstr("unsolicited 0")));
}

TEST_F(ReportsTest, AreThereWithoutTheService) {
    porthole.stop();
    EXPECT_EQ(porthole.ctl({"status"}).status, 3);
    const auto report = porthole.ctl({"diagnose"});
    EXPECT_EQ(report.status, 3);
    EXPECT_THAT(report.output, AllOf(HasSubstr("the Porthole service is not running"),
                                     HasSubstr("journalctl"), Not(HasSubstr("== status"))));
    const auto metrics = porthole.ctl({"metrics"});
    EXPECT_EQ(metrics.status, 0);
    EXPECT_EQ(judged(metrics.output), "gauge porthole_up{} 0\n");
}

TEST_F(ReportsTest, AreMetricsThatOthersUnderstand) {
    forward_nothing();
    reserve();
    const auto metrics = porthole.ctl({"metrics"});
    EXPECT_EQ(metrics.status, 0) << metrics.errors;
    EXPECT_THAT(judged(metrics.output),
                AllOf(HasSubstr("gauge porthole_up{} 1\n"),
                      HasSubstr("gauge porthole_reservations{origin=api,state=active} 1\n"),
                      HasSubstr("gauge porthole_reservations{origin=auto,state=active} 0\n"),
                      HasSubstr("gauge porthole_conflicts{cause=overload} 0\n"),
                      HasSubstr("gauge porthole_problems{} 1\n"),
                      HasSubstr("counter porthole_unsolicited_total{} 0\n"),
                      HasSubstr("counter porthole_settled_flows_total{} "),
                      HasSubstr("gauge porthole_build_info{version=")));
}

}  // namespace
}  // namespace porthole
