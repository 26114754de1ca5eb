// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include <sdbus-c++/sdbus-c++.h>

#include "dbus/names.hpp"
#include "dbus/values.hpp"
#include "lab/porthole.hpp"

namespace porthole {

/// A D-Bus client of a lab's service, for what portholectl would not let through.
class BusClient {
  public:
    explicit BusClient(const lab::Porthole& porthole)
        : connection_(sdbus::createSessionBusConnectionWithAddress(porthole.bus().address())),
          proxy_(sdbus::createProxy(*connection_, dbus::service_name, dbus::object_path)) {
        proxy_->finishRegistration();
    }

    dbus::Row reserve(const std::string& host, const std::string& protocol, std::uint16_t port,
                      const dbus::Dictionary& options = {}) {
        dbus::Row row;
        proxy_->callMethod("Reserve")
            .onInterface(reservations)
            .withArguments(host, protocol, port, options)
            .storeResultsTo(row);
        return row;
    }
    std::vector<dbus::ReservedRow> reserve_many(const std::vector<dbus::RequestRow>& rows,
                                                const dbus::Dictionary& options = {}) {
        std::vector<dbus::ReservedRow> reserved;
        proxy_->callMethod("ReserveMany")
            .onInterface(reservations)
            .withArguments(rows, options)
            .storeResultsTo(reserved);
        return reserved;
    }
    dbus::Row change(std::uint64_t id, const dbus::Dictionary& changes,
                     const dbus::Dictionary& options = {}) {
        dbus::Row row;
        proxy_->callMethod("Change")
            .onInterface(reservations)
            .withArguments(id, changes, options)
            .storeResultsTo(row);
        return row;
    }
    void release(const std::vector<std::uint64_t>& ids, const dbus::Dictionary& options = {}) {
        proxy_->callMethod("Release").onInterface(reservations).withArguments(ids, options);
    }
    std::tuple<std::vector<dbus::Row>, std::uint32_t, std::uint64_t> list(
        const dbus::Dictionary& query = {}, std::uint32_t offset = 0, std::uint32_t limit = 500) {
        std::tuple<std::vector<dbus::Row>, std::uint32_t, std::uint64_t> page;
        auto& [rows, total, generation] = page;
        proxy_->callMethod("List")
            .onInterface(reservations)
            .withArguments(query, offset, limit)
            .storeResultsTo(rows, total, generation);
        return page;
    }
    std::vector<dbus::ConflictRow> conflicts() {
        std::vector<dbus::ConflictRow> rows;
        proxy_->callMethod("List")
            .onInterface("org.porthole.Gateway1.Conflicts")
            .storeResultsTo(rows);
        return rows;
    }
    void resolve(std::uint64_t conflict, const std::string& action,
                 const dbus::Dictionary& options = {}) {
        proxy_->callMethod("Resolve")
            .onInterface("org.porthole.Gateway1.Conflicts")
            .withArguments(conflict, action, options);
    }
    std::vector<dbus::HostRow> hosts() {
        std::vector<dbus::HostRow> rows;
        proxy_->callMethod("List").onInterface("org.porthole.Gateway1.Hosts").storeResultsTo(rows);
        return rows;
    }
    dbus::Dictionary status() {
        dbus::Dictionary status;
        proxy_->callMethod("Status").onInterface(manager).storeResultsTo(status);
        return status;
    }
    void reload() { proxy_->callMethod("Reload").onInterface(manager); }
    std::string introspect() {
        std::string xml;
        proxy_->callMethod("Introspect")
            .onInterface("org.freedesktop.DBus.Introspectable")
            .storeResultsTo(xml);
        return xml;
    }
    sdbus::IProxy& proxy() { return *proxy_; }
    sdbus::IConnection& connection() { return *connection_; }

    static constexpr auto reservations = "org.porthole.Gateway1.Reservations";
    static constexpr auto manager = "org.porthole.Gateway1.Manager";

  private:
    std::unique_ptr<sdbus::IConnection> connection_;
    std::unique_ptr<sdbus::IProxy> proxy_;
};

/// The name and the message of the D-Bus error that `call` ends with; empty if it succeeds.
template <typename Call>
std::pair<std::string, std::string> error_of(const Call& call) {
    try {
        call();
    } catch (const sdbus::Error& error) {
        return {error.getName(), error.getMessage()};
    }
    return {};
}

}  // namespace porthole
