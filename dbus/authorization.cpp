// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/authorization.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

#include "dbus/limits.hpp"

namespace porthole::dbus {
namespace {

constexpr auto group_name = "porthole";

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

}  // namespace

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

Authorization::Authorization(sdbus::IConnection& connection, Clients& clients)
    : clients_(clients),
      admission_([this](const std::string& client, Question question) { ask(client, question); }),
      polkit_(connection, [this] { admission_.reconsider(); }) {}

void Authorization::ask(const std::string& client, Question question) {
    clients_.identify(client, [this, client, question](const auto& credentials,
                                                       const std::string& reason) {
        if (!credentials) {
            admission_.decide(client, fmt::format("the bus does not say who you are: {}", reason),
                              Validity::waiting);
        } else if (credentials->user == 0) {
            admission_.decide(client, std::nullopt, Validity::lasting);
        } else {
            ask_polkit(client, *credentials, question);
        }
    });
}

void Authorization::ask_polkit(const std::string& client, const Credentials& credentials,
                               Question question) {
    if (!admission_.knows(client)) return;  // it has left meanwhile
    const auto user = credentials.user;
    const bool large = admission_.bytes_waiting(client) > limits::bytes_of_a_large_call;
    auto& questions = questions_[user];
    if (questions.all >= limits::questions_of_a_user || (large && questions.of_large_calls > 0)) {
        return admission_.decide(
            client,
            fmt::format("{} other authorizations of user {} wait for an answer, {} of them for a "
                        "call with more than {} bytes; at most {} may, and one such",
                        questions.all, user, questions.of_large_calls,
                        limits::bytes_of_a_large_call, limits::questions_of_a_user),
            Validity::waiting);
    }
    ++questions.all;
    questions.of_large_calls += large ? 1 : 0;
    polkit_.ask(client, question, [this, client, large, credentials](const PolkitAnswer& answer) {
        const auto asked = questions_.find(credentials.user);
        asked->second.of_large_calls -= large ? 1 : 0;
        if (--asked->second.all == 0) questions_.erase(asked);
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

void Authorization::leave(const std::string& name) {
    admission_.forget(name);
    polkit_.cancel(name);
}

}  // namespace porthole::dbus
