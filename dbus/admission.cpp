// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/admission.hpp"

#include <utility>

#include <fmt/format.h>

#include "types/error.hpp"

namespace porthole::dbus {
namespace {

void check_room(std::size_t waiting) {
    if (waiting < Admission::max_waiting) return;
    throw Refused(
        Refusal::limit_exceeded,
        fmt::format("{} calls of yours wait for an authorization: no more are taken", waiting));
}

}  // namespace

void Admission::read(const std::string& client, Call call) {
    const auto known = clients_.find(client);
    if (known == clients_.end() || known->second.waiting.empty()) {
        call(std::nullopt);
    } else {
        check_room(known->second.waiting.size());
        known->second.waiting.push_back({std::nullopt, std::move(call)});
    }
}

void Admission::change(const std::string& client, Question question, Call call) {
    auto& known = clients_[client];
    check_room(known.waiting.size());
    known.waiting.push_back({question, std::move(call)});
    if (known.waiting.size() == 1) serve(client, known);
}

void Admission::decide(const std::string& client, const Denial& denial, Validity validity) {
    const auto known = clients_.find(client);
    if (known == clients_.end() || known->second.waiting.empty()) return;
    auto& [decisions, waiting] = known->second;
    const auto action = waiting.front().question->action;
    take(known->second)(denial);
    if (validity == Validity::lasting) decisions[action] = denial;
    if (validity == Validity::waiting) {
        for (auto left = waiting.size(); left > 0; --left) {
            const auto question = waiting.front().question;
            if (question && question->action != action) break;
            take(known->second)(question ? denial : std::nullopt);
        }
    }
    serve(client, known->second);
}

void Admission::reconsider() {
    for (auto& [name, client] : clients_) client.decisions.clear();
}

Admission::Call Admission::take(Client& client) {
    auto call = std::move(client.waiting.front().call);
    client.waiting.pop_front();
    return call;
}

void Admission::serve(const std::string& name, Client& client) {
    while (!client.waiting.empty()) {
        const auto question = client.waiting.front().question;
        if (!question) {
            take(client)(std::nullopt);
            continue;
        }
        const auto decided = client.decisions.find(question->action);
        if (decided == client.decisions.end()) return ask_(name, *question);
        const auto denial = decided->second;
        take(client)(denial);
    }
}

}  // namespace porthole::dbus
