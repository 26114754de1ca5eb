// SPDX-License-Identifier: GPL-2.0-or-later
// Reservations from files, with portholectl.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lab/porthole.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class ApplyTest : public testing::Test {
  protected:
    void SetUp() override { porthole.start(); }

    /// What the command prints; it must succeed.
    std::string ctl(std::vector<std::string> arguments, const std::string& input = {}) {
        const auto result = porthole.ctl(std::move(arguments), {.input = input});
        EXPECT_EQ(result.status, 0) << result.errors;
        return result.output;
    }
    json apply(const std::string& csv) { return json::parse(ctl({"--json", "apply", "-"}, csv)); }

    const std::string file =
        "host,protocol,port,external-port,filtering,comment\n"
        "192.168.2.2,udp,51820,51820,address-dependent,\"a, b\"\n"
        "192.168.2.3,tcp,22,42022,endpoint-independent,\n";

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a};
};

TEST_F(ApplyTest, ComesBackAsItWas) {
    EXPECT_EQ(apply(file)["added"].size(), 2U);
    EXPECT_EQ(ctl({"list", "--export"}), file);
    EXPECT_EQ(ctl({"apply", "-"}, ctl({"list", "--export"})), "nothing to do\n");
}

TEST_F(ApplyTest, ChangesOnlyTheDifference) {
    apply(file);
    const auto before = json::parse(ctl({"--json", "list"}));
    // The first host goes, its port goes to another one, and the other row gets a comment.
    const std::string other =
        "host,protocol,port,external-port,filtering,comment\n"
        "192.168.2.3,tcp,22,42022,endpoint-independent,x\n"
        "192.168.2.4,udp,51820,51820,address-dependent,\n";
    ctl({"apply", "-", "--dry-run"}, other);
    EXPECT_EQ(json::parse(ctl({"--json", "list"}))["generation"], before["generation"]);
    const auto done = apply(other);
    EXPECT_EQ(done["added"].size(), 1U);
    EXPECT_EQ(done["changed"].size(), 1U);
    EXPECT_EQ(done["changed"][0]["id"], before["reservations"][1]["id"]);
    EXPECT_EQ(done["removed"].size(), 1U);
    EXPECT_EQ(ctl({"list", "--export"}), other);
    EXPECT_EQ(ctl({"apply", "-", "--keep-others"}, "host,protocol,port\n"), "nothing to do\n");
    EXPECT_EQ(ctl({"list", "--export"}), other);
}

TEST_F(ApplyTest, ChangesNothingWhereOneLineIsWrongOrRefused) {
    apply(file);
    for (const auto* const line : {"192.168.2.9,udp,0,,,\n", "192.168.2.9,udp,9,61440,,\n"}) {
        const auto result = porthole.ctl({"apply", "-"}, {.input = file + line});
        EXPECT_EQ(result.status, 1) << line;
        EXPECT_THAT(result.errors, HasSubstr("port"));
    }
    EXPECT_EQ(ctl({"list", "--export"}), file);
}

TEST_F(ApplyTest, FindsOwnersAndReloads) {
    apply(file);
    const auto found = json::parse(ctl({"--json", "find", "tcp", "42022"}));
    ASSERT_EQ(found["reservations"].size(), 1U);
    EXPECT_EQ(found["reservations"][0]["host"], "192.168.2.3");
    EXPECT_EQ(ctl({"reload"}), "reloaded\n");
}

}  // namespace
}  // namespace porthole
