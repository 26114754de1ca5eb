// SPDX-License-Identifier: GPL-2.0-or-later
#include "types/address.hpp"

#include <algorithm>
#include <charconv>

#include <arpa/inet.h>

namespace porthole {
namespace {

unsigned bit_length(Family family) { return family == Family::ipv4 ? 32 : 128; }

// The mask byte at `index` of a prefix of `length` bits.
std::uint8_t mask_byte(unsigned length, std::size_t index) {
    const auto before = static_cast<unsigned>(index) * 8;
    if (length <= before) return 0;
    const auto bits = std::min(length - before, 8U);
    return static_cast<std::uint8_t>(0xFFU << (8 - bits));
}

}  // namespace

Address::Address(Family family, std::span<const std::uint8_t> bytes) : family_(family) {
    std::ranges::copy(bytes, bytes_.begin());
}

Address Address::v4(std::uint32_t value) {
    const std::array<std::uint8_t, 4> bytes{
        static_cast<std::uint8_t>(value >> 24U), static_cast<std::uint8_t>(value >> 16U),
        static_cast<std::uint8_t>(value >> 8U), static_cast<std::uint8_t>(value)};
    return {Family::ipv4, bytes};
}

std::optional<Address> Address::from_bytes(std::span<const std::uint8_t> bytes) {
    if (bytes.size() == 4) return Address(Family::ipv4, bytes);
    if (bytes.size() == 16) return Address(Family::ipv6, bytes);
    return std::nullopt;
}

bool Address::is_carrier_grade() const {
    return family_ == Family::ipv4 && bytes_[0] == 100 && (bytes_[1] & 0xC0U) == 64;
}

bool Address::is_link_local() const {
    if (family_ == Family::ipv4) return bytes_[0] == 169 && bytes_[1] == 254;
    return bytes_[0] == 0xFE && (bytes_[1] & 0xC0U) == 0x80;
}

std::uint32_t Address::v4_value() const {
    if (family_ != Family::ipv4) return 0;
    std::uint32_t value = 0;
    for (const auto byte : bytes()) value = value << 8U | byte;
    return value;
}

bool Address::is_unicast() const {
    if (family_ == Family::ipv4) {
        const auto first = bytes_[0];
        return first != 0 && first != 127 && first < 224;
    }
    static constexpr std::array<std::uint8_t, 12> ipv4_mapped{0, 0, 0, 0, 0,    0,
                                                              0, 0, 0, 0, 0xFF, 0xFF};
    const bool mapped = std::ranges::equal(bytes().first(ipv4_mapped.size()), ipv4_mapped);
    const bool zero_but_last =
        std::all_of(bytes_.begin(), bytes_.end() - 1, [](auto b) { return b == 0; });
    const bool unspecified_or_loopback = zero_but_last && bytes_[15] <= 1;
    return bytes_[0] != 0xFF && !mapped && !unspecified_or_loopback;
}

std::optional<Network> Network::from(const Address& address, unsigned prefix_length) {
    const auto network = around(address, prefix_length);
    if (!network || network->address() != address) return std::nullopt;
    return network;
}

std::optional<Network> Network::around(const Address& address, unsigned prefix_length) {
    if (prefix_length > bit_length(address.family())) return std::nullopt;
    std::array<std::uint8_t, 16> bytes{};
    const auto given = address.bytes();
    for (std::size_t i = 0; i < given.size(); ++i) {
        bytes[i] = static_cast<std::uint8_t>(given[i] & mask_byte(prefix_length, i));
    }
    return Network(*Address::from_bytes(std::span(bytes).first(given.size())), prefix_length);
}

Address Network::last() const {
    std::array<std::uint8_t, 16> bytes{};
    const auto given = address_.bytes();
    for (std::size_t i = 0; i < given.size(); ++i) {
        bytes[i] = static_cast<std::uint8_t>(
            given[i] | static_cast<std::uint8_t>(~mask_byte(prefix_length_, i)));
    }
    return *Address::from_bytes(std::span(bytes).first(given.size()));
}

bool Network::contains(const Address& address) const {
    return address.family() == address_.family() &&
           around(address, prefix_length_)->address() == address_;
}

bool Network::contains(const Network& other) const {
    return other.prefix_length_ >= prefix_length_ && contains(other.address_);
}

bool Network::is_private() const {
    static const std::array private_networks{
        *TextForm<Network>::parse("10.0.0.0/8"), *TextForm<Network>::parse("172.16.0.0/12"),
        *TextForm<Network>::parse("192.168.0.0/16"), *TextForm<Network>::parse("fc00::/7")};
    return std::ranges::any_of(private_networks,
                               [this](const Network& n) { return n.contains(*this); });
}

std::optional<Address> TextForm<Address>::parse(std::string_view text) {
    const std::string terminated(text);
    if (terminated.find('\0') != std::string::npos) {
        return std::nullopt;
    }
    std::array<std::uint8_t, 16> bytes{};
    if (inet_pton(AF_INET, terminated.c_str(), bytes.data()) == 1) {
        return Address::from_bytes(std::span(bytes).first(4));
    }
    if (inet_pton(AF_INET6, terminated.c_str(), bytes.data()) == 1) {
        return Address::from_bytes(bytes);
    }
    return std::nullopt;
}

std::string TextForm<Address>::format(const Address& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int family = address.family() == Family::ipv4 ? AF_INET : AF_INET6;
    inet_ntop(family, address.bytes().data(), text.data(), text.size());
    return text.data();
}

std::optional<Network> TextForm<Network>::parse(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto address = TextForm<Address>::parse(text.substr(0, slash));
    const auto length_text = text.substr(slash + 1);
    unsigned length = 0;
    const auto* end = length_text.data() + length_text.size();
    const auto [rest, error] = std::from_chars(length_text.data(), end, length);
    if (!address || error != std::errc() || rest != end) return std::nullopt;
    return Network::from(*address, length);
}

std::string TextForm<Network>::format(const Network& network) {
    return to_text(network.address()) + "/" + std::to_string(network.prefix_length());
}

}  // namespace porthole
