// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/reservations.hpp"

namespace porthole {

/// What to sort a list by. Rows that are equal in it are sorted by id.
enum class SortKey : std::uint8_t {
    id,
    host,
    protocol,
    internal_port,
    external_port,
    origin,
    state,
    expires,    ///< never comes last
    last_seen,  ///< never comes first
};

template <>
struct TextForm<SortKey> {
    static constexpr std::string_view allowed =
        "\"id\", \"host\", \"protocol\", \"internal-port\", \"external-port\", \"origin\", "
        "\"state\", \"expires\" or \"last-seen\"";
    static std::optional<SortKey> parse(std::string_view text);
    static std::string format(const SortKey& key);
};

/// Which reservations to list, all conditions together; none matches everything.
struct ReservationQuery {
    std::optional<HostKey> host = std::nullopt;
    std::optional<Protocol> protocol = std::nullopt;
    std::optional<Port> port = std::nullopt;  ///< internal or external
    std::optional<Origin> origin = std::nullopt;
    std::optional<ReservationState> state = std::nullopt;
    bool all_wait = false;    ///< whatever their state is: nothing is in force
    std::string search = {};  ///< part of the host's or the comment's text, ASCII case ignored
    SortKey sort = SortKey::id;
    bool descending = false;
};

/// A part of what a query found.
struct ReservationPage {
    std::vector<Reservation> rows;
    std::size_t total = 0;  ///< how many there are in all parts
};

constexpr std::size_t max_page_rows = 500;

ReservationPage list(const Reservations& reservations, const ReservationQuery& query,
                     std::size_t offset, std::size_t limit);

}  // namespace porthole
