// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/service.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sdbus-c++/sdbus-c++.h>
#include <systemd/sd-bus.h>

#include "dbus/limits.hpp"
#include "dbus/message.hpp"
#include "dbus/names.hpp"
#include "gateway_object.hpp"

namespace porthole::dbus {
namespace {

// What changes within this time is announced with one signal.
constexpr auto announcement_interval = std::chrono::milliseconds(50);
// Every answer waits for what a busy bus has not taken yet: a little at a time, then.
constexpr auto interval_of_parts = std::chrono::milliseconds(10);
constexpr std::size_t rows_of_a_part = 16;
// Everybody lists anew then.
constexpr auto reset_interval = std::chrono::seconds(1);

constexpr auto host_announcement_interval = std::chrono::seconds(1);

// Who makes several calls one after the other makes the next one within this time.
constexpr auto time_of_an_answer = std::chrono::microseconds(100);

// So many messages are served, or for so long, before other sources of events have their turn.
constexpr int messages_per_turn = 64;
constexpr auto time_of_a_turn = std::chrono::milliseconds(20);

std::unique_ptr<sdbus::IConnection> connect() {
    try {
        return sdbus::createSystemBusConnection();
    } catch (const sdbus::Error& error) {
        const auto* address = std::getenv("DBUS_SYSTEM_BUS_ADDRESS");
        throw BusFailure(
            fmt::format("cannot connect to the system bus{}{}: {}; is its daemon running?",
                        address != nullptr ? " at " : "", address != nullptr ? address : "",
                        error.getMessage()));
    }
}

// The process that has the name of the service, or "another process"; nothing if nobody has it.
std::optional<std::string> owner_of_name(sdbus::IConnection& connection) {
    const auto bus = sdbus::createProxy(connection, bus_name, bus_path);
    bool owned = false;
    bus->callMethod("NameHasOwner")
        .onInterface(bus_name)
        .withArguments(service_name)
        .storeResultsTo(owned);
    if (!owned) return std::nullopt;
    try {
        std::uint32_t process = 0;
        bus->callMethod("GetConnectionUnixProcessID")
            .onInterface(bus_name)
            .withArguments(service_name)
            .storeResultsTo(process);
        return fmt::format("process {}", process);
    } catch (const sdbus::Error&) {
        return "another process";
    }
}

}  // namespace

Bus::Bus() : connection_(connect()) {
    try {
        if (const auto owner = owner_of_name(*connection_)) {
            throw BusFailure(fmt::format("{} is owned by {}: the service is running already",
                                         service_name, *owner));
        }
    } catch (const sdbus::Error& error) {
        throw BusFailure(fmt::format("the system bus does not say who owns {}: {}", service_name,
                                     error.getMessage()));
    }
}

Bus::~Bus() = default;

Service::Service(Bus& bus, const UseCases& use_cases, ReadConfiguration read_configuration,
                 TunnelFiles tunnel_files)
    : bus_(bus),
      gateway_(use_cases.gateway),
      object_(std::make_unique<GatewayObject>(
          bus.connection(), use_cases, std::move(read_configuration), std::move(tunnel_files))) {}

Service::~Service() = default;

void Service::reload() { object_->reload(); }

void Service::request_name() {
    try {
        bus_.connection().requestName(service_name);
    } catch (const sdbus::Error& error) {
        throw BusFailure(
            fmt::format("the system bus does not let us own {}: {}; is its policy "
                        "installed, and no other daemon running?",
                        service_name, error.getMessage()));
    }
}

Interest Service::prepare() {
    try {
        // sdbus-c++ 1.2 may have read messages that poll() will not report again, and what it waits
        // for changes with every one that it handles and every one that it sends.
        bool more = true;
        int handled = 0;
        const auto end_of_turn = Clock::now() + time_of_a_turn;
        bus_is_busy_ = object_->reception().untaken_bytes() > 0;
        while (more && handled < messages_per_turn && Clock::now() < end_of_turn) {
            if (const auto time = object_->reception().held_up()) return held_up(*time);
            more = bus_.connection().processPendingRequest();
            object_->reception().handled();
            if (more) ++handled;
        }
        object_->answer_settled();
        announce_changes();
        object_->announce_wans();
        object_->announce_enabled();
        object_->announce_checkpoints();
        announce_hosts();
        const auto next_peer_announcement = object_->announce_peers();
        const auto next_refusal = object_->reception().refuse_late();
        for (const auto& conflict : gateway_.conflicts().take_news()) {
            const auto row = to_row(conflict);
            conflict.state == ConflictState::open ? object_->emitDetected(row)
                                                  : object_->emitResolved(row);
        }

        const auto wanted = bus_.connection().getEventLoopPollData();
        Interest interest{wanted.fd, wanted.events, std::nullopt};
        if (handled > 0) interest.linger = time_of_an_answer;
        const auto at_most = [&](Clock::duration time) {
            const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(time);
            const auto timeout = std::max(milliseconds, std::chrono::milliseconds(0));
            interest.timeout = std::min(interest.timeout.value_or(timeout), timeout);
        };
        if (more) at_most(Clock::duration::zero());
        if (const auto timeout = wanted.getRelativeTimeout()) at_most(*timeout);
        if (hosts_version_ != gateway_.hosts_version()) {
            at_most(next_host_announcement_ - Clock::now());
        }
        if (next_peer_announcement) at_most(*next_peer_announcement - Clock::now());
        if (next_refusal) at_most(*next_refusal - Clock::now());
        if (!gateway_.journal().empty()) at_most(next_announcement_ - Clock::now());
        return interest;
    } catch (const sdbus::Error& error) {
        throw BusFailure(fmt::format("the system bus has gone: {}", error.getMessage()));
    }
}

// What is served now would have to be kept until the bus takes it, and so would every signal.
Interest Service::held_up(Clock::duration time) {
    const auto left = limits::time_to_take_a_message - time;
    if (left <= Clock::duration::zero()) {
        // Else its end would wait until the bus has taken everything.
        sd_bus_close(bus_of(bus_.connection()));
        throw BusFailure(
            fmt::format("the system bus has taken no message for {} s, as a client of "
                        "it reads none",
                        limits::time_to_take_a_message.count()));
    }
    return {bus_.connection().getEventLoopPollData().fd, POLLOUT,
            std::chrono::ceil<std::chrono::milliseconds>(left)};
}

void Service::announce_hosts() {
    if (Clock::now() < next_host_announcement_ || hosts_version_ == gateway_.hosts_version())
        return;
    next_host_announcement_ = Clock::now() + host_announcement_interval;
    hosts_version_ = gateway_.hosts_version();
    object_->emitChanged();
}

void Service::announce_changes() {
    if (gateway_.journal().empty()) return;
    if (Clock::now() < next_announcement_) return;
    auto& unread = object_->reception().unread();
    unread.look(Clock::now());
    const bool too_much = unread.is_too_much();
    const bool in_parts = bus_is_busy_ && !too_much;
    next_announcement_ = Clock::now() + (too_much   ? reset_interval
                                         : in_parts ? interval_of_parts
                                                    : announcement_interval);
    const auto changes = gateway_.journal().drain(in_parts ? rows_of_a_part : Journal::max_rows);
    // Who has heard a part has not heard of all that makes this generation.
    if (gateway_.journal().empty()) announced_ = gateway_.generation();
    if (changes.reset || too_much) return object_->emitReset(gateway_.generation());
    std::vector<const Reservation*> changed;
    for (const auto id : changes.changed) {
        if (const auto* row = gateway_.reservations().find(id)) changed.push_back(row);
    }
    std::vector<std::uint64_t> removed;
    for (const auto id : changes.removed) removed.push_back(number(id));
    object_->announce(announced_, changed, removed);
}

}  // namespace porthole::dbus
