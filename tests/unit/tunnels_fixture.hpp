// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>
#include <map>
#include <set>

#include "core/tunnels.hpp"
#include "gateway_fixture.hpp"

namespace porthole::support {

inline InterfaceName interface(std::string_view name) {
    return parse<InterfaceName>("interface", name);
}
inline const auto wg0 = interface("wg0");

/// Interfaces as the kernel would have them. A call fails where a test wants it to.
class ModelBackend : public TunnelBackend {
  public:
    struct Interface {
        WireGuardDevice device;
        std::vector<InterfaceAddress> addresses;
        std::vector<Network> routes;
        bool up = false;
        bool operator==(const Interface&) const = default;
    };

    std::optional<WireGuardState> read(const InterfaceName& name) override {
        const auto found = interfaces.find(name);
        if (found == interfaces.end()) return std::nullopt;
        WireGuardState state{found->second.device, {}};
        for (const auto& peer : state.device.peers) {
            state.activity.push_back({.public_key = peer.public_key});
            if (activity && activity->public_key == peer.public_key) {
                state.activity.back() = *activity;
            }
        }
        return state;
    }
    void create(const InterfaceName& name) override {
        take();
        if (!interfaces.emplace(name, Interface{}).second) throw KernelFailure("make", EEXIST, "");
        unfinished_.insert(name);
    }
    void finish(const InterfaceName& name) override {
        take();
        unfinished_.erase(name);
    }
    std::vector<InterfaceName> unfinished() override {
        return {unfinished_.begin(), unfinished_.end()};
    }
    void remove(const InterfaceName& name) override {
        take();
        if (interfaces.erase(name) == 0) throw KernelFailure("remove", ENODEV, "");
        unfinished_.erase(name);
    }
    void configure(const InterfaceName& name, const WireGuardDevice& from,
                   const WireGuardDevice& to) override {
        take();
        EXPECT_EQ(at(name).device, from);
        at(name).device = to;
    }
    void change_peer(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                     const std::optional<WireGuardPeer>& to, bool say_endpoint) override {
        take();
        if (say_endpoint && to) said = to->endpoint;
        replace(name, from, to, say_endpoint);
    }
    void take_peer_back(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                        const std::optional<WireGuardPeer>& to) override {
        take();
        replace(name, to, from, false);
    }
    /// A peer keeps the endpoint that it has got unless it gets another one.
    void replace(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                 std::optional<WireGuardPeer> to, bool say_endpoint) {
        auto& peers = at(name).device.peers;
        if (from) {
            const auto there =
                std::ranges::find(peers, from->public_key, &WireGuardPeer::public_key);
            ASSERT_NE(there, peers.end());
            if (to && !say_endpoint && to->endpoint == from->endpoint)
                to->endpoint = there->endpoint;
            there->endpoint = from->endpoint;
            EXPECT_EQ(*there, *from);
            peers.erase(there);
        }
        if (to) peers.push_back(*to);
        std::ranges::sort(peers, {}, &WireGuardPeer::public_key);
    }
    void connect(const InterfaceName& name, const TunnelLink& link,
                 const std::vector<WireGuardPeer>& /*peers*/) override {
        take();
        auto& interface = at(name);
        interface.addresses = link.addresses;
        interface.routes = link.routes;
        interface.up = true;
    }
    void fit_mtu(const InterfaceName& /*name*/, const TunnelLink& /*link*/,
                 const WireGuardPeer& /*peer*/) override {
        take();
    }
    void change_routes(const InterfaceName& name, const TunnelLink& /*link*/,
                       const std::vector<Network>& gone,
                       const std::vector<Network>& come) override {
        take();
        auto& routes = at(name).routes;
        for (const auto& route : gone) EXPECT_EQ(std::erase(routes, route), 1U);
        routes.insert(routes.end(), come.begin(), come.end());
        std::ranges::sort(routes);
    }
    void set_rules(const std::vector<RoutingRule>& wanted) override {
        take();
        rules = wanted;
    }

    Interface& at(const InterfaceName& name) {
        const auto found = interfaces.find(name);
        if (found == interfaces.end()) throw KernelFailure("find", ENODEV, "");
        return found->second;
    }

    std::map<InterfaceName, Interface> interfaces;
    std::vector<RoutingRule> rules;
    std::optional<PeerActivity> activity;
    std::optional<PeerEndpoint> said;  ///< the last endpoint that was to be said anyhow
    int calls_before_failure = -1;     ///< that fail once; negative: none does

  private:
    std::set<InterfaceName> unfinished_;
    void take() {
        if (calls_before_failure-- == 0) throw KernelFailure("a call", EIO, "as the test wants");
    }
};

/// Tunnels on such a gateway, whose clocks go as the test wants.
class TunnelsFixture : public GatewayFixture {
  protected:
    void SetUp() override {
        GatewayFixture::SetUp();
        open({});
    }
    void TearDown() override {
        tunnels_.reset();
        GatewayFixture::TearDown();
    }

    void open(std::vector<Tunnel> stored, const std::string& unreadable = {}) {
        tunnels_.emplace(
            *gateway_, backend_, std::move(stored), [this] { return now_; },
            [this] { return monotonic_; });
        tunnels_->cannot_read(unreadable);
        tunnels_->start();
    }
    /// Both clocks go on.
    void pass(std::chrono::nanoseconds time) {
        monotonic_ += time;
        part_of_a_second_ += time;
        const auto whole = std::chrono::floor<std::chrono::seconds>(part_of_a_second_);
        now_ += whole;
        part_of_a_second_ -= whole;
    }
    /// The service starts again, from what is on the disk.
    void restart(const Configuration& configuration = {}) {
        tunnels_.reset();
        gateway_.reset();
        auto opened = Store::open(directory_.path());
        auto stored = std::move(opened.state.tunnels);
        stored_checkpoint_ = opened.state.checkpoint;
        const auto unreadable = std::move(opened.state.tunnels_unreadable);
        gateway_ = std::make_unique<Gateway>(configuration, std::move(opened), firewall_, settler_,
                                             [this] { return now_; });
        gateway_->start(home());
        open(std::move(stored), unreadable);
    }
    void expect_the_interfaces_are_the_tunnels() {
        ASSERT_EQ(backend_.interfaces.size(), tunnels_->all().size());
        std::vector<ProtocolPort> ports;
        DefaultRoutes default_routes;
        for (const auto& [name, tunnel] : tunnels_->all()) {
            default_routes.add(tunnel);
            const auto link = link_of(tunnel.settings);
            const ModelBackend::Interface wanted{device_of(tunnel.settings), link.addresses,
                                                 link.routes, true};
            EXPECT_EQ(backend_.at(name), wanted);
            ports.push_back({Protocol::udp, *tunnel.settings.listen_port});
        }
        EXPECT_EQ(backend_.rules, default_routes.rules());
        std::ranges::sort(ports);
        EXPECT_EQ(gateway_->status().own_ports, ports);
    }
    template <typename Action>
    static Refusal refusal_of(const Action& action) {
        try {
            action();
        } catch (const Refused& refused) {
            return refused.reason();
        }
        ADD_FAILURE() << "it was not refused";
        return Refusal::busy;
    }

    ModelBackend backend_;
    std::chrono::steady_clock::time_point monotonic_{std::chrono::hours(1)};
    std::chrono::nanoseconds part_of_a_second_{0};
    std::optional<Tunnels> tunnels_;
    std::optional<Checkpoint> stored_checkpoint_;  ///< found by restart()
};

inline PublicKey new_key() { return PrivateKey::generate().public_key(); }

inline std::vector<Network> networks(std::initializer_list<std::string_view> texts) {
    std::vector<Network> result;
    for (const auto text : texts) result.push_back(parse<Network>("network", text));
    std::ranges::sort(result);
    return result;
}

}  // namespace porthole::support
