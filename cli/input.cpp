// SPDX-License-Identifier: GPL-2.0-or-later
#include "input.hpp"

#include <cerrno>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace porthole::cli {

std::string read_file(const std::string& name) {
    std::ifstream file;
    if (name != "-") file.open(name, std::ios::binary);
    std::ostringstream text;
    // Of a directory, only reading fails.
    if (auto& stream = name == "-" ? std::cin : file;
        stream.peek() != std::istream::traits_type::eof()) {
        text << stream.rdbuf();
    }
    if (name == "-" || (file.is_open() && !file.bad() && !text.fail())) return text.str();
    throw std::runtime_error("cannot read " + name + ": " + std::generic_category().message(errno));
}

}  // namespace porthole::cli
