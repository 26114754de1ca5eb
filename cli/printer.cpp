// SPDX-License-Identifier: GPL-2.0-or-later
#include "printer.hpp"

namespace porthole::cli {

std::string dump(const Json& json, int indent) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

void Printer::show(const Json& json, const std::string& text) {
    console_.out << (json_ ? dump(json, 2) + '\n' : text);
}

void Printer::line(const Json& json, const std::string& text) {
    console_.out << (json_ ? dump(json, -1) : text) << std::endl;
}

}  // namespace porthole::cli
