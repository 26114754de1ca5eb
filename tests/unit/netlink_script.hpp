// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <libmnl/libmnl.h>

#include "netlink/message.hpp"
#include "netlink/transport.hpp"

// A kernel that says what the test wants it to say.
namespace porthole::netlink::script {

using Bytes = std::vector<std::byte>;
/// What receive() does: hand over a datagram, or throw an errno.
using Event = std::variant<Bytes, int>;
/// The kernel's answer to a datagram that starts with this message.
using Answer = std::function<std::vector<Event>(const nlmsghdr* request)>;

inline const nlmsghdr* header(const Bytes& message) {
    return static_cast<const nlmsghdr*>(static_cast<const void*>(message.data()));
}

class ScriptedTransport : public Transport {
  public:
    void send(std::span<const std::byte> datagram) override {
        sent.emplace_back(datagram.begin(), datagram.end());
        for (auto& event : answer(header(sent.back()))) pending.push_back(std::move(event));
    }
    std::size_t receive(std::span<std::byte> buffer) override {
        if (pending.empty()) return 0;
        const auto event = std::exchange(pending.front(), {});
        pending.pop_front();
        if (const auto* error = std::get_if<int>(&event)) {
            throw std::system_error(*error, std::generic_category(), "receive");
        }
        const auto& datagram = std::get<Bytes>(event);
        std::copy(datagram.begin(), datagram.end(), buffer.begin());
        return datagram.size();
    }
    [[nodiscard]] int descriptor() const override { return -1; }

    Answer answer = [](const nlmsghdr*) { return std::vector<Event>(); };
    std::deque<Event> pending;
    std::vector<Bytes> sent;
};

/// A message of exactly its size, so that the address sanitizer sees every byte read beyond.
inline Bytes message(
    std::uint16_t type, std::uint16_t flags, std::uint32_t sequence,
    const std::function<void(nlmsghdr*)>& payload = [](nlmsghdr*) {}) {
    Bytes scratch(128UL * 1024);
    auto* made = mnl_nlmsg_put_header(scratch.data());
    made->nlmsg_type = type;
    made->nlmsg_flags = flags;
    made->nlmsg_seq = sequence;
    payload(made);
    return {scratch.data(), scratch.data() + padded(made->nlmsg_len)};
}

template <typename Header>
Header& put_header(nlmsghdr* message) {
    return *static_cast<Header*>(mnl_nlmsg_put_extra_header(message, sizeof(Header)));
}

/// NLMSG_ERROR about the message `sequence`; 0 as error is an acknowledgement.
inline Bytes report(std::uint32_t sequence, int error, const std::string& text = {},
                    std::uint32_t offset = 0) {
    const std::uint16_t attributes = text.empty() ? 0 : NLM_F_ACK_TLVS;
    return message(NLMSG_ERROR, NLM_F_CAPPED | attributes, sequence, [&](nlmsghdr* made) {
        put_header<nlmsgerr>(made).error = -error;
        if (text.empty()) return;
        mnl_attr_put_strz(made, NLMSGERR_ATTR_MSG, text.c_str());
        mnl_attr_put_u32(made, NLMSGERR_ATTR_OFFS, offset);
    });
}

/// NLMSG_DONE, the end of a dump.
inline Bytes done(std::uint32_t sequence, int error = 0, std::uint16_t flags = 0) {
    return message(NLMSG_DONE, NLM_F_MULTI | flags, sequence,
                   [&](nlmsghdr* made) { put_header<int>(made) = -error; });
}

inline Bytes joined(const std::vector<Bytes>& messages) {
    Bytes datagram;
    for (const auto& each : messages) datagram.insert(datagram.end(), each.begin(), each.end());
    return datagram;
}

/// The first `length` bytes of a message, with a header that claims no more.
inline Bytes cut(const Bytes& whole, std::size_t length) {
    Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    auto* made = static_cast<nlmsghdr*>(static_cast<void*>(part.data()));
    made->nlmsg_len = static_cast<std::uint32_t>(length);
    return part;
}

inline std::vector<const nlmsghdr*> messages_of(std::span<const std::byte> datagram) {
    std::vector<const nlmsghdr*> messages;
    for_each_message(datagram, [&](const nlmsghdr* each) { messages.push_back(each); });
    return messages;
}

}  // namespace porthole::netlink::script
