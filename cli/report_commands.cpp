// SPDX-License-Identifier: GPL-2.0-or-later
#include "report_commands.hpp"

#include "cli/exit_status.hpp"
#include "cli/metrics.hpp"
#include "cli/report.hpp"

namespace porthole::cli {
namespace {

void print_metrics(Printer& printer, const std::string& text) {
    printer.show({{"metrics", text}}, text);
}

}  // namespace

Overview ReportCommands::overview() {
    return {.status = to_json(service_.status()),
            .checkpoint = to_json(service_.active_checkpoint()),
            .conflicts = service_.conflicts(),
            .tunnels = service_.tunnels(std::nullopt)};
}

int ReportCommands::operator()(const Status& command) {
    if (printer_.json() || command.all) {
        const auto status = to_json(service_.status());
        printer_.show(status, status_text(status, printer_.look()));
    } else {
        printer_.show({}, summary(overview()));
    }
    return exit_done;
}

int ReportCommands::operator()(const Diagnose&) {
    const auto found = overview();
    const auto around = surroundings();
    printer_.show(report(around, found), report_text(around, found));
    return problems(found).empty() ? exit_done : exit_failed;
}

int ReportCommands::operator()(const Metrics&) {
    print_metrics(printer_, metrics(overview(), service_.list({}).first));
    return exit_done;
}

std::optional<int> ReportCommands::without_service(const Command& command, Printer& printer,
                                                   const sdbus::Error& out_of_reach) {
    if (std::holds_alternative<Metrics>(command)) {
        print_metrics(printer, metrics_without_service());
        return exit_done;  // that it is away is what there is to know
    }
    if (std::holds_alternative<Diagnose>(command)) {
        auto around = surroundings();
        around.out_of_reach = explanation(out_of_reach.getName(), out_of_reach.getMessage());
        printer.show(report(around, std::nullopt), report_text(around, std::nullopt));
        return exit_unreachable;
    }
    return std::nullopt;
}

}  // namespace porthole::cli
