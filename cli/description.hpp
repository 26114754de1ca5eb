// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <charconv>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/arguments.hpp"

namespace porthole::cli {

/// A number of the wire's type, in decimal digits.
template <typename T>
T parse_number(std::string_view field, const std::string& text) {
    T value = 0;
    const auto* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc() && rest == end) return value;
    throw InvalidArgument(field, text,
                          fmt::format("a number from 0 to {}", std::numeric_limits<T>::max()));
}

/// A subcommand while it is described to CLI11: its values go where they are wanted as they are
/// read.
class Description {
  public:
    Description(CLI::App& app, const char* name, const char* help)
        : command_(*app.add_subcommand(name, help)) {}
    /// A group of subcommands, one of which must be given.
    void require_one() { command_.require_subcommand(1); }

    /// `values`: what can be given, for help and completion, where the name does not say it.
    void argument(const char* name, const char* help,
                  const std::function<void(const std::string&)>& take, const char* values = "") {
        command_.add_option_function<std::string>(name, take, help)->required()->type_name(values);
    }

    /// An option that the service knows by the same name; `to_wire` may throw InvalidArgument.
    template <typename ToWire>
    void option(Dictionary& dictionary, std::string key, const char* value, const char* help,
                ToWire to_wire) {
        const auto take = [&dictionary, key, to_wire](const std::string& text) {
            dictionary[key] = sdbus::Variant(to_wire(key, text));
        };
        command_.add_option_function<std::string>("--" + key, take, help)->type_name(value);
    }
    void text(Dictionary& dictionary, const char* key, const char* value, const char* help) {
        option(dictionary, key, value, help,
               [](const std::string&, const std::string& text) { return text; });
    }
    void port(Dictionary& dictionary, const char* key, const char* help) {
        option(dictionary, key, "N", help, [](const std::string& field, const std::string& text) {
            return parse<Port>(field, text).value();
        });
    }
    template <typename T>
    void number(Dictionary& dictionary, const char* key, const char* value, const char* help) {
        option(dictionary, key, value, help, parse_number<T>);
    }
    /// One that may come several times, and have commas.
    void list(Dictionary& dictionary, const std::string& key, const char* value, const char* help) {
        const auto take = [&dictionary, key](const std::vector<std::string>& texts) {
            dictionary[key] = sdbus::Variant(texts);
        };
        command_.add_option_function<std::vector<std::string>>("--" + key, take, help)
            ->delimiter(',')
            ->type_name(value);
    }
    void if_generation(Dictionary& dictionary) {
        number<std::uint64_t>(dictionary, "if-generation", "N",
                              "Only if nothing has changed since generation N");
    }

    [[nodiscard]] CLI::App& command() { return command_; }
    [[nodiscard]] bool given() const { return command_.parsed(); }

  private:
    CLI::App& command_;
};

}  // namespace porthole::cli
