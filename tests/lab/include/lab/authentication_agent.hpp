// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "lab/bus.hpp"

namespace porthole::lab {

/// Stands for the person whom polkit has authenticate on behalf of one process: who knows every
/// password.
class AuthenticationAgent {
  public:
    /// From now on polkit asks here on behalf of `process`, which `user` runs. Throws sdbus::Error
    /// if polkit does not want that.
    AuthenticationAgent(const Bus& bus, pid_t process, uid_t user);
    ~AuthenticationAgent();
    AuthenticationAgent(const AuthenticationAgent&) = delete;
    AuthenticationAgent& operator=(const AuthenticationAgent&) = delete;
    AuthenticationAgent(AuthenticationAgent&&) = delete;
    AuthenticationAgent& operator=(AuthenticationAgent&&) = delete;

    /// The actions that somebody had to authenticate for so far.
    [[nodiscard]] std::vector<std::string> asked() const;

  private:
    class Agent;
    std::unique_ptr<Agent> agent_;
};

}  // namespace porthole::lab
