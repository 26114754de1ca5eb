// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/admission.hpp"

#include <utility>

#include <fmt/format.h>

#include "dbus/limits.hpp"
#include "types/error.hpp"

namespace porthole::dbus {

void Admission::put(Client& client, Waiting call) {
    if (client.waiting.size() >= limits::waiting_of_a_client) {
        throw Refused(Refusal::limit_exceeded,
                      fmt::format("{} calls of yours wait for an authorization: at most {} may",
                                  client.waiting.size(), limits::waiting_of_a_client));
    }
    if (call.bytes > limits::bytes_of_a_large_call && !client.waiting.empty()) {
        throw Refused(Refusal::limit_exceeded,
                      fmt::format("a call of {} bytes is not taken while others of yours wait for "
                                  "an authorization: at most {} are",
                                  call.bytes, limits::bytes_of_a_large_call));
    }
    if (bytes_ + call.bytes > limits::waiting_bytes) {
        throw Refused(Refusal::busy,
                      fmt::format("calls of {} bytes wait for an authorization: at most {} may",
                                  bytes_, limits::waiting_bytes));
    }
    bytes_ += call.bytes;
    client.waiting.push_back(std::move(call));
}

void Admission::read(const std::string& client, Call call, std::size_t bytes) {
    const auto known = clients_.find(client);
    if (known == clients_.end() || known->second.waiting.empty()) {
        call(std::nullopt);
    } else {
        put(known->second, {std::nullopt, std::move(call), bytes});
    }
}

void Admission::change(const std::string& client, Question question, Call call, std::size_t bytes) {
    auto& known = clients_[client];
    const auto decided = known.decisions.find(question.action);
    if (known.waiting.empty() && decided != known.decisions.end()) {
        const auto denial = decided->second;
        return call(denial);
    }
    put(known, {question, std::move(call), bytes});
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

std::size_t Admission::bytes_waiting(const std::string& client) const {
    std::size_t bytes = 0;
    const auto known = clients_.find(client);
    if (known == clients_.end()) return bytes;
    for (const auto& waiting : known->second.waiting) bytes += waiting.bytes;
    return bytes;
}

void Admission::forget(const std::string& client) {
    bytes_ -= bytes_waiting(client);
    clients_.erase(client);
}

Admission::Call Admission::take(Client& client) {
    auto call = std::move(client.waiting.front().call);
    bytes_ -= client.waiting.front().bytes;
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
