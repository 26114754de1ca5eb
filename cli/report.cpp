// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/report.hpp"

#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>

namespace porthole::cli {
namespace {

std::vector<Problem> all_problems(const Surroundings& around,
                                  const std::optional<Overview>& overview) {
    if (overview) return problems(*overview);
    return {{around.out_of_reach, "systemctl status porthole; journalctl -u porthole"}};
}

std::string problem_text(const std::vector<Problem>& problems) {
    if (problems.empty()) return "all is well\n";
    std::string text;
    for (const auto& [what, remedy] : problems) {
        text += fmt::format("{}\n    what to do: {}\n", what, remedy);
    }
    return text;
}

std::string section(const char* title, const std::string& text) {
    return fmt::format("\n== {} ==\n{}", title, text);
}

}  // namespace

Surroundings surroundings() {
    utsname names{};
    Surroundings found;
    found.client = PORTHOLE_VERSION;
    found.now = std::time(nullptr);
    if (uname(&names) == 0) {
        found.kernel = fmt::format("{} {} {}", names.sysname, names.release, names.machine);
    }
    return found;
}

std::string report_text(const Surroundings& around, const std::optional<Overview>& overview) {
    auto text = fmt::format("portholectl {} on {}, {:%FT%TZ}\n", around.client, around.kernel,
                            fmt::gmtime(static_cast<std::time_t>(around.now)));
    text += section("problems", problem_text(all_problems(around, overview)));
    if (!overview) return text;
    text += section("status", counts(*overview) + status_text(overview->status));
    if (!overview->checkpoint.empty()) {
        text += fmt::format("checkpoint: {}\n", overview->checkpoint.dump());
    }
    text += section("conflicts", conflict_table(overview->conflicts));
    text += section("tunnels", tunnel_text(overview->tunnels, around.now));
    return text;
}

Json report(const Surroundings& around, const std::optional<Overview>& overview) {
    auto found = Json::array();
    for (const auto& [what, remedy] : all_problems(around, overview)) {
        found.push_back({{"what", what}, {"remedy", remedy}});
    }
    Json report{{"problems", found},
                {"client", around.client},
                {"kernel", around.kernel},
                {"time", around.now}};
    if (!overview) return report;
    report["status"] = overview->status;
    report["active-checkpoint"] = overview->checkpoint;
    report["conflicts"] = Json::array();
    for (const auto& conflict : overview->conflicts) {
        report["conflicts"].push_back(to_json(conflict));
    }
    report["tunnels"] = Json::array();
    for (const auto& tunnel : overview->tunnels) report["tunnels"].push_back(to_json(tunnel));
    return report;
}

}  // namespace porthole::cli
