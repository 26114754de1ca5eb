// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <csignal>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "core/desired_firewall.hpp"
#include "core/gateway.hpp"
#include "core_support.hpp"

// A gateway on a real store, and on a packet filter that fails on demand.
namespace porthole::support {

template <typename T>
void replace_values(std::vector<T>& values, const SetDifference<T>& difference) {
    for (const auto& value : difference.removed) {
        EXPECT_EQ(std::erase(values, value), 1U) << "removes what is not there";
    }
    for (const auto& value : difference.added) {
        EXPECT_EQ(std::ranges::count(values, value), 0) << "adds what is there";
        values.push_back(value);
    }
    std::ranges::sort(values);
}

/// A packet filter that holds what it was given, and fails where a test wants it to.
class FailingFirewall : public FirewallBackend {
  public:
    enum class Outcome { success, failure, drift, no_room };

    void replace(const Firewall& firewall) override {
        take_outcome();
        held = firewall;
        ++replaced;
    }
    bool apply(const FirewallDifference& difference) override {
        if (difference.empty()) return true;
        if (take_outcome() == Outcome::no_room) return false;
        replace_values(held.scope.wans, difference.wans);
        replace_values(held.scope.masquerade_wans, difference.masquerade_wans);
        replace_values(held.scope.nat_sources, difference.nat_sources);
        replace_values(held.scope.exempt, difference.exempt);
        replace_values(held.scope.wan_addresses, difference.wan_addresses);
        replace_values(held.scope.own_ports, difference.own_ports);
        replace_values(held.mappings, difference.mappings);
        applied.push_back(difference);
        return true;
    }

    void remember(std::span<const Contact> contacts) override {
        if (cannot_remember) throw KernelFailure("add element", 28, "");
        remembered.insert(remembered.end(), contacts.begin(), contacts.end());
    }
    void renew(std::span<const Contact> contacts) override {
        remember(contacts);
        ++renewed;
    }
    bool has_timeouts() const override { return timeouts; }
    Obstruction obstruction() override { return obstructed; }
    FirewallCounters counters() override { return {}; }

    void forget_calls() {
        replaced = 0;
        applied.clear();
    }

    Firewall held;
    int replaced = 0;
    std::vector<FirewallDifference> applied;
    std::vector<Contact> remembered;
    int renewed = 0;
    Obstruction obstructed;
    bool timeouts = true;
    bool cannot_remember = false;
    std::deque<Outcome> outcomes;  ///< of the next calls; success after that

  private:
    Outcome take_outcome() {
        if (outcomes.empty()) return Outcome::success;
        const auto outcome = outcomes.front();
        outcomes.pop_front();
        if (outcome == Outcome::failure) throw KernelFailure("add element", 12, "");
        if (outcome == Outcome::drift) throw FirewallDrift("delete element", 2, "");
        return outcome;
    }
};

using Outcome = FailingFirewall::Outcome;

/// A settler that reports when a test wants it to.
class ManualSettler : public Settler {
  public:
    void settle(SettleOrder order) override { orders.push_back(std::move(order)); }
    [[nodiscard]] int descriptor() const override { return -1; }
    std::optional<SettleReport> take_report() override {
        return std::exchange(report, std::nullopt);
    }

    std::vector<SettleOrder> orders;
    std::optional<SettleReport> report;
};

/// While it lives, no file can be written: as on a full disk, but for this process alone.
class FullDisk {
  public:
    FullDisk() {
        handler_ = std::signal(SIGXFSZ, SIG_IGN);
        ::getrlimit(RLIMIT_FSIZE, &limit_);
        const rlimit none{0, limit_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &none);
    }
    ~FullDisk() {
        ::setrlimit(RLIMIT_FSIZE, &limit_);
        (void)std::signal(SIGXFSZ, handler_);
    }
    FullDisk(const FullDisk&) = delete;
    FullDisk& operator=(const FullDisk&) = delete;
    FullDisk(FullDisk&&) = delete;
    FullDisk& operator=(FullDisk&&) = delete;

  private:
    rlimit limit_{};
    sighandler_t handler_ = SIG_DFL;
};

inline InterfaceSnapshot home(std::string_view wan_address = "203.0.113.2") {
    return {{{2, parse<InterfaceName>("", "wan"), LinkLayer::ethernet, "", true},
             {3, parse<InterfaceName>("", "br-lan"), LinkLayer::ethernet, "bridge", true}},
            {{2, parse<Address>("", wan_address), 24}, {3, parse<Address>("", "192.168.2.1"), 24}},
            {{2, Family::ipv4, 0}}};
}

inline const auto anna = endpoint("192.168.2.2", 51820);
inline const auto ben = endpoint("192.168.2.3", 51820);
inline const auto carl = endpoint("192.168.2.4", 51820);

inline Mapping mapping(const Endpoint& internal, std::uint64_t external_port) {
    return {internal.protocol, std::get<Address>(internal.host), internal.port,
            port(external_port)};
}

inline Configuration configured(std::initializer_list<std::pair<Endpoint, std::uint64_t>> rows) {
    Configuration configuration;
    for (const auto& [internal, external_port] : rows) {
        configuration.reservations.push_back(
            {internal, port(external_port), std::nullopt, Comment()});
    }
    return configuration;
}

/// A gateway at home whose clock, packet filter and settler do what the test wants.
class GatewayFixture : public ::testing::Test {
  protected:
    void SetUp() override { start({}); }
    // Whatever happened: kernel, memory and store agree.
    void TearDown() override {
        expect_the_kernel_has_what_it_should();
        const auto rows = gateway_->reservations();
        const auto generation = gateway_->generation();
        gateway_.reset();
        const auto stored = Store::open(directory_.path());
        EXPECT_EQ(as_compared(stored.state.reservations), as_compared(rows));
        EXPECT_EQ(stored.state.generation, generation);
    }
    // The part of the rows that is on the disk at any time.
    [[nodiscard]] virtual std::vector<Reservation> as_compared(
        const Reservations& reservations) const {
        std::vector<Reservation> rows;
        for (const auto& [id, row] : reservations.rows()) rows.push_back(row);
        return rows;
    }

    // Also a restart: what is stored stays.
    void start(const Configuration& configuration) {
        make(configuration);
        gateway_->start(home());
        gateway_->journal().drain();
        firewall_.forget_calls();
        settler_.orders.clear();
    }
    // All of start() but Gateway::start().
    void make(const Configuration& configuration) {
        gateway_.reset();
        gateway_ = std::make_unique<Gateway>(configuration, Store::open(directory_.path()),
                                             firewall_, settler_, [this] { return now_; });
    }
    void expect_the_kernel_has_what_it_should() const {
        EXPECT_EQ(firewall_.held,
                  desired_firewall(gateway_->perimeter().scope, gateway_->reservations()));
    }
    // What the settler says of everything that was ordered until now.
    void report(const std::string& failure = {}) {
        settler_.report = SettleReport{gateway_->settling().ordered(), 0, failure};
        gateway_->settled();
    }
    Reservation reserve(const ReserveRequest& request) {
        return gateway_->reserve(request, std::nullopt);
    }
    void release(ReservationId id) { gateway_->release(std::array{id}, std::nullopt); }

    // That `action` throws `Failure` with `message` and leaves everything as it was.
    template <typename Failure, typename Action>
    void expect_unchanged(const Action& action, const std::string& message) {
        const auto rows = gateway_->reservations();
        const auto generation = gateway_->generation();
        const auto perimeter = gateway_->perimeter();
        const auto held = firewall_.held;
        EXPECT_THAT(action, ::testing::ThrowsMessage<Failure>(::testing::HasSubstr(message)));
        EXPECT_EQ(gateway_->reservations(), rows);
        EXPECT_EQ(gateway_->generation(), generation);
        EXPECT_EQ(gateway_->perimeter(), perimeter);
        EXPECT_EQ(firewall_.held, held);
        EXPECT_TRUE(gateway_->journal().empty());
    }

    TemporaryDirectory directory_;
    FailingFirewall firewall_;
    ManualSettler settler_;
    Time now_ = now;
    std::unique_ptr<Gateway> gateway_;
};

/// The same, for tests in which rows are settled and hosts are seen: of the states, only who waits
/// is stored, and when somebody was seen is not stored at once.
class LivelyGatewayFixture : public GatewayFixture {
  protected:
    [[nodiscard]] std::vector<Reservation> as_compared(
        const Reservations& reservations) const override {
        auto rows = GatewayFixture::as_compared(reservations);
        for (auto& row : rows) {
            if (row.state == ReservationState::active) row.state = ReservationState::settling;
            row.last_seen = never;
        }
        return rows;
    }
};

}  // namespace porthole::support
