// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "types/error.hpp"

namespace porthole {

/// The text form of a value type. Every type that people write or read specialises it with
///   static constexpr std::string_view allowed;               what parse() accepts, in words
///   static std::optional<T> parse(std::string_view text);    nothing if it is not accepted
///   static std::string format(const T& value);               parse(format(v)) == v
template <typename T>
struct TextForm;

/// The value that `text` stands for. Throws InvalidArgument, which names `field`.
template <typename T>
T parse(std::string_view field, std::string_view text) {
    if (auto value = TextForm<T>::parse(text)) return *std::move(value);
    throw InvalidArgument(field, text, TextForm<T>::allowed);
}

/// The text that stands for `value`.
template <typename T>
std::string to_text(const T& value) {
    return TextForm<T>::format(value);
}

}  // namespace porthole
