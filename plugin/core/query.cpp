// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/query.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace porthole {
namespace {

constexpr std::array<std::pair<SortKey, std::string_view>, 9> sort_key_names{{
    {SortKey::id, "id"},
    {SortKey::host, "host"},
    {SortKey::protocol, "protocol"},
    {SortKey::internal_port, "internal-port"},
    {SortKey::external_port, "external-port"},
    {SortKey::origin, "origin"},
    {SortKey::state, "state"},
    {SortKey::expires, "expires"},
    {SortKey::last_seen, "last-seen"},
}};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool contains_ignoring_case(std::string_view text, std::string_view part) {
    const auto same = [](char a, char b) { return lower(a) == lower(b); };
    return std::search(text.begin(), text.end(), part.begin(), part.end(), same) != text.end();
}

bool matches(const Reservation& row, const ReservationQuery& query) {
    const auto& internal = row.internal;
    if (query.host && internal.host != *query.host) return false;
    if (query.protocol && internal.protocol != *query.protocol) return false;
    if (query.port && internal.port != *query.port && row.external_port != *query.port)
        return false;
    if (query.origin && row.origin != *query.origin) return false;
    const auto state = query.all_wait ? ReservationState::waiting : row.state;
    if (query.state && state != *query.state) return false;
    return query.search.empty() || contains_ignoring_case(row.comment.text(), query.search) ||
           contains_ignoring_case(to_text(internal.host), query.search);
}

// The order of one column; equal where the rows do not differ in it.
std::strong_ordering compare(const Reservation& a, const Reservation& b, SortKey key) {
    switch (key) {
        case SortKey::id:
            return a.id <=> b.id;
        case SortKey::host:
            return a.internal.host <=> b.internal.host;
        case SortKey::protocol:
            return a.internal.protocol <=> b.internal.protocol;
        case SortKey::internal_port:
            return a.internal.port <=> b.internal.port;
        case SortKey::external_port:
            return a.external_port <=> b.external_port;
        case SortKey::origin:
            return a.origin <=> b.origin;
        case SortKey::state:
            return a.state <=> b.state;
        case SortKey::expires: {
            const auto end = [](Time expires) { return expires == never ? Time::max() : expires; };
            return end(a.expires) <=> end(b.expires);
        }
        case SortKey::last_seen:
            return a.last_seen <=> b.last_seen;
    }
    return std::strong_ordering::equal;
}

}  // namespace

std::optional<SortKey> TextForm<SortKey>::parse(std::string_view text) {
    for (const auto& [key, name] : sort_key_names) {
        if (name == text) return key;
    }
    return std::nullopt;
}

std::string TextForm<SortKey>::format(const SortKey& key) {
    return std::string(sort_key_names.at(static_cast<std::size_t>(key)).second);
}

ReservationPage list(const Reservations& reservations, const ReservationQuery& query,
                     std::size_t offset, std::size_t limit) {
    std::vector<const Reservation*> found;
    for (const auto& [id, row] : reservations.rows()) {
        if (matches(row, query)) found.push_back(&row);
    }
    const auto before = [&query](const Reservation* a, const Reservation* b) {
        const auto order = compare(*a, *b, query.sort);
        if (order == 0) return a->id < b->id;
        return query.descending ? order > 0 : order < 0;
    };
    const auto first = std::min(offset, found.size());
    const auto last = first + std::min(limit, found.size() - first);
    std::ranges::partial_sort(found, found.begin() + static_cast<std::ptrdiff_t>(last), before);

    ReservationPage page;
    page.total = found.size();
    page.rows.reserve(last - first);
    for (auto i = first; i < last; ++i) page.rows.push_back(*found[i]);
    return page;
}

}  // namespace porthole
