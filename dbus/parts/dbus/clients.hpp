// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <sdbus-c++/TypeTraits.h>
#include <sys/types.h>

#include "dbus/values.hpp"

namespace sdbus {
class Error;
class IConnection;
class IProxy;
class Message;
}  // namespace sdbus

namespace porthole::dbus {

/// Whom the bus says a client to be.
struct Credentials {
    uid_t user = 0;
    std::optional<std::vector<gid_t>> groups;  ///< nothing: the bus did not say
};

/// Reads the answer of org.freedesktop.DBus.GetConnectionCredentials; nothing if it has no user.
std::optional<Credentials> parse_credentials(const Dictionary& answer);

/// Who the clients are. The bus is asked once for each, without waiting, and who leaves is
/// forgotten.
class Clients {
  public:
    /// Is given nothing, and why, where the bus does not say.
    using Known =
        std::function<void(const std::optional<Credentials>& client, const std::string& reason)>;
    /// Is told the name of a client, or of a service, that has no owner any more.
    using Gone = std::function<void(const std::string& name)>;
    /// Throws sdbus::Error if the bus does not let us watch its clients.
    Clients(sdbus::IConnection& connection, Gone gone);
    ~Clients();
    Clients(const Clients&) = delete;
    Clients& operator=(const Clients&) = delete;
    Clients(Clients&&) = delete;
    Clients& operator=(Clients&&) = delete;

    /// `known` is called at once if that is known already, later otherwise; never if the client
    /// leaves before.
    void identify(const std::string& client, Known known);
    /// What is known of it.
    [[nodiscard]] std::optional<Credentials> find(const std::string& client) const;

  private:
    struct Client {
        std::optional<Credentials> credentials;
        std::vector<Known> waiting;
    };
    void forget(sdbus::Message& departure);
    void answer(const std::string& name, const sdbus::Error* error, const Dictionary& answer);

    std::unordered_map<std::string, Client> clients_;  ///< by unique name
    Gone gone_;
    std::unique_ptr<sdbus::IProxy> bus_;
    sdbus::Slot departures_;  ///< the match
};

}  // namespace porthole::dbus
