// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <sys/types.h>

#include "dbus/admission.hpp"
#include "dbus/clients.hpp"
#include "dbus/polkit.hpp"

namespace sdbus {
class IConnection;
}

namespace porthole::dbus {

/// The rule where polkit does not exist: user 0 and the members of the group "porthole" may do
/// everything.
/// `groups`: all groups of `user`; `porthole`: the id of that group, nothing if there is none.
Denial denial(uid_t user, const std::vector<gid_t>& groups, std::optional<gid_t> porthole);

/// An Admission that asks the bus and polkit, without waiting for them. User 0 may do everything;
/// of others polkit decides, and only where it does not exist, denial().
class Authorization {
  public:
    /// Throws sdbus::Error if the bus does not let us listen. `clients` must outlive it.
    Authorization(sdbus::IConnection& connection, Clients& clients);
    ~Authorization() = default;
    Authorization(const Authorization&) = delete;
    Authorization& operator=(const Authorization&) = delete;
    Authorization(Authorization&&) = delete;
    Authorization& operator=(Authorization&&) = delete;

    [[nodiscard]] Admission& admission() { return admission_; }

    /// To be told who has left the bus: Clients knows.
    void leave(const std::string& name);

  private:
    void ask(const std::string& client, Question question);
    void ask_polkit(const std::string& client, const Credentials& credentials, Question question);

    /// That polkit has not answered.
    struct Questions {
        int all = 0;
        int of_large_calls = 0;
    };

    Clients& clients_;
    Admission admission_;
    Polkit polkit_;
    std::unordered_map<uid_t, Questions> questions_;  ///< by user
};

}  // namespace porthole::dbus
