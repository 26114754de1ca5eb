// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
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

    /// False if it is expected already that the bus says who this client is: until take().
    [[nodiscard]] bool expect(const std::string& client) {
        return calls_.try_emplace(client).second;
    }
    /// A call of a client that is expected. False, and it does not wait, if there are too many of
    /// this client's, or of all, or if it is large and another large one waits.
    [[nodiscard]] bool keep(sd_bus_message* call, const std::string& client);
    /// Those of a client, in their order. They wait no more.
    std::vector<Call> take(const std::string& client);

  private:
    struct Calls {
        std::vector<Call> calls;
        std::size_t bytes = 0;
    };
    std::unordered_map<std::string, Calls> calls_;  ///< by unique name
    std::size_t bytes_ = 0;                         ///< of all but the large one
    std::optional<std::string> large_;              ///< the client of the large one
};

}  // namespace porthole::dbus
