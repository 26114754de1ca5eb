// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

// What the documentation says, for tests that compare it with what is there.
namespace porthole::manual {

/// The text of a file of the sources. Throws std::runtime_error if it cannot be read.
inline std::string source(const std::string& file) {
    std::ifstream stream(PORTHOLE_SOURCE_DIR "/" + file, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(stream), {}};
    if (text.empty()) throw std::runtime_error("cannot read " + file);
    return text;
}

inline std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

/// What `group` of the expression has matched, wherever it does.
inline std::set<std::string> all(const std::string& text, const std::string& expression,
                                 std::size_t group = 1) {
    const std::regex regex(expression);
    std::set<std::string> found;
    for (std::sregex_iterator each(text.begin(), text.end(), regex), end; each != end; ++each) {
        found.insert((*each)[group].str());
    }
    return found;
}

/// A page of man/, by its sections: "# NAME" and what is under it.
inline std::map<std::string, std::string> sections(const std::string& page) {
    std::map<std::string, std::string> found;
    std::string* section = nullptr;
    for (const auto& line : lines_of(source("man/" + page + ".scd"))) {
        if (line.starts_with("# ")) {
            section = &found[line.substr(2)];
        } else if (section != nullptr) {
            *section += line + '\n';
        }
    }
    return found;
}

/// The lines that name what the indented text under them is about: "*--config* _FILE_".
inline std::vector<std::string> terms(const std::string& section) {
    std::vector<std::string> found;
    for (const auto& line : lines_of(section)) {
        if (line.starts_with('*') || line.starts_with('_')) found.push_back(line);
    }
    return found;
}

/// The words in bold of all terms.
inline std::set<std::string> bold_terms(const std::string& section) {
    std::set<std::string> words;
    for (const auto& term : terms(section)) words.merge(all(term, R"(\*([^*]+)\*)"));
    return words;
}

/// A block of code, between lines of three backquotes.
struct Block {
    std::string language;  ///< as given behind the first backquotes
    std::vector<std::string> lines;
};

inline std::vector<Block> blocks(const std::string& text) {
    constexpr std::string_view fence = "```";
    std::vector<Block> found;
    bool inside = false;
    for (const auto& line : lines_of(text)) {
        if (line.starts_with(fence)) {
            inside = !inside;
            if (inside) found.push_back({line.substr(fence.size()), {}});
        } else if (inside) {
            found.back().lines.push_back(line);
        }
    }
    return found;
}

}  // namespace porthole::manual
