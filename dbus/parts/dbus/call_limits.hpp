// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

#include <sys/types.h>

#include "dbus/token_bucket.hpp"

namespace porthole::dbus {

/// How many calls clients may make, and how much they may be answered: those of one user share what
/// the user may, however many they are, and nothing of this is for root. See dbus/limits.hpp.
class CallLimits {
  public:
    using Time = TokenBucket::Time;
    /// Starts to find out whose a client is; identify() is called later, or never.
    using Ask = std::function<void(const std::string& client)>;

    explicit CallLimits(Ask ask);

    /// Whether it is known that the client is root's: none of this is for it.
    [[nodiscard]] bool is_root(const std::string& client) const;
    /// Takes in a call; false if there were too many. Throws Refused (`busy`) where there are too
    /// many clients.
    [[nodiscard]] bool admit(const std::string& client, Time now);
    /// What is over its limit, for people; when the client's next call is taken in; and what it
    /// shares that with, for a program.
    struct Excess {
        std::string message;
        Time until;
        std::string whose;
    };
    [[nodiscard]] Excess excess(const std::string& client, Time now);
    /// A call that was taken in took the time of so many calls more, and its answer so many bytes,
    /// of which who is known has some for nothing.
    void charge(const std::string& client, double calls, double bytes, Time now);

    /// What it has used up so far, its user has; and where that user had nothing left, all clients
    /// that are not known yet.
    void identify(const std::string& client, uid_t user, Time now);
    /// The client has left. What its user has used up stays used up.
    void forget(const std::string& client);

    /// How many clients and users are remembered.
    [[nodiscard]] std::size_t size() const { return clients_.size() + users_.size(); }

  private:
    struct Client {
        TokenBucket calls;      ///< until it is known whose it is
        double used_calls = 0;  ///< with the time that they took
        double used_bytes = 0;  ///< by then
        std::optional<uid_t> user = std::nullopt;
    };
    struct User {
        TokenBucket calls;
        TokenBucket bytes;
        std::size_t clients = 0;
    };
    struct Allowance {
        TokenBucket& calls;
        TokenBucket& time;  ///< in calls that it would have been enough for
        TokenBucket& bytes;

        [[nodiscard]] TokenBucket::Seconds wait(Time now) const {
            return std::max({calls.wait(now), time.wait(now), bytes.wait(now)});
        }
    };

    /// Nothing: anything.
    [[nodiscard]] std::optional<Allowance> allowance_of(Client& client);
    [[nodiscard]] User& owner_of(uid_t user, Time now);
    void forget_users(Time now);

    Ask ask_;
    TokenBucket calls_of_strangers_;  ///< of all together: there could be very many
    TokenBucket bytes_of_strangers_;
    std::unordered_map<std::string, Client> clients_;  ///< by unique name
    std::unordered_map<uid_t, User> users_;            ///< of clients, and of those who are in debt
};

}  // namespace porthole::dbus
