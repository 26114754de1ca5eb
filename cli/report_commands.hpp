// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>

#include "cli/health.hpp"
#include "cli/service.hpp"
#include "printer.hpp"

namespace porthole::cli {

/// Carries out the commands that say how the service is doing. Each returns the exit status.
class ReportCommands {
  public:
    ReportCommands(Service& service, Printer& printer) : service_(service), printer_(printer) {}

    int operator()(const Status& command);
    int operator()(const Diagnose& command);
    int operator()(const Metrics& command);

    /// What they say, and their exit status, where `out_of_reach` keeps the service from being
    /// asked; nothing for a command that needs it.
    static std::optional<int> without_service(const Command& command, Printer& printer,
                                              const sdbus::Error& out_of_reach);

  private:
    Overview overview();

    Service& service_;
    Printer& printer_;
};

}  // namespace porthole::cli
