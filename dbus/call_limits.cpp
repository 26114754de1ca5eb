// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/call_limits.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "dbus/limits.hpp"
#include "types/error.hpp"

namespace porthole::dbus {
namespace {

constexpr uid_t root = 0;

constexpr double kibibyte = 1024;

}  // namespace

CallLimits::CallLimits(Ask ask)
    : ask_(std::move(ask)),
      calls_of_strangers_(limits::calls_per_second, limits::calls_at_once, {}),
      bytes_of_strangers_(limits::bytes_per_second, limits::bytes_at_once, {}) {}

bool CallLimits::is_root(const std::string& client) const {
    const auto known = clients_.find(client);
    return known != clients_.end() && known->second.user == root;
}

bool CallLimits::admit(const std::string& client, Time now) {
    auto known = clients_.find(client);
    if (known == clients_.end()) {
        if (clients_.size() >= limits::clients) {
            throw Refused(Refusal::busy, fmt::format("{} other clients are there: no more are "
                                                     "served until one of them leaves the bus",
                                                     clients_.size()));
        }
        const TokenBucket calls(limits::calls_per_second, limits::calls_of_a_stranger, now);
        known = clients_.emplace(client, Client{calls}).first;
        ask_(client);
    }
    const auto allowance = allowance_of(known->second);
    if (!allowance) return true;
    if (allowance->wait(now) > TokenBucket::Seconds::zero()) return false;
    allowance->calls.take(1, now);
    if (known->second.user) return true;
    allowance->time.take(1, now);
    ++known->second.used_calls;
    return true;
}

CallLimits::Excess CallLimits::excess(const std::string& client, Time now) {
    const auto known = clients_.find(client);
    const auto allowance = known != clients_.end() ? allowance_of(known->second) : std::nullopt;
    if (!allowance) return {{}, now, client};
    const auto& user = known->second.user;
    const auto until = now + std::chrono::ceil<Time::duration>(allowance->wait(now));
    const auto whose = user ? fmt::format("user {}", *user) : client;
    constexpr auto strangers = "all clients that are not known yet";
    const auto wait = allowance->wait(now);
    if (allowance->bytes.wait(now) == wait) {
        return {fmt::format("{} may be answered {} KiB a second, and {} KiB at once",
                            user ? whose : strangers, limits::bytes_per_second / kibibyte,
                            limits::bytes_at_once / kibibyte),
                until, whose};
    }
    const bool alone = allowance->calls.wait(now) == wait;
    return {
        fmt::format("{} may make {} calls a second, and {} at once, of which one that takes long "
                    "counts as several",
                    user    ? whose
                    : alone ? "a client"
                            : strangers,
                    limits::calls_per_second,
                    !user && alone ? limits::calls_of_a_stranger : limits::calls_at_once),
        until, whose};
}

void CallLimits::charge(const std::string& client, double calls, double bytes, Time now) {
    const auto known = clients_.find(client);
    if (known == clients_.end()) return;  // it has left meanwhile
    if (known->second.user) bytes = std::max(0.0, bytes - limits::bytes_of_a_call);
    if (const auto allowance = allowance_of(known->second)) {
        allowance->time.take(calls, now);
        allowance->bytes.take(bytes, now);
    }
    if (known->second.user) return;
    known->second.used_calls += calls;
    known->second.used_bytes += bytes;
}

void CallLimits::identify(const std::string& client, uid_t user, Time now) {
    const auto known = clients_.find(client);
    if (known == clients_.end() || known->second.user) return;
    known->second.user = user;
    const auto calls = known->second.used_calls;
    const auto bytes = known->second.used_bytes;
    bool can_pay = true;
    if (user != root) {
        auto& owner = owner_of(user, now);
        ++owner.clients;
        can_pay = std::max(owner.calls.wait(now), owner.bytes.wait(now)).count() == 0;
        owner.calls.take(calls, now);
        owner.bytes.take(bytes, now);
    }
    // Who is known takes nothing from those who are not, unless new clients are all that its user
    // can still call with.
    if (!can_pay) return;
    calls_of_strangers_.take(-calls, now);
    bytes_of_strangers_.take(-bytes, now);
}

CallLimits::User& CallLimits::owner_of(uid_t user, Time now) {
    if (!users_.contains(user)) forget_users(now);
    const User full{{limits::calls_per_second, limits::calls_at_once, now},
                    {limits::bytes_per_second, limits::bytes_at_once, now}};
    return users_.try_emplace(user, full).first->second;
}

void CallLimits::forget(const std::string& client) {
    const auto known = clients_.extract(client);
    if (known.empty() || !known.mapped().user) return;
    const auto user = users_.find(*known.mapped().user);
    if (user != users_.end()) --user->second.clients;
}

std::optional<CallLimits::Allowance> CallLimits::allowance_of(Client& client) {
    if (!client.user) return Allowance{client.calls, calls_of_strangers_, bytes_of_strangers_};
    const auto user = users_.find(*client.user);
    if (user == users_.end()) return std::nullopt;
    return Allowance{user->second.calls, user->second.calls, user->second.bytes};
}

// Who comes back then is as good as new.
void CallLimits::forget_users(Time now) {
    std::erase_if(users_, [now](const auto& each) {
        const auto& [calls, bytes, clients] = each.second;
        return clients == 0 && calls.is_full(now) && bytes.is_full(now);
    });
}

}  // namespace porthole::dbus
