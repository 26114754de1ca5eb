// SPDX-License-Identifier: GPL-2.0-or-later
#include "types/tunnel.hpp"

#include <algorithm>
#include <charconv>

namespace porthole {
namespace {

constexpr std::size_t longest_name = 253;  // RFC 1035 section 2.3.4, as text

template <typename Number>
std::optional<Number> number_from(std::string_view text) {
    Number value = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end) return std::nullopt;
    return value;
}

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Labels of letters, digits, '-' and '_', none of them empty but for the root at the end.
bool is_host_name(std::string_view text) {
    if (text.ends_with('.')) text.remove_suffix(1);
    if (text.empty() || text.size() > longest_name) return false;
    char last = '.';
    for (const char c : text) {
        if (c == '.' ? last == '.' : !is_alphanumeric(c) && c != '-' && c != '_') return false;
        last = c;
    }
    return last != '.';
}

// "fe80::1%eth0"
bool is_zoned_address(std::string_view text) {
    const auto percent = text.find('%');
    if (percent == std::string_view::npos) return false;
    const auto address = TextForm<Address>::parse(text.substr(0, percent));
    const auto zone = text.substr(percent + 1);
    const bool is_zone = !zone.empty() && std::ranges::all_of(zone, [](char c) {
        return is_alphanumeric(c) || std::string_view("-_.").find(c) != std::string_view::npos;
    });
    return address && address->family() == Family::ipv6 && is_zone;
}

}  // namespace

std::optional<EndpointSetting> TextForm<EndpointSetting>::parse(std::string_view text) {
    if (const auto place = TextForm<Place>::parse(text)) return *place;
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto port = TextForm<Port>::parse(text.substr(colon + 1));
    auto host = text.substr(0, colon);
    const bool bracketed = host.starts_with('[') && host.ends_with(']') && host.size() > 2;
    if (bracketed) host = host.substr(1, host.size() - 2);
    // Digits and dots alone are an address that is none.
    const bool numeric = host.find_first_not_of("0123456789.") == std::string_view::npos;
    const bool is_known = bracketed ? is_zoned_address(host) : !numeric && is_host_name(host);
    if (!port || !is_known) return std::nullopt;
    return NamedPlace{std::string(host), *port};
}

std::string TextForm<EndpointSetting>::format(const EndpointSetting& endpoint) {
    if (const auto* place = std::get_if<Place>(&endpoint)) return to_text(*place);
    const auto& [host, port] = std::get<NamedPlace>(endpoint);
    const bool zoned = host.find('%') != std::string::npos;
    return (zoned ? '[' + host + ']' : host) + ':' + to_text(port);
}

std::optional<InterfaceAddress> TextForm<InterfaceAddress>::parse(std::string_view text) {
    const auto slash = text.find('/');
    const auto address = TextForm<Address>::parse(text.substr(0, slash));
    if (!address) return std::nullopt;
    const unsigned most = address->family() == Family::ipv4 ? 32 : 128;
    if (slash == std::string_view::npos) return InterfaceAddress{*address, most};
    const auto length = number_from<unsigned>(text.substr(slash + 1));
    if (!length || *length > most) return std::nullopt;
    return InterfaceAddress{*address, *length};
}

std::string TextForm<InterfaceAddress>::format(const InterfaceAddress& address) {
    return to_text(address.address) + '/' + std::to_string(address.prefix_length);
}

// It goes into a file for wg-quick(8), and into somebody's resolver configuration.
std::optional<DnsEntry> TextForm<DnsEntry>::parse(std::string_view text) {
    const bool is_plain = std::ranges::all_of(text, [](char c) {
        return is_alphanumeric(c) || std::string_view(".-_:").find(c) != std::string_view::npos;
    });
    if (text.empty() || text.size() > longest_name || !is_plain) return std::nullopt;
    return DnsEntry(text);
}

std::optional<RouteTable> TextForm<RouteTable>::parse(std::string_view text) {
    if (text == "auto") return RouteTable{};
    if (text == "off") return RouteTable{RouteTable::Choice::off};
    const auto number = number_from<std::uint32_t>(text);
    if (!number || *number == 0) return std::nullopt;
    return RouteTable{RouteTable::Choice::number, *number};
}

std::string TextForm<RouteTable>::format(const RouteTable& table) {
    switch (table.choice) {
        case RouteTable::Choice::automatic:
            return "auto";
        case RouteTable::Choice::off:
            return "off";
        case RouteTable::Choice::number:
            break;
    }
    return std::to_string(table.number);
}

}  // namespace porthole
