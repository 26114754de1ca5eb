// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

#include <sys/types.h>

#include "dbus/token_bucket.hpp"

namespace porthole::dbus {

/// How many calls clients may make: those of one user share what the user may, however many they
/// are, and root may make any number. See dbus/limits.hpp.
class CallLimits {
  public:
    using Time = TokenBucket::Time;
    /// Starts to find out whose a client is; identify() is called later, or never.
    using Ask = std::function<void(const std::string& client)>;

    explicit CallLimits(Ask ask) : ask_(std::move(ask)) {}

    /// Whether it is known that the client is root's: none of this is for it.
    [[nodiscard]] bool is_root(const std::string& client) const;
    /// Takes in a call; false if there were too many. Throws Refused (`busy`) where there are too
    /// many clients.
    [[nodiscard]] bool admit(const std::string& client, Time now);
    /// Why the client's last call was not taken in, for people.
    [[nodiscard]] std::string refusal(const std::string& client, Time now);
    /// A call that was taken in costs so many calls more.
    void charge(const std::string& client, double calls, Time now);

    /// What it has used up so far, its user has.
    void identify(const std::string& client, uid_t user, Time now);
    /// The client has left. What its user has used up stays used up.
    void forget(const std::string& client);

    /// How many clients and users are remembered.
    [[nodiscard]] std::size_t size() const { return clients_.size() + users_.size(); }

  private:
    struct Client {
        TokenBucket own;  ///< until it is known whose it is
        double used = 0;  ///< by then
        std::optional<uid_t> user = std::nullopt;
    };
    struct User {
        TokenBucket bucket;
        std::size_t clients = 0;
    };

    [[nodiscard]] TokenBucket* bucket_of(Client& client);
    void forget_users(Time now);

    Ask ask_;
    std::unordered_map<std::string, Client> clients_;  ///< by unique name
    std::unordered_map<uid_t, User> users_;            ///< of clients, and of those who are in debt
};

}  // namespace porthole::dbus
