// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

namespace sdbus {
class IConnection;
class IProxy;
}  // namespace sdbus

namespace porthole::dbus {

/// Whether a client reads what it is sent, where that matters.
enum class Hearing : std::uint8_t {
    hears,    ///< or there is room for what it does not read
    deaf,     ///< there is no room
    unknown,  ///< it was deaf, and that was long ago
};

/// What of our answers and signals clients have not read. The bus keeps it for them, and takes
/// nothing from us any more once that is 127 MiB (`max_incoming_bytes` in dbus-daemon(1)): one that
/// never reads would silence us. The bus is asked, without waiting; where it does not say, as it
/// was built without its statistics, nothing is known, and nobody is deaf.
class Unread {
  public:
    using Time = std::chrono::steady_clock::time_point;

    explicit Unread(sdbus::IConnection& connection);
    ~Unread();
    Unread(const Unread&) = delete;
    Unread& operator=(const Unread&) = delete;
    Unread(Unread&&) = delete;
    Unread& operator=(Unread&&) = delete;

    /// Finds out, if that was not done a moment ago: to be called when something is sent.
    void look(Time now);
    /// Whether it is more than dbus/limits.hpp allows.
    [[nodiscard]] bool is_too_much() const;
    /// Whether it is too much, and this client is among those who do not read. What is not known is
    /// found out by this.
    [[nodiscard]] Hearing hearing(const std::string& client, Time now);
    void forget(const std::string& client) { clients_.erase(client); }

  private:
    struct Amount {
        std::uint32_t bytes = 0;
        Time asked{};
    };
    using Answered = std::function<void(std::uint32_t bytes)>;
    void ask(const std::string& client, const char* key, Answered answered);

    std::unique_ptr<sdbus::IProxy> bus_;
    std::string own_name_;
    bool knows_ = true;
    Amount all_;
    std::unordered_map<std::string, Amount> clients_;  ///< by unique name
};

}  // namespace porthole::dbus
