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
    if (client.user == 0) return std::nullopt;  // whatever the name service is up to
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

void Admission::read(const std::string& client, Call call) {
    const auto known = clients_.find(client);
    if (known == clients_.end() || known->second.decision) {
        call(std::nullopt);
    } else {
        known->second.waiting.push_back(std::move(call));
    }
}

void Admission::change(const std::string& client, Call call) {
    auto known = clients_.find(client);
    if (known == clients_.end()) {
        ask_(client);
        known = clients_.try_emplace(client).first;
    }
    if (known->second.decision) {
        call(*known->second.decision);
    } else {
        known->second.waiting.push_back(std::move(call));
    }
}

void Admission::decide(const std::string& client, const Denial& decision) {
    const auto known = clients_.find(client);
    if (known == clients_.end()) return;
    known->second.decision = decision;
    for (const auto& call : std::exchange(known->second.waiting, {})) call(decision);
}

void Admission::fail(const std::string& client, const std::string& reason) {
    const auto known = clients_.find(client);
    if (known == clients_.end()) return;
    const auto waiting = std::move(known->second.waiting);
    clients_.erase(known);
    for (const auto& call : waiting) call(reason);
}

Authorization::Authorization(sdbus::IConnection& connection)
    : admission_([this](const std::string& client) { ask(client); }),
      bus_(sdbus::createProxy(connection, bus_name, bus_path)) {
    bus_->uponSignal("NameOwnerChanged")
        .onInterface(bus_name)
        .call([this](const std::string& name, const std::string& /*before*/,
                     const std::string& owner) {
            if (owner.empty()) admission_.forget(name);
        });
    bus_->finishRegistration();
}

Authorization::~Authorization() = default;

void Authorization::ask(const std::string& client) {
    const auto answered = [this, client](const sdbus::Error* error, const Dictionary& answer) {
        guarded([&] {
            const auto credentials = error == nullptr ? parse_credentials(answer) : std::nullopt;
            if (credentials) return admission_.decide(client, denial_of(*credentials));
            const auto reason = error != nullptr ? error->getMessage() : "no user is in its answer";
            admission_.fail(client, fmt::format("the bus does not say who you are: {}", reason));
        });
    };
    bus_->callMethodAsync("GetConnectionCredentials")
        .onInterface(bus_name)
        .withArguments(client)
        .uponReplyInvoke(answered);
}

}  // namespace porthole::dbus
