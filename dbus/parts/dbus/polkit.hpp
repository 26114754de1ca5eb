// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include <sdbus-c++/TypeTraits.h>

#include "dbus/admission.hpp"

namespace sdbus {
class IConnection;
class IProxy;
}  // namespace sdbus

namespace porthole::dbus {

inline constexpr auto polkit_name = "org.freedesktop.PolicyKit1";

/// What polkit says about a client.
struct PolkitAnswer {
    enum class Kind : std::uint8_t {
        decided,  ///< by its rules alone
        asked,  ///< maybe by a person, who was asked for this call alone, or who can still be asked
        failed,   ///< it has not answered
        missing,  ///< it does not exist here
    };
    Kind kind;
    Denial denial;
};

/// Reads an answer of CheckAuthorization, (bba{ss}). `details`: its third part.
PolkitAnswer parse_polkit_answer(Question question, bool authorized, bool challenge,
                                 const std::map<std::string, std::string>& details);
/// Reads an error that it was answered with.
PolkitAnswer parse_polkit_error(const std::string& name, const std::string& message);

/// polkit's authority on the system bus, asked without waiting for it.
/// Source: https://www.freedesktop.org/software/polkit/docs/latest/
class Polkit {
  public:
    using Answered = std::function<void(const PolkitAnswer&)>;

    /// `changed`: called whenever polkit may decide otherwise than before, also as it comes or
    /// goes. Throws sdbus::Error if the bus does not let us listen.
    Polkit(sdbus::IConnection& connection, std::function<void()> changed);
    ~Polkit();
    Polkit(const Polkit&) = delete;
    Polkit& operator=(const Polkit&) = delete;
    Polkit(Polkit&&) = delete;
    Polkit& operator=(Polkit&&) = delete;

    /// Asks about a client, by its unique name; there is at most one question for each. `answered`
    /// is called once, also after cancel().
    void ask(const std::string& client, Question question, Answered answered);
    /// Nobody waits for the answer any more: polkit need not go on asking.
    void cancel(const std::string& client);

  private:
    std::unique_ptr<sdbus::IProxy> authority_;
    sdbus::Slot owner_changes_;                             ///< the match
    std::unordered_map<std::string, std::string> pending_;  ///< cancellation ids, by client
    std::uint64_t asked_ = 0;
};

}  // namespace porthole::dbus
