// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>

#include <sys/types.h>

#include "dbus/token_bucket.hpp"

namespace porthole::dbus {

/// How many calls users may make, and how much they may be answered, however many clients they
/// have. See dbus/limits.hpp.
class CallLimits {
  public:
    using Time = TokenBucket::Time;

    /// Takes in a call; false if there were too many.
    [[nodiscard]] bool admit(uid_t user, Time now);
    /// What is over its limit, for people, and when the user's next call is taken in.
    struct Excess {
        std::string message;
        Time until;
    };
    [[nodiscard]] Excess excess(uid_t user, Time now);
    /// A call that was taken in took the time of so many calls more, and its answer so many bytes.
    void charge(uid_t user, double calls, double bytes, Time now);

    /// How many users are remembered.
    [[nodiscard]] std::size_t size() const { return users_.size(); }

  private:
    struct User {
        TokenBucket calls;
        TokenBucket bytes;
    };
    User& at(uid_t user, Time now);

    std::unordered_map<uid_t, User> users_;  ///< who has used something lately
};

}  // namespace porthole::dbus
