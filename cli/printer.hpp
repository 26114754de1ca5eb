// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ostream>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/output.hpp"
#include "progress.hpp"

namespace porthole::cli {

/// JSON on one line, or on several with `indent` spaces. What came from outside and is no UTF-8 is
/// replaced.
std::string dump(const Json& json, int indent);

/// Where the answers of commands go: as JSON or, for people, as text.
class Printer {
  public:
    Printer(bool json, const Console& console) : json_(json), console_(console) {}

    [[nodiscard]] bool json() const { return json_; }
    [[nodiscard]] const Look& look() const { return console_.look; }

    void show(const Json& json, const std::string& text);
    /// One line, at once: somebody waits for it.
    void line(const Json& json, const std::string& text = {});
    /// For people, besides the answer.
    template <typename... Values>
    void note(fmt::format_string<Values...> format, Values&&... values) {
        console_.err << "note: " << fmt::format(format, std::forward<Values>(values)...) << '\n';
    }
    /// The same without saying that it is a note.
    template <typename... Values>
    void say(fmt::format_string<Values...> format, Values&&... values) {
        console_.err << fmt::format(format, std::forward<Values>(values)...) << '\n';
    }
    /// Keep what it returns while something is done that may last, and print nothing meanwhile.
    [[nodiscard]] Progress waiting_for(std::string awaited) {
        return {console_.can_erase ? &console_.err : nullptr, std::move(awaited)};
    }

  private:
    bool json_;
    Console console_;
};

}  // namespace porthole::cli
