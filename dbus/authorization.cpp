// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/authorization.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sdbus-c++/IProxy.h>

#include "dbus/errors.hpp"
#include "dbus/names.hpp"

namespace porthole::dbus {
namespace {

constexpr auto group_name = "porthole";

// Questions about one user's clients that polkit may have at once: each can keep a person busy.
constexpr auto max_questions = 8;

std::optional<gid_t> porthole_group() {
    const auto* group = getgrnam(group_name);
    return group != nullptr ? std::optional(group->gr_gid) : std::nullopt;
}

// For a bus too old to say the groups of its clients.
std::vector<gid_t> groups_of(uid_t user) {
    const auto* entry = getpwuid(user);
    if (entry == nullptr) return {};
    int count = 64;
    std::vector<gid_t> groups(static_cast<std::size_t>(count));
    while (getgrouplist(entry->pw_name, entry->pw_gid, groups.data(), &count) < 0) {
        groups.resize(static_cast<std::size_t>(count));
    }
    groups.resize(static_cast<std::size_t>(count));
    return groups;
}

Denial denial_of(const Credentials& client) {
    return denial(client.user, client.groups ? *client.groups : groups_of(client.user),
                  porthole_group());
}

template <typename T>
std::optional<T> value(const Dictionary& dictionary, const char* key) {
    const auto found = dictionary.find(key);
    if (found == dictionary.end() || !found->second.containsValueOfType<T>()) return std::nullopt;
    return found->second.get<T>();
}

}  // namespace

std::optional<Credentials> parse_credentials(const Dictionary& answer) {
    const auto user = value<std::uint32_t>(answer, "UnixUserID");
    if (!user) return std::nullopt;
    return Credentials{*user, value<std::vector<std::uint32_t>>(answer, "UnixGroupIDs")};
}

Denial denial(uid_t user, const std::vector<gid_t>& groups, std::optional<gid_t> porthole) {
    if (user == 0) return std::nullopt;
    if (!porthole) {
        return fmt::format(
            "user {} may not change anything: that is for root and the group \"{}\", "
            "which does not exist here",
            user, group_name);
    }
    if (std::ranges::find(groups, *porthole) != groups.end()) return std::nullopt;
    return fmt::format(
        "user {} may not change anything: that is for root and the members of the group \"{}\"",
        user, group_name);
}

Authorization::Authorization(sdbus::IConnection& connection)
    : admission_([this](const std::string& client, Question question) { ask(client, question); }),
      polkit_(connection, [this] { admission_.reconsider(); }),
      bus_(sdbus::createProxy(connection, bus_name, bus_path)) {
    bus_->uponSignal("NameOwnerChanged")
        .onInterface(bus_name)
        .call([this](const std::string& name, const std::string& /*before*/,
                     const std::string& owner) {
            if (owner.empty()) leave(name);
            if (name == polkit_name) admission_.reconsider();
        });
    bus_->finishRegistration();
}

Authorization::~Authorization() = default;

void Authorization::ask(const std::string& client, Question question) {
    const auto answered = [this, client, question](const sdbus::Error* error,
                                                   const Dictionary& answer) {
        guarded([&] {
            const auto credentials = error == nullptr ? parse_credentials(answer) : std::nullopt;
            if (!credentials) {
                const auto reason =
                    error != nullptr ? error->getMessage() : "no user is in its answer";
                admission_.decide(client,
                                  fmt::format("the bus does not say who you are: {}", reason),
                                  Validity::waiting);
            } else if (credentials->user == 0) {
                admission_.decide(client, std::nullopt, Validity::lasting);
            } else {
                ask_polkit(client, *credentials, question);
            }
        });
    };
    bus_->callMethodAsync("GetConnectionCredentials")
        .onInterface(bus_name)
        .withArguments(client)
        .uponReplyInvoke(answered);
}

void Authorization::ask_polkit(const std::string& client, const Credentials& credentials,
                               Question question) {
    if (!admission_.knows(client)) return;  // it has left meanwhile
    const auto user = credentials.user;
    auto& questions = questions_[user];
    if (questions >= max_questions) {
        return admission_.decide(
            client,
            fmt::format("{} other authorizations of user {} wait for an answer", questions, user),
            Validity::waiting);
    }
    ++questions;
    polkit_.ask(client, question, [this, client, credentials](const PolkitAnswer& answer) {
        const auto asked = questions_.find(credentials.user);
        if (--asked->second == 0) questions_.erase(asked);
        switch (answer.kind) {
            case PolkitAnswer::Kind::decided:
                return admission_.decide(client, answer.denial, Validity::lasting);
            case PolkitAnswer::Kind::asked:
                return admission_.decide(client, answer.denial, Validity::once);
            case PolkitAnswer::Kind::failed:
                return admission_.decide(client, answer.denial, Validity::waiting);
            case PolkitAnswer::Kind::missing:
                return admission_.decide(client, denial_of(credentials), Validity::lasting);
        }
    });
}

void Authorization::leave(const std::string& client) {
    admission_.forget(client);
    polkit_.cancel(client);
}

}  // namespace porthole::dbus
