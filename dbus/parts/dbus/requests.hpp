// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

#include "core/gateway.hpp"
#include "dbus/values.hpp"

namespace porthole::dbus {

// What D-Bus callers ask for, as requests to core. These functions know the names and D-Bus types
// of arguments and options and change nothing. They throw InvalidArgument, and Refused
// (`unsupported`) for options of the contract that this version does not have.

struct ReserveCall {
    ReserveRequest request;
    IfGeneration if_generation;
    bool settle;  ///< answer only when the flows are settled
};

struct ReserveManyCall {
    std::vector<ReserveRequest> requests;
    IfGeneration if_generation;
    bool settle;  ///< answer only when the flows are settled
};

struct ChangeCall {
    ReservationId id;
    ReservationChanges changes;
    IfGeneration if_generation;
    bool settle;  ///< answer only when the flows are settled
};

struct ReleaseCall {
    std::vector<ReservationId> ids;
    IfGeneration if_generation;
};

struct ListCall {
    ReservationQuery query;
    std::size_t offset;
    std::size_t limit;
};

struct FindCall {
    Protocol protocol;
    Port external_port;
};

struct Page {
    std::size_t offset;
    std::size_t limit;
};

struct ExplainCall {
    Endpoint from;
    Place remote;
};

ReserveCall parse_reserve(const std::string& host, const std::string& protocol,
                          std::uint16_t internal_port, const Dictionary& options);
ReserveManyCall parse_reserve_many(const std::vector<RequestRow>& rows, const Dictionary& options);
ChangeCall parse_change(std::uint64_t id, const Dictionary& changes, const Dictionary& options);
std::chrono::seconds parse_checkpoint(std::uint32_t seconds, const Dictionary& options = {});
/// For calls that have no options so far.
void parse_no_options(const Dictionary& options);
IfGeneration parse_resolve(const Dictionary& options);
ReleaseCall parse_release(const std::vector<std::uint64_t>& ids, const Dictionary& options);
Page parse_page(std::uint32_t offset, std::uint32_t limit);
ListCall parse_list(const Dictionary& query, std::uint32_t offset, std::uint32_t limit);
FindCall parse_find(const std::string& protocol, std::uint16_t external_port);
ExplainCall parse_explain(const std::string& host, const std::string& protocol, std::uint16_t port,
                          const std::string& remote, const Dictionary& options);

}  // namespace porthole::dbus
