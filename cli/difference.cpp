// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/difference.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>

namespace porthole::cli {
namespace {

using Key = std::tuple<std::string, std::string, std::uint16_t>;

Key key(const Row& row) { return {row.host, row.protocol, row.internal_port}; }
Key key(const Wanted& wanted) { return {wanted.host, wanted.protocol, wanted.port}; }

bool fulfils(const Row& row, const Wanted& wanted) {
    return wanted.external_port.value_or(row.external_port) == row.external_port &&
           wanted.filtering.value_or(row.filtering) == row.filtering &&
           wanted.comment.value_or(row.comment) == row.comment;
}

Json to_json(const Wanted& wanted) {
    Json object{{"host", wanted.host},
                {"protocol", wanted.protocol},
                {"internal-port", wanted.port},
                {"external-port", wanted.external_port.value_or(wanted.port)}};
    if (wanted.filtering) object["filtering"] = *wanted.filtering;
    if (wanted.comment) object["comment"] = *wanted.comment;
    return object;
}

std::string line(char sign, const Wanted& wanted) {
    return fmt::format("{} {} {} {} -> {}{}{}\n", sign, wanted.host, wanted.protocol, wanted.port,
                       wanted.external_port.value_or(wanted.port),
                       wanted.filtering ? "  " + *wanted.filtering : "",
                       wanted.comment.value_or("").empty() ? "" : "  " + *wanted.comment);
}

Wanted as_wanted(const Row& row) {
    return {row.host,          row.protocol,  row.internal_port,
            row.external_port, row.filtering, row.comment};
}

// What was left open, as it is.
Wanted completed(const Row& row, const Wanted& wanted) {
    auto complete = as_wanted(row);
    if (wanted.external_port) complete.external_port = wanted.external_port;
    if (wanted.filtering) complete.filtering = wanted.filtering;
    if (wanted.comment) complete.comment = wanted.comment;
    return complete;
}

}  // namespace

bool Difference::needs_removed_port() const {
    std::set<std::pair<std::string, std::uint16_t>> ports;
    for (const auto& row : removed) ports.emplace(row.protocol, row.external_port);
    const auto needs = [&](const Wanted& wanted) {
        return ports.contains({wanted.protocol, wanted.external_port.value_or(wanted.port)});
    };
    return std::ranges::any_of(added, needs) ||
           std::ranges::any_of(changed, [&](const auto& each) { return needs(each.second); });
}

Difference difference(const std::vector<Row>& present, const std::vector<Wanted>& wanted,
                      bool keep_others) {
    std::map<Key, const Row*> rows;
    for (const auto& row : present) rows.emplace(key(row), &row);
    Difference difference;
    for (const auto& each : wanted) {
        const auto found = rows.find(key(each));
        if (found == rows.end() || found->second->origin == "auto") {
            difference.added.push_back(each);
            continue;
        }
        const auto& row = *found->second;
        if (!fulfils(row, each)) {
            if (row.origin != "api") {
                throw InvalidArgument(
                    fmt::format("reservation {} of {} {} {} belongs to the configuration file; "
                                "change it there",
                                row.id, row.host, row.protocol, row.internal_port));
            }
            difference.changed.emplace_back(row, completed(row, each));
        }
        rows.erase(found);
    }
    if (keep_others) return difference;
    for (const auto& [unused, row] : rows) {
        if (row->origin == "api") difference.removed.push_back(*row);
    }
    return difference;
}

Json to_json(const Difference& difference) {
    auto added = Json::array();
    auto changed = Json::array();
    auto removed = Json::array();
    for (const auto& wanted : difference.added) added.push_back(to_json(wanted));
    for (const auto& [row, wanted] : difference.changed) {
        auto object = to_json(wanted);
        object["id"] = row.id;
        changed.push_back(object);
    }
    for (const auto& row : difference.removed) removed.push_back(to_json(row));
    return {{"added", added}, {"changed", changed}, {"removed", removed}};
}

std::string difference_text(const Difference& difference) {
    if (difference.empty()) return "nothing to do\n";
    std::string text;
    for (const auto& wanted : difference.added) text += line('+', wanted);
    for (const auto& [row, wanted] : difference.changed) text += line('~', wanted);
    for (const auto& row : difference.removed) text += line('-', as_wanted(row));
    return text;
}

}  // namespace porthole::cli
