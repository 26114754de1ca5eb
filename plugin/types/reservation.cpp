// SPDX-License-Identifier: GPL-2.0-or-later
#include "types/reservation.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace porthole {
namespace {

template <typename T, std::size_t count>
using Names = std::array<std::pair<T, std::string_view>, count>;

constexpr Names<Filtering, 3> filtering_names{{
    {Filtering::endpoint_independent, "endpoint-independent"},
    {Filtering::address_dependent, "address-dependent"},
    {Filtering::address_and_port_dependent, "address-and-port-dependent"},
}};
constexpr Names<Origin, 3> origin_names{{
    {Origin::configured, "static"},
    {Origin::api, "api"},
    {Origin::automatic, "auto"},
}};
constexpr Names<ReservationState, 3> state_names{{
    {ReservationState::settling, "settling"},
    {ReservationState::active, "active"},
    {ReservationState::waiting, "waiting"},
}};

template <typename T, std::size_t count>
std::optional<T> value_of(const Names<T, count>& names, std::string_view text) {
    for (const auto& [value, name] : names) {
        if (name == text) return value;
    }
    return std::nullopt;
}

template <typename T, std::size_t count>
std::string name_of(const Names<T, count>& names, T wanted) {
    for (const auto& [value, name] : names) {
        if (value == wanted) return std::string(name);
    }
    return {};
}

// The length of the UTF-8 sequence at the start of `text` (RFC 3629), 0 if there is no valid one.
std::size_t utf8_sequence_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto continued = [&](std::size_t i) {
        return i < text.size() && (byte(i) & 0xC0U) == 0x80U;
    };
    const auto first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first <= 0xDF) return continued(1) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        if (!continued(1) || !continued(2)) return 0;
        const bool overlong = first == 0xE0 && byte(1) < 0xA0;
        const bool surrogate = first == 0xED && byte(1) > 0x9F;
        return overlong || surrogate ? 0 : 3;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        if (!continued(1) || !continued(2) || !continued(3)) return 0;
        const bool overlong = first == 0xF0 && byte(1) < 0x90;
        const bool too_large = first == 0xF4 && byte(1) > 0x8F;
        return overlong || too_large ? 0 : 4;
    }
    return 0;
}

// C0, DEL and C1: characters that could drive the terminal of whoever lists the comment.
bool is_control(std::string_view sequence) {
    const auto first = static_cast<unsigned char>(sequence[0]);
    if (sequence.size() == 1) return first < 0x20 || first == 0x7F;
    return first == 0xC2 && static_cast<unsigned char>(sequence[1]) < 0xA0;
}

}  // namespace

ExternalAddress::ExternalAddress(const std::optional<Address>& address) {
    if (address && address->family() == Family::ipv4) {
        std::ranges::copy(address->bytes(), bytes_.begin());
    }
}

std::optional<Address> ExternalAddress::fixed() const {
    return is_any() ? std::nullopt : Address::from_bytes(bytes_);
}

std::optional<ExternalAddress> TextForm<ExternalAddress>::parse(std::string_view text) {
    if (text == "any") return ExternalAddress();
    const auto address = TextForm<Address>::parse(text);
    if (!address || address->family() != Family::ipv4 || !address->is_unicast()) {
        return std::nullopt;
    }
    return ExternalAddress(address);
}

std::string TextForm<ExternalAddress>::format(const ExternalAddress& address) {
    const auto fixed = address.fixed();
    return fixed ? to_text(*fixed) : "any";
}

std::optional<Filtering> TextForm<Filtering>::parse(std::string_view text) {
    return value_of(filtering_names, text);
}

std::string TextForm<Filtering>::format(const Filtering& filtering) {
    return name_of(filtering_names, filtering);
}

std::optional<Origin> TextForm<Origin>::parse(std::string_view text) {
    return value_of(origin_names, text);
}

std::string TextForm<Origin>::format(const Origin& origin) { return name_of(origin_names, origin); }

std::optional<ReservationState> TextForm<ReservationState>::parse(std::string_view text) {
    return value_of(state_names, text);
}

std::string TextForm<ReservationState>::format(const ReservationState& state) {
    return name_of(state_names, state);
}

std::optional<Comment> TextForm<Comment>::parse(std::string_view text) {
    if (text.size() > Comment::max_bytes) return std::nullopt;
    for (auto rest = text; !rest.empty();) {
        const auto length = utf8_sequence_length(rest);
        if (length == 0 || is_control(rest.substr(0, length))) return std::nullopt;
        rest.remove_prefix(length);
    }
    return Comment(text);
}

std::string TextForm<Comment>::format(const Comment& comment) {
    return std::string(comment.text());
}

}  // namespace porthole
