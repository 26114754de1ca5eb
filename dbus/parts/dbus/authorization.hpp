// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <sys/types.h>

#include "dbus/values.hpp"

namespace sdbus {
class IConnection;
class IProxy;
}  // namespace sdbus

namespace porthole::dbus {

/// Why a client may not change anything; nothing if it may.
using Denial = std::optional<std::string>;

/// Whom the bus says a client to be.
struct Credentials {
    uid_t user = 0;
    std::optional<std::vector<gid_t>> groups;  ///< nothing: the bus did not say
};

/// Reads the answer of org.freedesktop.DBus.GetConnectionCredentials; nothing if it has no user.
std::optional<Credentials> parse_credentials(const Dictionary& answer);

/// The rule: user 0 and the members of the group "porthole" may change things.
/// `groups`: all groups of `user`; `porthole`: the id of that group, nothing if there is none.
Denial denial(uid_t user, const std::vector<gid_t>& groups, std::optional<gid_t> porthole);

/// Holds back the calls of a client until it is known whether it may change things, and keeps them
/// in order meanwhile.
class Admission {
  public:
    using Call = std::function<void(const Denial&)>;
    /// Starts to find out about a client; decide() is called later, never from within.
    using Ask = std::function<void(const std::string& client)>;

    explicit Admission(Ask ask) : ask_(std::move(ask)) {}

    /// A call that everybody may make: it only waits for earlier calls of the client.
    void read(const std::string& client, Call call);
    /// A call that needs to know.
    void change(const std::string& client, Call call);

    /// The answer to ask(): does what has waited for it and remembers it.
    void decide(const std::string& client, const Denial& decision);
    /// ask() has failed: denies what has waited; the next changing call asks again.
    void fail(const std::string& client, const std::string& reason);
    /// The client has left: drops what has waited.
    void forget(const std::string& client) { clients_.erase(client); }

  private:
    struct Client {
        std::optional<Denial> decision;  ///< nothing: asked, not answered
        std::deque<Call> waiting;
    };

    Ask ask_;
    std::unordered_map<std::string, Client> clients_;  ///< by unique name
};

/// An Admission that asks the bus, without waiting for it, and forgets the clients that leave.
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
    void ask(const std::string& client);

    Admission admission_;
    std::unique_ptr<sdbus::IProxy> bus_;
};

}  // namespace porthole::dbus
