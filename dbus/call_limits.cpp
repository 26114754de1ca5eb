// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/call_limits.hpp"

#include <fmt/format.h>

#include "dbus/limits.hpp"
#include "types/error.hpp"

namespace porthole::dbus {
namespace {

constexpr uid_t root = 0;

}  // namespace

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
        const TokenBucket own(limits::calls_per_second, limits::calls_of_a_stranger, now);
        known = clients_.emplace(client, Client{own}).first;
        ask_(client);
    }
    auto* bucket = bucket_of(known->second);
    if (bucket == nullptr) return true;
    if (bucket->wait(now) > TokenBucket::Seconds::zero()) return false;
    charge(client, 1, now);
    return true;
}

std::string CallLimits::refusal(const std::string& client, Time now) {
    const auto known = clients_.find(client);
    if (known == clients_.end()) return {};
    const auto& user = known->second.user;
    const auto* bucket = bucket_of(known->second);
    const auto wait = bucket != nullptr ? bucket->wait(now) : TokenBucket::Seconds::zero();
    return fmt::format(
        "{} may make {} calls a second, and {} at once, of which one that takes long counts as "
        "several; the next one is taken in {} ms",
        user ? fmt::format("user {}", *user) : "a client", limits::calls_per_second,
        user ? limits::calls_at_once : limits::calls_of_a_stranger,
        std::chrono::ceil<std::chrono::milliseconds>(wait).count());
}

void CallLimits::charge(const std::string& client, double calls, Time now) {
    const auto known = clients_.find(client);
    if (known == clients_.end()) return;  // it has left meanwhile
    if (auto* bucket = bucket_of(known->second)) bucket->take(calls, now);
    if (!known->second.user) known->second.used += calls;
}

void CallLimits::identify(const std::string& client, uid_t user, Time now) {
    const auto known = clients_.find(client);
    if (known == clients_.end() || known->second.user) return;
    known->second.user = user;
    if (user == root) return;
    if (!users_.contains(user)) forget_users(now);
    const TokenBucket full(limits::calls_per_second, limits::calls_at_once, now);
    auto& owner = users_.try_emplace(user, User{full}).first->second;
    ++owner.clients;
    owner.bucket.take(known->second.used, now);
}

void CallLimits::forget(const std::string& client) {
    const auto known = clients_.extract(client);
    if (known.empty() || !known.mapped().user) return;
    const auto user = users_.find(*known.mapped().user);
    if (user != users_.end()) --user->second.clients;
}

TokenBucket* CallLimits::bucket_of(Client& client) {
    if (!client.user) return &client.own;
    const auto user = users_.find(*client.user);
    return user != users_.end() ? &user->second.bucket : nullptr;
}

// Who comes back then is as good as new.
void CallLimits::forget_users(Time now) {
    std::erase_if(users_, [now](const auto& each) {
        return each.second.clients == 0 && each.second.bucket.is_full(now);
    });
}

}  // namespace porthole::dbus
