// SPDX-License-Identifier: GPL-2.0-or-later
#include "types/host_key.hpp"

#include <algorithm>
#include <charconv>

namespace porthole {

std::optional<MacAddress> MacAddress::from(const std::array<std::uint8_t, 6>& bytes) {
    const bool group = (bytes[0] & 1U) != 0;
    const bool zero = std::ranges::all_of(bytes, [](auto byte) { return byte == 0; });
    if (group || zero) return std::nullopt;
    return MacAddress(bytes);
}

std::optional<MacAddress> TextForm<MacAddress>::parse(std::string_view text) {
    if (text.size() != 17) return std::nullopt;
    std::array<std::uint8_t, 6> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const auto* digits = text.data() + i * 3;
        if (i > 0 && digits[-1] != ':') return std::nullopt;
        const auto [rest, error] = std::from_chars(digits, digits + 2, bytes[i], 16);
        if (error != std::errc() || rest != digits + 2) return std::nullopt;
    }
    return MacAddress::from(bytes);
}

std::string TextForm<MacAddress>::format(const MacAddress& mac) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const auto byte : mac.bytes()) {
        if (!text.empty()) text += ':';
        text += digits[byte >> 4U];
        text += digits[byte & 15U];
    }
    return text;
}

std::optional<HostKey> TextForm<HostKey>::parse(std::string_view text) {
    if (const auto mac = TextForm<MacAddress>::parse(text)) return *mac;
    const auto address = TextForm<Address>::parse(text);
    if (address && address->is_unicast()) return *address;
    return std::nullopt;
}

std::string TextForm<HostKey>::format(const HostKey& key) {
    return std::visit([](const auto& known) { return to_text(known); }, key);
}

}  // namespace porthole
