// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/message.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <libmnl/libmnl.h>

namespace porthole::netlink {
namespace {

using Bytes = std::span<const std::byte>;

Bytes bytes_at(const void* data, std::size_t size) {
    return {static_cast<const std::byte*>(data), size};
}

// The attribute at the start of `bytes`; nullptr if it is not all there.
const nlattr* first_attribute(Bytes bytes) {
    if (bytes.size() < sizeof(nlattr)) return nullptr;
    const auto* attribute = static_cast<const nlattr*>(static_cast<const void*>(bytes.data()));
    const auto length = attribute->nla_len;
    return length < sizeof(nlattr) || length > bytes.size() ? nullptr : attribute;
}

Bytes payload_of(const nlattr* attribute) {
    return bytes_at(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
}

Bytes behind(const nlattr* attribute, Bytes bytes) {
    return bytes.subspan(std::min(padded(attribute->nla_len), bytes.size()));
}

template <typename Number>
std::optional<Number> number(std::optional<Bytes> bytes) {
    Number value = 0;
    if (!bytes || bytes->size() != sizeof(value)) return std::nullopt;
    std::memcpy(&value, bytes->data(), sizeof(value));
    return value;
}

}  // namespace

bool for_each_message(Bytes datagram, const std::function<void(const nlmsghdr*)>& each) {
    while (!datagram.empty()) {
        if (datagram.size() < sizeof(nlmsghdr)) return false;
        const auto* message =
            static_cast<const nlmsghdr*>(static_cast<const void*>(datagram.data()));
        const std::size_t length = message->nlmsg_len;
        if (length < sizeof(nlmsghdr) || length > datagram.size()) return false;
        each(message);
        datagram = datagram.subspan(std::min(padded(length), datagram.size()));
    }
    return true;
}

bool receive_all(Transport& transport, std::span<std::byte> buffer,
                 const std::function<void(const nlmsghdr*)>& each) {
    for (bool complete = true;;) {
        std::size_t size = 0;
        try {
            size = transport.receive(buffer);
        } catch (const std::system_error& error) {
            if (error.code().value() != ENOBUFS && error.code().value() != EMSGSIZE) throw;
            complete = false;
            continue;
        }
        if (size == 0) return complete;
        for_each_message(buffer.first(size), each);
    }
}

std::optional<Attributes> Attributes::of(const nlmsghdr* message, std::size_t header_bytes) {
    const std::size_t size = mnl_nlmsg_get_payload_len(message);
    if (size < header_bytes) return std::nullopt;
    const auto payload = bytes_at(mnl_nlmsg_get_payload(message), size);
    return parse(payload.subspan(std::min(padded(header_bytes), size)));
}

std::optional<Attributes> Attributes::parse(Bytes bytes) {
    for (auto rest = bytes; !rest.empty();) {
        const auto* attribute = first_attribute(rest);
        if (attribute == nullptr) return std::nullopt;
        rest = behind(attribute, rest);
    }
    return Attributes(bytes);
}

std::optional<Bytes> Attributes::payload(std::uint16_t type) const {
    for (auto rest = bytes_; !rest.empty();) {
        const auto* attribute = first_attribute(rest);
        if (mnl_attr_get_type(attribute) == type) return payload_of(attribute);
        rest = behind(attribute, rest);
    }
    return std::nullopt;
}

std::optional<std::uint8_t> Attributes::u8(std::uint16_t type) const {
    return number<std::uint8_t>(payload(type));
}

std::optional<std::uint16_t> Attributes::u16(std::uint16_t type) const {
    return number<std::uint16_t>(payload(type));
}

std::optional<std::uint32_t> Attributes::u32(std::uint16_t type) const {
    return number<std::uint32_t>(payload(type));
}

std::optional<std::uint64_t> Attributes::u64(std::uint16_t type) const {
    return number<std::uint64_t>(payload(type));
}

std::string_view Attributes::text(std::uint16_t type) const {
    const auto bytes = payload(type);
    if (!bytes || bytes->empty()) return {};
    const auto* text = static_cast<const char*>(static_cast<const void*>(bytes->data()));
    return {text, strnlen(text, bytes->size())};
}

std::optional<Attributes> Attributes::nested(std::uint16_t type) const {
    const auto bytes = payload(type);
    return bytes ? parse(*bytes) : std::nullopt;
}

bool Attributes::for_each_nested(const std::function<bool(const Attributes&)>& each) const {
    for (auto rest = bytes_; !rest.empty();) {
        const auto* attribute = first_attribute(rest);
        const auto within = parse(payload_of(attribute));
        if (!within || !each(*within)) return false;
        rest = behind(attribute, rest);
    }
    return true;
}

}  // namespace porthole::netlink
