// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <sys/types.h>

#include "dbus/admission.hpp"
#include "dbus/polkit.hpp"
#include "dbus/values.hpp"

namespace sdbus {
class IConnection;
class IProxy;
}  // namespace sdbus

namespace porthole::dbus {

/// Whom the bus says a client to be.
struct Credentials {
    uid_t user = 0;
    std::optional<std::vector<gid_t>> groups;  ///< nothing: the bus did not say
};

/// Reads the answer of org.freedesktop.DBus.GetConnectionCredentials; nothing if it has no user.
std::optional<Credentials> parse_credentials(const Dictionary& answer);

/// The rule where polkit does not exist: user 0 and the members of the group "porthole" may do
/// everything.
/// `groups`: all groups of `user`; `porthole`: the id of that group, nothing if there is none.
Denial denial(uid_t user, const std::vector<gid_t>& groups, std::optional<gid_t> porthole);

/// An Admission that asks the bus and polkit, without waiting for them, and forgets the clients
/// that leave. User 0 may do everything; of others polkit decides, and only where it does not
/// exist, denial().
class Authorization {
  public:
    /// Throws sdbus::Error if the bus does not let us watch its clients.
    explicit Authorization(sdbus::IConnection& connection);
    ~Authorization();
    Authorization(const Authorization&) = delete;
    Authorization& operator=(const Authorization&) = delete;
    Authorization(Authorization&&) = delete;
    Authorization& operator=(Authorization&&) = delete;

    [[nodiscard]] Admission& admission() { return admission_; }

  private:
    void ask(const std::string& client, Question question);
    void ask_polkit(const std::string& client, const Credentials& credentials, Question question);
    void leave(const std::string& client);

    Admission admission_;
    Polkit polkit_;
    std::unique_ptr<sdbus::IProxy> bus_;
    std::unordered_map<uid_t, int> questions_;  ///< that polkit has not answered, by user
};

}  // namespace porthole::dbus
