// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/bus.hpp"

#include <array>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>
#include <sdbus-c++/sdbus-c++.h>

namespace porthole::lab {
namespace {

// What a system bus allows by default, and then what is added to it.
constexpr std::string_view configuration = R"(<!DOCTYPE busconfig PUBLIC
 "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Debug.Stats"/>
  </policy>
  <policy user="root">
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Debug.Stats"/>
  </policy>
  {}
</busconfig>
)";

constexpr std::string_view installed_policy =
    "<include>" PORTHOLE_SOURCE_DIR
    "/systemd/org.porthole.Gateway1.conf</include>"
    "<include ignore_missing=\"yes\">"
    "/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf</include>";
constexpr std::string_view open_policy =
    R"(<policy context="default"><allow own="*"/><allow send_type="method_call"/></policy>)";

constexpr Duration start_limit{10'000};
constexpr auto* bus_name = "org.freedesktop.DBus";

}  // namespace

Bus::Bus(const Namespace& where, BusPolicy policy) {
    const auto file = directory_ / "bus.conf";
    write_file(file, fmt::format(configuration, (directory_ / "socket").string(),
                                 policy == BusPolicy::installed ? installed_policy : open_policy));
    // It says much where many calls are refused, and would wait for somebody to read that.
    daemon_.emplace(
        where, std::vector<std::string>{"dbus-daemon", "--config-file=" + file.string(), "--nofork",
                                        "--nopidfile", "--syslog-only", "--print-address=1"});
    // It warns of users in the policy that this machine does not have.
    if (!daemon_->wait_for_output(",guid=", start_limit)) {
        throw std::runtime_error("dbus-daemon does not start: " + daemon_->errors());
    }
    address_ = daemon_->output().substr(0, daemon_->output().find('\n'));
}

std::string Bus::environment() const { return "DBUS_SYSTEM_BUS_ADDRESS=" + address_; }

bool Bus::wait_for_owner(const std::string& name, const Process& candidate, Duration limit) const {
    const Deadline deadline(limit);
    const auto connection = sdbus::createSessionBusConnectionWithAddress(address_);
    const auto bus = sdbus::createProxy(*connection, bus_name, "/org/freedesktop/DBus");
    bool owned = false;
    bus->uponSignal("NameOwnerChanged")
        .onInterface(bus_name)
        .call([&](const std::string& changed, const std::string&, const std::string& owner) {
            if (changed == name) owned = !owner.empty();
        });
    bus->finishRegistration();
    bus->callMethod("NameHasOwner").onInterface(bus_name).withArguments(name).storeResultsTo(owned);

    while (true) {
        while (connection->processPendingRequest()) {
        }
        if (owned) return true;
        const auto bus_events = connection->getEventLoopPollData();
        std::array<pollfd, 2> events{
            {{bus_events.fd, bus_events.events, 0}, {candidate.descriptor(), POLLIN, 0}}};
        if (!deadline.poll(events) || events[1].revents != 0) return false;
    }
}

}  // namespace porthole::lab
