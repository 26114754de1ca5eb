// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <compare>
#include <cstdint>

#include "types/text.hpp"

namespace porthole {

/// A transport port from 1 to 65535, in host byte order.
class Port {
  public:
    /// Nothing if `value` is 0 or above 65535.
    static constexpr std::optional<Port> from(std::uint64_t value) {
        if (value == 0 || value > 65535) return std::nullopt;
        return Port(static_cast<std::uint16_t>(value));
    }
    /// For constants: a wrong one does not compile.
    template <std::uint16_t value>
    static constexpr Port constant() {
        static_assert(value != 0);
        return Port(value);
    }
    [[nodiscard]] constexpr std::uint16_t value() const { return value_; }
    auto operator<=>(const Port&) const = default;

  private:
    explicit constexpr Port(std::uint16_t value) : value_(value) {}
    std::uint16_t value_;
};

/// All ports from `first` to `last`, both included.
class PortRange {
  public:
    /// Nothing if `first` is above `last`.
    static constexpr std::optional<PortRange> from(Port first, Port last) {
        if (first > last) return std::nullopt;
        return PortRange(first, last);
    }
    [[nodiscard]] constexpr Port first() const { return first_; }
    [[nodiscard]] constexpr Port last() const { return last_; }
    [[nodiscard]] constexpr bool contains(Port port) const {
        return first_ <= port && port <= last_;
    }
    bool operator==(const PortRange&) const = default;

  private:
    constexpr PortRange(Port first, Port last) : first_(first), last_(last) {}
    Port first_;
    Port last_;
};

/// The transport protocols that have reservations; the values are IANA's protocol numbers.
enum class Protocol : std::uint8_t { tcp = 6, udp = 17 };

/// A port of one protocol.
struct ProtocolPort {
    Protocol protocol;
    Port port;
    auto operator<=>(const ProtocolPort&) const = default;
};

/// As in "51820/udp".
std::string to_text(const ProtocolPort& port);

template <>
struct TextForm<Port> {
    static constexpr std::string_view allowed = "a port from 1 to 65535";
    static std::optional<Port> parse(std::string_view text);
    static std::string format(const Port& port);
};

template <>
struct TextForm<PortRange> {
    static constexpr std::string_view allowed =
        "a range of ports like \"51820-51899\", from 1 to 65535, the lower one first";
    static std::optional<PortRange> parse(std::string_view text);
    static std::string format(const PortRange& range);
};

template <>
struct TextForm<Protocol> {
    static constexpr std::string_view allowed = "\"udp\" or \"tcp\"";
    static std::optional<Protocol> parse(std::string_view text);
    static std::string format(const Protocol& protocol);
};

}  // namespace porthole
