// SPDX-License-Identifier: GPL-2.0-or-later
#include "types/place.hpp"

namespace porthole {

std::optional<Place> TextForm<Place>::parse(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    auto host = text.substr(0, colon);
    const bool bracketed = host.starts_with('[') && host.ends_with(']');
    if (bracketed) host = host.substr(1, host.size() - 2);
    const auto address = TextForm<Address>::parse(host);
    const auto port = TextForm<Port>::parse(text.substr(colon + 1));
    if (!address || !port || bracketed != (address->family() == Family::ipv6)) return std::nullopt;
    return Place{*address, *port};
}

std::string TextForm<Place>::format(const Place& place) {
    const auto address = to_text(place.address);
    const auto host = place.address.family() == Family::ipv6 ? '[' + address + ']' : address;
    return host + ':' + to_text(place.port);
}

}  // namespace porthole
