// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/gateway.hpp"
#include "dbus/values.hpp"

namespace porthole::dbus {

inline Port parse_port(std::string_view field, std::uint16_t value) {
    return parse<Port>(field, std::to_string(value));
}

/// Takes the values out of a dictionary, key by key, and knows in the end whether one is left over.
class Reader {
  public:
    explicit Reader(const Dictionary& dictionary) : dictionary_(dictionary) {}

    /// The value of a key that may be there. `T` is its D-Bus type.
    template <typename T>
    std::optional<T> value(const char* key) {
        allowed_.emplace_back(key);
        const auto found = dictionary_.find(key);
        if (found == dictionary_.end()) return std::nullopt;
        const auto wanted = sdbus::signature_of<T>::str();
        const auto given = found->second.peekValueType();
        if (given != wanted) {
            throw InvalidArgument(
                fmt::format(R"(invalid {}: expected a value of D-Bus type "{}", got "{}")", key,
                            wanted, given));
        }
        return found->second.get<T>();
    }

    /// The same for a value that is written as text.
    template <typename T>
    std::optional<T> parsed(const char* key) {
        const auto text = value<std::string>(key);
        return text ? std::optional(parse<T>(key, *text)) : std::nullopt;
    }

    template <typename T>
    std::optional<std::vector<T>> parsed_list(const char* key) {
        const auto texts = value<std::vector<std::string>>(key);
        if (!texts) return std::nullopt;
        std::vector<T> values;
        for (const auto& text : *texts) values.push_back(parse<T>(key, text));
        return values;
    }

    std::optional<Port> port(const char* key) {
        const auto number = value<std::uint16_t>(key);
        return number ? std::optional(parse_port(key, *number)) : std::nullopt;
    }

    std::optional<std::chrono::seconds> lifetime() {
        const auto seconds = value<std::uint32_t>("lifetime");
        return seconds ? std::optional(std::chrono::seconds(*seconds)) : std::nullopt;
    }

    bool settle() { return value<bool>("settle").value_or(false); }

    IfGeneration if_generation() { return value<std::uint64_t>("if-generation"); }

    /// Of the contract, but not of this version.
    void refuse(const char* key) const {
        if (!dictionary_.contains(key)) return;
        throw Refused(Refusal::unsupported,
                      fmt::format("this version does not support the option \"{}\"", key));
    }

    /// To be called when all keys were asked for.
    void finish() const {
        for (const auto& [key, value] : dictionary_) {
            if (std::ranges::find(allowed_, key) != allowed_.end()) continue;
            throw InvalidArgument(
                fmt::format("unknown key \"{}\": allowed are {}", key, fmt::join(allowed_, ", ")));
        }
    }

  private:
    const Dictionary& dictionary_;
    std::vector<std::string> allowed_;
};

}  // namespace porthole::dbus
