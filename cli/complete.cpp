// SPDX-License-Identifier: GPL-2.0-or-later
#include "complete.hpp"

#include <algorithm>
#include <span>
#include <sstream>
#include <utility>

namespace porthole::cli {
namespace {

/// Follows the words that were given through the tree of commands.
class Place {
  public:
    explicit Place(const CLI::App& app) : command_(&app) {}

    void pass(const std::string& word) {
        if (std::exchange(wants_value_, nullptr) != nullptr) return;
        if (word.starts_with('-') && word.size() > 1) {
            const auto* option = option_of(word);
            if (option != nullptr && option->get_items_expected_max() > 0) wants_value_ = option;
        } else if (const auto* command = subcommand(word)) {
            command_ = command;
            completion_.commands.push_back(word);
            completion_.arguments.clear();
        } else {
            completion_.arguments.push_back(word);
        }
    }

    Completion end(const std::string& begun) && {
        completion_.begun = begun;
        if (wants_value_ != nullptr) {
            add_placeholder(wants_value_->get_type_name());
        } else if (begun.starts_with('-')) {
            add_options();
        } else {
            add_commands();
            add_argument();
            // There is nothing else that it could be.
            if (completion_.candidates.empty() && completion_.kinds.empty()) add_options();
        }
        return std::move(completion_);
    }

  private:
    // Options of the commands above may be given, too.
    template <typename Each>
    void for_each_option(const Each& each) const {
        for (const auto* command = command_; command != nullptr; command = command->get_parent()) {
            for (const auto* option : command->get_options()) {
                if (option->nonpositional()) each(*option);
            }
        }
    }

    [[nodiscard]] const CLI::Option* option_of(const std::string& word) const {
        const CLI::Option* found = nullptr;
        for_each_option([&](const CLI::Option& option) {
            if (found == nullptr && option.check_name(word)) found = &option;
        });
        return found;
    }

    [[nodiscard]] const CLI::App* subcommand(const std::string& word) const {
        const auto found = command_->get_subcommands(
            [&](const CLI::App* each) { return each->get_name() == word; });
        return found.empty() ? nullptr : found.front();
    }

    void add_commands() {
        if (!completion_.arguments.empty()) return;
        for (const auto* command :
             command_->get_subcommands([](const CLI::App*) { return true; })) {
            completion_.candidates.push_back({command->get_name(), command->get_description()});
        }
    }

    void add_options() {
        for_each_option([this](const CLI::Option& option) {
            for (const auto& name : option.get_lnames()) {
                const auto word = "--" + name;
                if (std::ranges::find(completion_.candidates, word, &Candidate::word) ==
                    completion_.candidates.end()) {
                    completion_.candidates.push_back({word, option.get_description()});
                }
            }
        });
    }

    void add_argument() {
        std::size_t before = completion_.arguments.size();
        for (const auto* option : command_->get_options()) {
            if (!option->get_positional()) continue;
            const bool several = option->get_items_expected_max() > 1;
            if (before-- > 0 && !several) continue;
            const auto values = option->get_type_name();
            add_placeholder(values.empty() ? option->get_name() : values);
            return;
        }
    }

    void add_placeholder(const std::string& text) {
        std::istringstream parts(text);
        for (std::string part; std::getline(parts, part, '|');) {
            if (part.front() >= 'a' && part.front() <= 'z') {
                completion_.candidates.push_back({part});
            } else {
                completion_.kinds.push_back(part);
            }
        }
    }

    const CLI::App* command_;
    const CLI::Option* wants_value_ = nullptr;
    Completion completion_;
};

}  // namespace

Completion complete(const CLI::App& app, const std::vector<std::string>& words) {
    Place place(app);
    if (words.empty()) return std::move(place).end("");
    for (const auto& word : std::span(words).first(words.size() - 1)) place.pass(word);
    return std::move(place).end(words.back());
}

}  // namespace porthole::cli
