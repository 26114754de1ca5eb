// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "cli/exit_status.hpp"
#include "cli/service.hpp"
#include "patience.hpp"

// What is asked of the service as a whole.
namespace porthole::cli {
namespace {

Dictionary only_at(std::uint64_t generation) {
    return {{"if-generation", sdbus::Variant(generation)}};
}

}  // namespace

void Service::apply(const Difference& difference, std::uint64_t generation) {
    using Wire = sdbus::Struct<std::string, std::string, std::uint16_t, std::uint16_t, std::string,
                               std::string>;
    std::vector<Wire> rows;
    const auto add = [&](const Wanted& wanted) {
        rows.emplace_back(wanted.host, wanted.protocol, wanted.port,
                          wanted.external_port.value_or(0), wanted.filtering.value_or(""),
                          wanted.comment.value_or(""));
    };
    for (const auto& wanted : difference.added) add(wanted);
    for (const auto& [row, wanted] : difference.changed) add(wanted);
    std::vector<std::uint64_t> ids;
    for (const auto& row : difference.removed) ids.push_back(row.id);

    const auto reserve = [&](std::uint64_t at) {
        if (rows.empty()) return false;
        auto options = only_at(at);
        options["settle"] = sdbus::Variant(true);
        patiently([&] { proxy_.ReserveMany(rows, options); });
        return true;
    };
    const auto release = [&](std::uint64_t at) {
        if (ids.empty()) return false;
        patiently([&] { proxy_.Release(ids, only_at(at)); });
        return true;
    };
    // One change is one generation more: where it is not, somebody else has changed something.
    const auto both = [&](const auto& first, const auto& second, const char* done) {
        const bool changed = first(generation);
        try {
            second(changed ? generation + 1 : generation);
        } catch (const sdbus::Error& error) {
            if (!changed) throw;
            throw sdbus::Error(error.getName(),
                               fmt::format("{}; what was to be {} is done, the rest is not",
                                           error.getMessage(), done));
        }
    };
    if (difference.needs_removed_port()) {
        both(release, reserve, "released");
    } else {
        both(reserve, release, "reserved");
    }
}

void Service::reload() { proxy_.Reload(); }

void Service::set_enabled(bool enabled) { proxy_.SetEnabled(enabled, {}); }

std::uint64_t Service::start_checkpoint(std::uint32_t seconds) {
    return proxy_.Checkpoint(seconds, {});
}

void Service::extend_checkpoint(const ExtendCheckpoint& request) {
    proxy_.Extend(request.id, request.seconds);
}

void Service::end_checkpoint(const EndCheckpoint& request) {
    request.keep ? proxy_.Commit(request.id) : proxy_.Rollback(request.id);
}

Dictionary Service::active_checkpoint() { return proxy_.ActiveCheckpoint(); }

}  // namespace porthole::cli
