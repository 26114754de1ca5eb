// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace porthole::dbus {

/// Why a client may not do something; nothing if it may.
using Denial = std::optional<std::string>;

/// What a client may be allowed to do.
enum class Action : std::uint8_t {
    manage,   ///< change things
    secrets,  ///< be given keys
};

/// What there is to find out before a call is done.
struct Question {
    Action action;
    bool interactive;  ///< a person may be asked to authenticate
};

/// Whom an answer is for.
enum class Validity : std::uint8_t {
    lasting,  ///< all calls of the client that need the same, until reconsider()
    waiting,  ///< those that are waiting now
    once,     ///< the one that was asked for
};

/// Holds back the calls of a client until it is known whether it may make them, and keeps them in
/// order meanwhile.
class Admission {
  public:
    using Call = std::function<void(const Denial&)>;
    /// Starts to find out about a client; decide() is called with what comes of it, also from
    /// within.
    using Ask = std::function<void(const std::string& client, Question question)>;

    explicit Admission(Ask ask) : ask_(std::move(ask)) {}

    /// A call that everybody may make: it only waits for earlier calls of the client. `bytes`: that
    /// its arguments take. Throws Refused where too much waits already: `limit_exceeded` of
    /// this client's, `busy` of others'; see dbus/limits.hpp.
    void read(const std::string& client, Call call, std::size_t bytes = 0);
    /// A call that needs to know. Throws as read().
    void change(const std::string& client, Question question, Call call, std::size_t bytes = 0);

    /// The answer to ask(): does what has waited for it.
    void decide(const std::string& client, const Denial& denial, Validity validity);
    /// Whether calls of this client are waiting, or it is known what it may do.
    [[nodiscard]] bool knows(const std::string& client) const { return clients_.contains(client); }
    /// How many bytes the arguments of this client's calls take that wait.
    [[nodiscard]] std::size_t bytes_waiting(const std::string& client) const;
    /// The client has left: drops what has waited.
    void forget(const std::string& client);
    /// Whatever was decided may be decided otherwise now: forgets all lasting answers.
    void reconsider();

  private:
    struct Waiting {
        std::optional<Question> question;  ///< nothing: it only waits for its turn
        Call call;
        std::size_t bytes;
    };
    struct Client {
        std::map<Action, Denial> decisions;
        std::deque<Waiting> waiting;  ///< not empty: the first one's question was asked
    };

    void put(Client& client, Waiting call);
    Call take(Client& client);
    void serve(const std::string& name, Client& client);

    Ask ask_;
    std::size_t bytes_ = 0;                            ///< of all calls that wait
    std::unordered_map<std::string, Client> clients_;  ///< by unique name
};

}  // namespace porthole::dbus
