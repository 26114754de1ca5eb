// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

struct sd_bus_message;

namespace porthole::dbus {

/// Calls of clients of whom the bus has not said yet who they are: they wait until it has.
class Newcomers {
  public:
    struct Unref {
        void operator()(sd_bus_message* call) const;
    };
    using Call = std::unique_ptr<sd_bus_message, Unref>;

    /// Whether calls of this client wait.
    [[nodiscard]] bool wait(const std::string& client) const { return calls_.contains(client); }
    /// `bytes`: of memory that its arguments take. False, and the call does not wait, if there are
    /// too many of this client's, or of all.
    [[nodiscard]] bool keep(sd_bus_message* call, const std::string& client, std::size_t bytes);
    /// Those of a client, in their order. They wait no more.
    std::vector<Call> take(const std::string& client);

  private:
    struct Calls {
        std::vector<Call> calls;
        std::size_t bytes = 0;
    };
    std::unordered_map<std::string, Calls> calls_;  ///< by unique name
    std::size_t bytes_ = 0;                         ///< of all
};

}  // namespace porthole::dbus
