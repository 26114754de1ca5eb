// SPDX-License-Identifier: GPL-2.0-or-later
#include "interface.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/tunnels.hpp"
#include "lab/links.hpp"
#include "lab/process.hpp"
#include "lab/temporary_directory.hpp"
#include "wg/quick_file.hpp"

namespace porthole::wg_bench {
namespace {

// The fields with what each has behind commas sorted: allowed IPs.
std::string with_sorted_lists(const std::string& line) {
    std::string result;
    std::istringstream fields(line);
    for (std::string field; std::getline(fields, field, '\t');) {
        std::vector<std::string> list;
        std::istringstream parts(field);
        for (std::string part; std::getline(parts, part, ',');) list.push_back(part);
        std::ranges::sort(list);
        result += fmt::format("{}\t", fmt::join(list, ","));
    }
    return result;
}

}  // namespace

Configuration configuration(const TunnelSettings& settings, std::filesystem::path file) {
    lab::write_file(file, wg::format_quick_file(settings).view());
    return {device_of(settings), std::move(file)};
}

Interface::Interface() : kernel_(host_.run([] { return wg::Kernel(); })) {
    lab::add_link(host_, to_text(name_), "wireguard");
}

void Interface::clear() const {
    lab::delete_link(host_, to_text(name_));
    lab::add_link(host_, to_text(name_), "wireguard");
}

void Interface::run_wg(const std::string& command, const std::filesystem::path& file) const {
    lab::output_of(host_, {"wg", command, to_text(name_), file.string()});
}

std::vector<std::string> Interface::dump() const {
    std::vector<std::string> lines;
    std::istringstream text(lab::output_of(host_, {"wg", "show", to_text(name_), "dump"}));
    for (std::string line; std::getline(text, line);) lines.push_back(with_sorted_lists(line));
    std::ranges::sort(lines);
    return lines;
}

}  // namespace porthole::wg_bench
