// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lab/links.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"
#include "lab/wireguard.hpp"

namespace porthole {

/// Two sites whose gateways drop what comes unsolicited, under a kernel with WireGuard. Nobody has
/// started the service yet.
class TunnelSites : public testing::Test {
  protected:
    void SetUp() override {
        if (!lab::kernel_has_wireguard()) {
            GTEST_SKIP() << "this kernel has no WireGuard: see tests/vm";
        }
        lab::masquerade(sites.gateway_a, lab::InputPolicy::drop);
        lab::masquerade(sites.gateway_b, lab::InputPolicy::drop);
    }

    /// What portholectl says; it must succeed.
    static nlohmann::json done(const lab::Porthole& gateway, std::vector<std::string> arguments,
                               const std::string& input = {}) {
        arguments.insert(arguments.begin(), "--json");
        const auto finished = gateway.ctl(arguments, {.input = input});
        EXPECT_EQ(finished.status, 0) << finished.errors;
        return finished.status == 0 ? nlohmann::json::parse(finished.output) : nlohmann::json();
    }
    /// The name of the error, without the part that all have, and its message.
    static std::string refused(const lab::Porthole& gateway, std::vector<std::string> arguments,
                               const std::string& input = {}) {
        arguments.insert(arguments.begin(), "--json");
        const auto finished = gateway.ctl(arguments, {.input = input});
        if (finished.status != 1) return "status " + std::to_string(finished.status);
        const auto answer = nlohmann::json::parse(finished.output);
        const auto name = answer["error"].get<std::string>();
        return name.substr(name.rfind('.') + 1) + ": " + answer["message"].get<std::string>();
    }
    static nlohmann::json tunnel(const lab::Porthole& gateway) {
        return done(gateway, {"tunnel", "show", "wg0"})["tunnels"][0];
    }
    static std::string key_of(const lab::Porthole& gateway) {
        return tunnel(gateway)["public-key"].get<std::string>();
    }
    /// A packet from host a1 reaches host b1, and the answer comes back: with their own addresses.
    [[nodiscard]] bool sites_are_connected(lab::Duration limit = lab::Duration(200)) const {
        const auto shown = lab::exchange(a1, b1, lab::at(lab::address::b1, 4000), limit);
        return shown == lab::at(lab::address::a1, 4000);
    }
    [[nodiscard]] bool sites_connect() const {
        return lab::comes_true([this] { return sites_are_connected(); });
    }

    lab::TwoSites sites;
    lab::Porthole a{sites.gateway_a};
    lab::Porthole b{sites.gateway_b};
    lab::UdpSocket a1{sites.a1, 4000};
    lab::UdpSocket b1{sites.b1, 4000};
};

}  // namespace porthole
