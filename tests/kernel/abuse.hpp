// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bus_client.hpp"
#include "lab/bus_socket.hpp"
#include "lab/porthole.hpp"
#include "users.hpp"

// What clients of a bus do who want to keep others from being served.
namespace porthole::abuse {

// Users that every Debian has. The first two may do nothing.
inline constexpr uid_t man = 6;
inline constexpr uid_t nobody = 65534;
inline constexpr uid_t games = 5;

inline lab::BusSocket connect(const lab::Bus& bus, uid_t user, gid_t group) {
    const As somebody(user, group);
    return lab::BusSocket(bus);
}

inline constexpr auto reservations = "org.porthole.Gateway1.Reservations";

inline lab::RawCall status() {
    return {.interface = "org.porthole.Gateway1.Manager", .member = "Status"};
}

/// A page of 500.
inline lab::RawCall list() {
    lab::Marshalled body;
    body.array(8, [] {}).number(0, 4).number(500, 4);
    return {
        .interface = reservations, .member = "List", .signature = "a{sv}uu", .body = body.bytes()};
}

inline lab::RawCall reserve(std::string_view host, std::uint16_t port) {
    lab::Marshalled body;
    body.text(host).text("udp").number(port, 2).array(8, [] {});
    return {.interface = reservations,
            .member = "Reserve",
            .signature = "ssqa{sv}",
            .body = body.bytes()};
}

/// `rows` UDP and TCP ports from 10000 upwards, of this host.
inline lab::RawCall reserve_many(std::string_view host, std::size_t rows) {
    lab::Marshalled body;
    body.array(8, [&] {
        for (std::size_t i = 0; i < rows; ++i) {
            body.align(8).text(host).text(i % 2 == 0 ? "udp" : "tcp");
            body.number(10'000 + i / 2 % 50'000, 2).number(0, 2).text("").text("");
        }
    });
    body.array(8, [] {});
    return {.interface = reservations,
            .member = "ReserveMany",
            .signature = "a(ssqqss)a{sv}",
            .body = body.bytes()};
}

inline lab::RawCall release(std::span<const std::uint64_t> ids) {
    lab::Marshalled body;
    body.array(8, [&] {
        for (const auto id : ids) body.number(id, 8);
    });
    body.array(8, [] {});
    return {.interface = reservations,
            .member = "Release",
            .signature = "ata{sv}",
            .body = body.bytes()};
}

inline lab::RawCall manager_call(const char* member, std::string signature,
                                 const lab::Marshalled& body) {
    return {.interface = "org.porthole.Gateway1.Manager",
            .member = member,
            .signature = std::move(signature),
            .body = body.bytes()};
}

/// A dictionary of this many keys.
inline lab::RawCall reserve_with_options(int keys) {
    lab::Marshalled body;
    body.text("192.168.2.2").text("udp").number(51820, 2).array(8, [&] {
        for (int i = 0; i < keys; ++i) {
            body.align(8).text(fmt::format("key-{}", i)).signature("b").number(1, 4);
        }
    });
    auto call = reserve("", 0);
    call.body = body.bytes();
    return call;
}

/// An option that is a variant in a variant and so on.
inline lab::RawCall reserve_with_depth(int depth) {
    lab::Marshalled body;
    body.text("192.168.2.2").text("udp").number(51820, 2).array(8, [&] {
        body.align(8).text("comment");
        for (int i = 0; i < depth; ++i) body.signature("v");
        body.signature("s").text("x");
    });
    auto call = reserve("", 0);
    call.body = body.bytes();
    return call;
}

/// Answered by the bus itself.
inline lab::RawCall ping_bus() {
    return {.destination = "org.freedesktop.DBus",
            .path = "/org/freedesktop/DBus",
            .interface = "org.freedesktop.DBus.Peer",
            .member = "Ping"};
}

/// All signals of the service are sent to who sends this.
inline lab::RawCall subscribe() {
    lab::Marshalled body;
    body.text("type='signal',sender='org.porthole.Gateway1'");
    return {.destination = "org.freedesktop.DBus",
            .path = "/org/freedesktop/DBus",
            .interface = "org.freedesktop.DBus",
            .member = "AddMatch",
            .signature = "s",
            .body = body.bytes()};
}

/// What the bus would say to the service if this client had left, said by somebody else.
inline lab::RawCall departure(std::string_view client) {
    lab::Marshalled body;
    body.text(client).text(client).text("");
    return {.path = "/org/freedesktop/DBus",
            .interface = "org.freedesktop.DBus",
            .member = "NameOwnerChanged",
            .signature = "sss",
            .body = body.bytes(),
            .answered = false,
            .signal = true};
}

/// Several calls, with serials that none had before.
inline std::string repeated(const lab::RawCall& call, int times) {
    static std::atomic<std::uint32_t> serial = 1;
    std::string calls;
    for (int i = 0; i < times; ++i) calls += lab::marshalled(call, ++serial);
    return calls;
}

inline constexpr auto manager = "org.porthole.Gateway1.Manager";

/// The id of a checkpoint that this client makes.
inline std::uint64_t checkpoint_of(BusClient& client) {
    constexpr std::uint32_t seconds = 3600;
    std::uint64_t id = 0;
    client.proxy()
        .callMethod("Checkpoint")
        .onInterface(manager)
        .withArguments(seconds, dbus::Dictionary())
        .storeResultsTo(id);
    return id;
}
/// The id of the one that there is.
inline std::uint64_t active_checkpoint_of(BusClient& client) {
    return client.proxy()
        .getProperty("ActiveCheckpoint")
        .onInterface(manager)
        .get<dbus::Dictionary>()
        .at("id")
        .get<std::uint64_t>();
}

/// What the bus knows of its clients.
class BusStatistics {
  public:
    explicit BusStatistics(const lab::Bus& bus)
        : connection_(sdbus::createSessionBusConnectionWithAddress(bus.address())),
          bus_(sdbus::createProxy(*connection_, "org.freedesktop.DBus", "/org/freedesktop/DBus")) {}

    /// Bytes that the service has sent and nobody has read.
    std::size_t unread_of_service() {
        return statistic(std::string(dbus::service_name), "IncomingBytes");
    }
    /// Bytes that this client has not read.
    std::size_t unread_of(const std::string& client) { return statistic(client, "OutgoingBytes"); }

  private:
    std::size_t statistic(const std::string& client, const std::string& key) {
        dbus::Dictionary statistics;
        bus_->callMethod("GetConnectionStats")
            .onInterface("org.freedesktop.DBus.Debug.Stats")
            .withArguments(client)
            .storeResultsTo(statistics);
        return statistics.at(key).get<std::uint32_t>();
    }

    std::unique_ptr<sdbus::IConnection> connection_;
    std::unique_ptr<sdbus::IProxy> bus_;
};

/// Does the same again and again in a thread of its own until this object goes.
class Meanwhile {
  public:
    explicit Meanwhile(const std::function<void()>& deed)
        : thread_([this, deed] {
              while (!done_) {
                  deed();
                  ++times_;
              }
          }) {}
    ~Meanwhile() {
        done_ = true;
        thread_.join();
    }
    Meanwhile(const Meanwhile&) = delete;
    Meanwhile& operator=(const Meanwhile&) = delete;
    Meanwhile(Meanwhile&&) = delete;
    Meanwhile& operator=(Meanwhile&&) = delete;

    [[nodiscard]] int times() const { return times_; }

  private:
    std::atomic<bool> done_ = false;
    std::atomic<int> times_ = 0;
    std::thread thread_;
};

/// What a process has in memory, shared pages in part, in bytes (proc(5), smaps_rollup).
inline std::size_t memory_of(pid_t process) {
    std::istringstream rollup(lab::read_file(fmt::format("/proc/{}/smaps_rollup", process)));
    std::string word;
    std::size_t kibibytes = 0;
    while (rollup >> word) {
        if (word == "Pss:" && rollup >> kibibytes) return kibibytes * 1024;
    }
    throw std::runtime_error("no Pss in smaps_rollup");
}

}  // namespace porthole::abuse
