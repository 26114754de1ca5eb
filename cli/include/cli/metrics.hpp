// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "cli/health.hpp"

namespace porthole::cli {

/// What there is to count, in the format of OpenMetrics 1.0, as far as Prometheus' older text
/// format has the same: the collector of text files of Prometheus' node exporter reads only that.
std::string metrics(const Overview& overview, const std::vector<Row>& reservations);

/// The same where the service could not be asked: that it is not up.
std::string metrics_without_service();

}  // namespace porthole::cli
