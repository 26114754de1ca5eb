// SPDX-License-Identifier: GPL-2.0-or-later
#include "configuration_reader.hpp"

#include <algorithm>
#include <utility>

namespace porthole {
namespace {

std::string_view type_name(const toml::node& node) {
    switch (node.type()) {
        case toml::node_type::table:
            return "a table";
        case toml::node_type::array:
            return "an array";
        case toml::node_type::string:
            return "a string";
        case toml::node_type::integer:
            return "an integer";
        case toml::node_type::floating_point:
            return "a floating-point number";
        case toml::node_type::boolean:
            return "a boolean";
        default:
            return "a date or time";
    }
}

std::string joined(std::initializer_list<std::string_view> names) {
    std::string text;
    for (const auto name : names) text += (text.empty() ? "" : ", ") + std::string(name);
    return text;
}

}  // namespace

std::vector<ConfigurationError> ConfigurationReader::take_errors() {
    std::ranges::stable_sort(errors_, [](const auto& a, const auto& b) {
        return std::pair(a.line, a.column) < std::pair(b.line, b.column);
    });
    return std::move(errors_);
}

void ConfigurationReader::fail(const toml::source_position& at, std::string key,
                               std::string message) {
    errors_.push_back({at.line, at.column, std::move(key), std::move(message)});
}

void ConfigurationReader::mistyped(const toml::node& node, const std::string& key,
                                   std::string_view allowed) {
    fail(node.source().begin, key, fmt::format("expected {}, found {}", allowed, type_name(node)));
}

void ConfigurationReader::refused(const toml::node& node, const std::string& key,
                                  std::string_view value, std::string_view allowed) {
    fail(node.source().begin, key, fmt::format("invalid \"{}\": expected {}", value, allowed));
}

void ConfigurationReader::only(const toml::table& table, const std::string& path,
                               std::initializer_list<std::string_view> allowed) {
    for (const auto& [key, node] : table) {
        if (std::ranges::find(allowed, key.str()) != allowed.end()) continue;
        fail(key.source().begin, join(path, key.str()),
             "unknown key; allowed here: " + joined(allowed));
    }
}

void ConfigurationReader::require(const toml::table& table, const std::string& path,
                                  std::initializer_list<std::string_view> keys) {
    for (const auto key : keys) {
        if (!table.contains(key)) fail(table.source().begin, join(path, key), "is missing");
    }
}

const toml::table* ConfigurationReader::table(const toml::table& root, std::string_view key) {
    const auto* node = root.get(key);
    if (node == nullptr) return nullptr;
    if (const auto* found = node->as_table()) return found;
    mistyped(*node, std::string(key), "a table");
    return nullptr;
}

void ConfigurationReader::boolean(const toml::table& table, const std::string& path,
                                  std::string_view key, bool& value) {
    const auto* node = table.get(key);
    if (node == nullptr) return;
    if (const auto found = node->value_exact<bool>()) {
        value = *found;
    } else {
        mistyped(*node, join(path, key), "true or false");
    }
}

std::optional<Port> ConfigurationReader::port(const toml::table& table, const std::string& path,
                                              std::string_view key) {
    const auto* node = table.get(key);
    if (node == nullptr) return std::nullopt;
    const auto number = node->value_exact<std::int64_t>();
    if (!number) {
        mistyped(*node, join(path, key), TextForm<Port>::allowed);
        return std::nullopt;
    }
    const auto port = *number < 0 ? std::nullopt : Port::from(static_cast<std::uint64_t>(*number));
    if (!port) refused(*node, join(path, key), std::to_string(*number), TextForm<Port>::allowed);
    return port;
}

std::optional<std::int64_t> ConfigurationReader::number(const toml::table& table,
                                                        const std::string& path,
                                                        std::string_view key, std::int64_t most,
                                                        std::int64_t least) {
    const auto* node = table.get(key);
    if (node == nullptr) return std::nullopt;
    const auto allowed = fmt::format("a number from {} to {}", least, most);
    const auto value = node->value_exact<std::int64_t>();
    if (!value) {
        mistyped(*node, join(path, key), allowed);
    } else if (*value < least || *value > most) {
        refused(*node, join(path, key), std::to_string(*value), allowed);
    } else {
        return value;
    }
    return std::nullopt;
}

std::string ConfigurationReader::join(const std::string& path, std::string_view key) {
    return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

}  // namespace porthole
