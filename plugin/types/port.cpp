// SPDX-License-Identifier: GPL-2.0-or-later
#include "types/port.hpp"

#include <charconv>

namespace porthole {

std::optional<Port> TextForm<Port>::parse(std::string_view text) {
    std::uint64_t value = 0;
    const auto* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || rest != end) return std::nullopt;
    return Port::from(value);
}

std::string TextForm<Port>::format(const Port& port) { return std::to_string(port.value()); }

std::optional<PortRange> TextForm<PortRange>::parse(std::string_view text) {
    const auto dash = text.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    const auto first = TextForm<Port>::parse(text.substr(0, dash));
    const auto last = TextForm<Port>::parse(text.substr(dash + 1));
    if (!first || !last) return std::nullopt;
    return PortRange::from(*first, *last);
}

std::string TextForm<PortRange>::format(const PortRange& range) {
    return to_text(range.first()) + "-" + to_text(range.last());
}

std::optional<Protocol> TextForm<Protocol>::parse(std::string_view text) {
    if (text == "udp") return Protocol::udp;
    if (text == "tcp") return Protocol::tcp;
    return std::nullopt;
}

std::string TextForm<Protocol>::format(const Protocol& protocol) {
    return protocol == Protocol::udp ? "udp" : "tcp";
}

std::string to_text(const ProtocolPort& port) {
    return to_text(port.port) + "/" + to_text(port.protocol);
}

}  // namespace porthole
