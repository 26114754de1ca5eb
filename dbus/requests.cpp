// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/requests.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/checkpoints.hpp"
#include "dbus/reader.hpp"

namespace porthole::dbus {
namespace {

// A reservation that is to stay until it is released has no lifetime.
std::optional<std::chrono::seconds> unless_zero(std::optional<std::chrono::seconds> lifetime) {
    return lifetime == std::chrono::seconds::zero() ? std::nullopt : lifetime;
}

IfGeneration parse_only_if_generation(const Dictionary& options) {
    Reader reader(options);
    const auto if_generation = reader.if_generation();
    reader.finish();
    return if_generation;
}

Endpoint parse_endpoint(const std::string& host, const std::string& protocol,
                        std::uint16_t internal_port) {
    return {parse<HostKey>("host", host), parse<Protocol>("protocol", protocol),
            parse_port("internal-port", internal_port)};
}

ReserveRequest parse_row(const RequestRow& row) {
    const auto& [host, protocol, internal, external, filtering, comment] = fields(row);
    ReserveRequest request{.internal = parse_endpoint(host, protocol, internal)};
    if (external != 0) request.external_port = parse_port("external-port", external);
    if (!filtering.empty()) request.filtering = parse<Filtering>("filtering", filtering);
    request.comment = parse<Comment>("comment", comment);
    return request;
}

}  // namespace

ReserveCall parse_reserve(const std::string& host, const std::string& protocol,
                          std::uint16_t internal_port, const Dictionary& options) {
    ReserveRequest request{.internal = parse_endpoint(host, protocol, internal_port)};
    Reader reader(options);
    reader.refuse("wan");
    request.external_port = reader.port("external-port");
    request.external_address = reader.parsed<ExternalAddress>("external-address");
    request.on_conflict = reader.parsed<OnConflict>("on-conflict").value_or(OnConflict::fail);
    request.filtering = reader.parsed<Filtering>("filtering");
    request.lifetime = unless_zero(reader.lifetime());
    request.comment = reader.parsed<Comment>("comment");
    const auto if_generation = reader.if_generation();
    const auto settle = reader.settle();
    reader.finish();
    return {std::move(request), if_generation, settle};
}

ReserveManyCall parse_reserve_many(const std::vector<RequestRow>& rows, const Dictionary& options) {
    Reader reader(options);
    const auto on_conflict = reader.parsed<OnConflict>("on-conflict").value_or(OnConflict::fail);
    const auto lifetime = unless_zero(reader.lifetime());
    ReserveManyCall call{{}, reader.if_generation(), reader.settle()};
    reader.finish();

    call.requests.reserve(rows.size());
    for (const auto& row : rows) {
        try {
            auto& request = call.requests.emplace_back(parse_row(row));
            request.on_conflict = on_conflict;
            request.lifetime = lifetime;
        } catch (const InvalidArgument& error) {
            throw InvalidArgument(fmt::format("rows[{}]: {}", call.requests.size(), error.what()));
        }
    }
    return call;
}

ChangeCall parse_change(std::uint64_t id, const Dictionary& changes, const Dictionary& options) {
    Reader reader(changes);
    ReservationChanges wanted;
    wanted.external_port = reader.port("external-port");
    wanted.external_address = reader.parsed<ExternalAddress>("external-address");
    wanted.filtering = reader.parsed<Filtering>("filtering");
    wanted.lifetime = reader.lifetime();
    wanted.comment = reader.parsed<Comment>("comment");
    reader.finish();
    Reader option_reader(options);
    const auto if_generation = option_reader.if_generation();
    const auto settle = option_reader.settle();
    option_reader.finish();
    return {ReservationId{id}, std::move(wanted), if_generation, settle};
}

ReleaseCall parse_release(const std::vector<std::uint64_t>& ids, const Dictionary& options) {
    ReleaseCall call{{}, parse_only_if_generation(options)};
    call.ids.reserve(ids.size());
    for (const auto id : ids) call.ids.push_back(ReservationId{id});
    return call;
}

IfGeneration parse_resolve(const Dictionary& options) { return parse_only_if_generation(options); }

std::chrono::seconds parse_checkpoint(std::uint32_t seconds, const Dictionary& options) {
    Reader(options).finish();
    const std::chrono::seconds length(seconds);
    if (length >= std::chrono::seconds(1) && length <= Checkpoints::longest) return length;
    throw InvalidArgument("seconds", std::to_string(seconds),
                          fmt::format("a number from 1 to {}", Checkpoints::longest.count()));
}

void parse_no_options(const Dictionary& options) { Reader(options).finish(); }

Page parse_page(std::uint32_t offset, std::uint32_t limit) {
    if (limit <= max_page_rows) return {offset, limit};
    throw InvalidArgument("limit", std::to_string(limit),
                          fmt::format("a number from 0 to {}", max_page_rows));
}

ListCall parse_list(const Dictionary& query, std::uint32_t offset, std::uint32_t limit) {
    const auto page = parse_page(offset, limit);
    Reader reader(query);
    ReservationQuery wanted;
    wanted.host = reader.parsed<HostKey>("host");
    wanted.protocol = reader.parsed<Protocol>("protocol");
    wanted.port = reader.port("port");
    wanted.origin = reader.parsed<Origin>("origin");
    wanted.state = reader.parsed<ReservationState>("state");
    wanted.search = reader.value<std::string>("search").value_or("");
    wanted.sort = reader.parsed<SortKey>("sort").value_or(SortKey::id);
    wanted.descending = reader.value<bool>("descending").value_or(false);
    reader.finish();
    return {std::move(wanted), page.offset, page.limit};
}

ExplainCall parse_explain(const std::string& host, const std::string& protocol, std::uint16_t port,
                          const std::string& remote, const Dictionary& options) {
    Reader(options).finish();
    return {{parse<HostKey>("host", host), parse<Protocol>("protocol", protocol),
             parse_port("port", port)},
            parse<Place>("remote", remote)};
}

FindCall parse_find(const std::string& protocol, std::uint16_t external_port) {
    return {parse<Protocol>("protocol", protocol), parse_port("external-port", external_port)};
}

}  // namespace porthole::dbus
