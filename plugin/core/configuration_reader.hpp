// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "core/configuration.hpp"

namespace porthole {

/// Reads typed values out of a TOML tree and collects everything that is wrong with it. `path`: the
/// dotted key of the table that is read, "reservation[1]"; empty: the file's root. What is not
/// there, or is wrong, is nothing.
class ConfigurationReader {
  public:
    /// In the order of the file.
    [[nodiscard]] std::vector<ConfigurationError> take_errors();

    void fail(const toml::source_position& at, std::string key, std::string message);
    /// The node's value is of another type than what is `allowed`.
    void mistyped(const toml::node& node, const std::string& key, std::string_view allowed);
    /// It is of that type, but not allowed.
    void refused(const toml::node& node, const std::string& key, std::string_view value,
                 std::string_view allowed);

    /// The table has no other keys than these.
    void only(const toml::table& table, const std::string& path,
              std::initializer_list<std::string_view> allowed);
    /// The table has all of these keys.
    void require(const toml::table& table, const std::string& path,
                 std::initializer_list<std::string_view> keys);

    /// A table of the root.
    const toml::table* table(const toml::table& root, std::string_view key);
    /// Hands every table of an array of tables to `each`, with its dotted key. `header`: how the
    /// file writes it, without the brackets: "tunnel.peer"; its last part is the key in `parent`.
    template <typename Each>
    void tables(const toml::table& parent, const std::string& path, std::string_view header,
                const Each& each) {
        const auto key = header.substr(header.rfind('.') + 1);
        const auto* node = parent.get(key);
        if (node == nullptr) return;
        const auto* array = node->as_array();
        if (array == nullptr) {
            mistyped(*node, join(path, key), fmt::format("an array of tables: [[{}]]", header));
            return;
        }
        for (std::size_t i = 0; i < array->size(); ++i) {
            const auto place = fmt::format("{}[{}]", join(path, key), i);
            const auto& entry = *array->get(i);
            if (const auto* found = entry.as_table()) {
                each(*found, place);
            } else {
                mistyped(entry, place, "a table");
            }
        }
    }

    /// Leaves `value` as it is where the table has none.
    void boolean(const toml::table& table, const std::string& path, std::string_view key,
                 bool& value);
    std::optional<Port> port(const toml::table& table, const std::string& path,
                             std::string_view key);
    std::optional<std::int64_t> number(const toml::table& table, const std::string& path,
                                       std::string_view key, std::int64_t most,
                                       std::int64_t least = 1);

    /// A string that stands for a T.
    template <typename T>
    std::optional<T> text(const toml::table& table, const std::string& path, std::string_view key) {
        const auto* node = table.get(key);
        return node == nullptr ? std::nullopt : text_of<T>(*node, join(path, key));
    }

    /// An array of strings that stand for Ts. `problem` says what is wrong with one, if anything
    /// is.
    template <typename T, typename Problem>
    std::optional<std::vector<T>> list(const toml::table& table, const std::string& path,
                                       std::string_view key, const Problem& problem) {
        const auto* node = table.get(key);
        if (node == nullptr) return std::nullopt;
        const auto* array = node->as_array();
        if (array == nullptr) {
            mistyped(*node, join(path, key), "an array of strings");
            return std::nullopt;
        }
        std::vector<T> values;
        for (std::size_t i = 0; i < array->size(); ++i) {
            const auto& entry = *array->get(i);
            const auto place = fmt::format("{}[{}]", join(path, key), i);
            const auto value = text_of<T>(entry, place);
            if (!value) continue;
            if (auto text = problem(*value); !text.empty()) {
                fail(entry.source().begin, place, std::move(text));
            }
            values.push_back(*value);
        }
        return values;
    }

    static std::string join(const std::string& path, std::string_view key);

  private:
    template <typename T>
    std::optional<T> text_of(const toml::node& node, const std::string& key) {
        const auto text = node.value_exact<std::string>();
        if (!text) {
            mistyped(node, key, TextForm<T>::allowed);
            return std::nullopt;
        }
        auto value = TextForm<T>::parse(*text);
        if (!value) refused(node, key, *text, TextForm<T>::allowed);
        return value;
    }

    std::vector<ConfigurationError> errors_;
};

}  // namespace porthole
