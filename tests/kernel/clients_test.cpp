// SPDX-License-Identifier: GPL-2.0-or-later
// Clients that know nothing of Porthole but its contract.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lab/porthole.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

class ClientsTest : public testing::TestWithParam<const char*> {
  protected:
    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a};
};

TEST_P(ClientsTest, ReserveListAndRelease) {
    porthole.start();
    const auto finished =
        lab::command(sites.gateway_a, {GetParam(), std::string(lab::address::a1), "51820"},
                     {.environment = {porthole.bus().environment()}});
    EXPECT_EQ(finished.status, 0) << finished.errors;
    EXPECT_EQ(finished.output, "reserved 1\nlisted 1\nreleased 1\n");
    const auto list = nlohmann::json::parse(porthole.ctl({"--json", "list"}).output);
    EXPECT_EQ(list["total"], 0);
    EXPECT_EQ(list["generation"], 2);
}

INSTANTIATE_TEST_SUITE_P(MadeBy, ClientsTest,
                         testing::Values(PORTHOLE_GDBUS_CLIENT,
                                         PORTHOLE_SOURCE_DIR "/tests/clients/busctl.sh"),
                         [](const auto& client) {
                             const auto name = std::filesystem::path(client.param).filename();
                             return name == "busctl.sh" ? "Busctl" : "GdbusCodegen";
                         });

}  // namespace
}  // namespace porthole
