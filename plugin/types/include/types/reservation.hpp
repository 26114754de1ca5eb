// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "types/host_key.hpp"
#include "types/port.hpp"

namespace porthole {

/// The stable and only key of a reservation; never used again after a release.
enum class ReservationId : std::uint64_t {};

constexpr std::uint64_t number(ReservationId id) { return static_cast<std::uint64_t>(id); }

/// Which packets from outside reach the owner (RFC 4787 section 5).
enum class Filtering : std::uint8_t {
    endpoint_independent,
    address_dependent,
    address_and_port_dependent,
};

/// Who asked for a reservation.
enum class Origin : std::uint8_t {
    configured,  ///< "static": the configuration file
    api,         ///< a D-Bus client
    automatic,   ///< "auto": claimed for a host that was seen
};

enum class ReservationState : std::uint8_t {
    settling,  ///< right for new flows, old wrong ones are being purged
    active,
    waiting,  ///< not in force: the host has no address now, or others still use the port
};

/// Free text that people attach to a reservation.
class Comment {
  public:
    static constexpr std::size_t max_bytes = 128;
    Comment() = default;
    Comment(const Comment& other) : Comment(other.text()) {}
    Comment(Comment&&) = default;
    Comment& operator=(const Comment& other) { return *this = Comment(other); }
    Comment& operator=(Comment&&) = default;
    ~Comment() = default;

    [[nodiscard]] std::string_view text() const {
        return text_ ? std::string_view(*text_) : std::string_view();
    }
    auto operator<=>(const Comment& other) const { return text() <=> other.text(); }
    bool operator==(const Comment& other) const { return text() == other.text(); }

  private:
    friend struct TextForm<Comment>;
    explicit Comment(std::string_view text)
        : text_(text.empty() ? nullptr : std::make_unique<const std::string>(text)) {}
    std::unique_ptr<const std::string> text_;  // nothing: empty, as most are
};

/// Seconds since 1970, UTC.
using Time = std::chrono::sys_seconds;

constexpr Time never{};

/// The inner end of a reservation: a host keeps one reservation for each of these.
struct Endpoint {
    HostKey host;
    Protocol protocol;
    Port port;
    auto operator<=>(const Endpoint&) const = default;
};

inline bool known_by_mac(const Endpoint& endpoint) {
    return std::holds_alternative<MacAddress>(endpoint.host);
}

/// IPv6 hosts keep their addresses and ports outside: what they reserve is not translated.
inline bool is_translated(const Endpoint& endpoint) {
    const auto* address = std::get_if<Address>(&endpoint.host);
    return address == nullptr || address->family() == Family::ipv4;
}

/// (host, protocol, internal port) <-> external port, the same one where nothing is translated.
struct Reservation {
    ReservationId id;
    Endpoint internal;
    Port external_port;
    Filtering filtering;
    Origin origin;
    ReservationState state;
    // Here they fit in without a gap: many rows are kept.
    /// Of the host that an automatic reservation was made for; nothing for others.
    std::optional<MacAddress> mac = std::nullopt;
    /// Of a host that is known by its MAC address: its IPv4 address, as far as that is known and
    /// nobody else has reserved the port for that address.
    std::optional<Address> address = std::nullopt;
    Comment comment;
    Time expires = never;
    Time last_seen = never;
    /// Of a host that is known by its MAC address: its IPv6 addresses, likewise. Sorted.
    std::vector<Address> ipv6_addresses = {};
    bool operator==(const Reservation&) const = default;
};

template <>
struct TextForm<Filtering> {
    static constexpr std::string_view allowed =
        "\"address-dependent\", \"address-and-port-dependent\" or \"endpoint-independent\"";
    static std::optional<Filtering> parse(std::string_view text);
    static std::string format(const Filtering& filtering);
};

template <>
struct TextForm<Origin> {
    static constexpr std::string_view allowed = "\"static\", \"api\" or \"auto\"";
    static std::optional<Origin> parse(std::string_view text);
    static std::string format(const Origin& origin);
};

template <>
struct TextForm<ReservationState> {
    static constexpr std::string_view allowed = "\"settling\", \"active\" or \"waiting\"";
    static std::optional<ReservationState> parse(std::string_view text);
    static std::string format(const ReservationState& state);
};

template <>
struct TextForm<Comment> {
    static constexpr std::string_view allowed =
        "at most 128 bytes of UTF-8 without control characters";
    static std::optional<Comment> parse(std::string_view text);
    static std::string format(const Comment& comment);
};

}  // namespace porthole
