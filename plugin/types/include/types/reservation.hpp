// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <optional>
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
    waiting,  ///< not in force: host or WAN have not the address now, or others still use the port
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

/// An IPv4 address or nothing, in four bytes: many rows are kept.
class OptionalIpv4 {
  public:
    OptionalIpv4() = default;
    // NOLINTBEGIN(google-explicit-constructor): they are the same but for their size.
    OptionalIpv4(std::nullopt_t /*nothing*/) {}
    OptionalIpv4(const Address& address) : value_(address.v4_value()) {}
    OptionalIpv4(const std::optional<Address>& address)
        : value_(address ? address->v4_value() : 0) {}
    // NOLINTEND(google-explicit-constructor)
    [[nodiscard]] std::optional<Address> get() const {
        return *this ? std::optional(**this) : std::nullopt;
    }
    explicit operator bool() const { return value_ != 0; }
    Address operator*() const { return Address::v4(value_); }
    void reset() { value_ = 0; }
    auto operator<=>(const OptionalIpv4&) const = default;

  private:
    std::uint32_t value_ = 0;  // 0.0.0.0 is nobody's
};

/// The one IPv4 address of the WANs' that a reservation is bound to; or any: it has its port on all
/// of them, and leaves from the one that the kernel chooses. In four bytes: many rows are kept.
class ExternalAddress {
  public:
    ExternalAddress() = default;
    /// Any, for IPv6 too.
    explicit ExternalAddress(const std::optional<Address>& address);

    /// Nothing: any.
    [[nodiscard]] std::optional<Address> fixed() const;
    [[nodiscard]] bool is_any() const { return *this == ExternalAddress(); }
    auto operator<=>(const ExternalAddress&) const = default;

  private:
    std::array<std::uint8_t, 4> bytes_{};  // all zeros: any
};

/// The outer end of a reservation that is translated.
struct ExternalEndpoint {
    Protocol protocol;
    Port port;
    ExternalAddress address = {};
    auto operator<=>(const ExternalEndpoint&) const = default;
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

/// Whether the host is given by an IPv6 address: it has no part in IPv4.
inline bool is_ipv6(const Endpoint& endpoint) {
    const auto* address = std::get_if<Address>(&endpoint.host);
    return address != nullptr && address->family() == Family::ipv6;
}

/// (host, protocol, internal port) <-> external port, the same one where nothing is translated.
struct Reservation {
    ReservationId id;
    Endpoint internal;
    Port external_port;
    Filtering filtering;
    Origin origin;
    ReservationState state;
    /// NAT66: the external port is its own on the WANs' IPv6 addresses, too.
    bool nat66 = false;
    /// Where it is so, of a host that is known by its MAC address: which of `ipv6_addresses` shows
    /// that port outside. Behind the last: none.
    std::uint8_t nat66_place = 0;
    /// Whose client asked for it last: a user id. Root's and the file's are not counted.
    std::uint32_t user = 0;
    // Here they fit in without a gap: many rows are kept.
    /// Of the host that an automatic reservation was made for; nothing for others.
    std::optional<MacAddress> mac = std::nullopt;
    /// Of a host that is known by its MAC address: its IPv4 address, as far as that is known and
    /// nobody else has reserved the port for that address.
    OptionalIpv4 address = std::nullopt;
    ExternalAddress external_address = {};
    Comment comment;
    Time expires = never;
    Time last_seen = never;
    /// Of a host that is known by its MAC address: its IPv6 addresses, likewise. Sorted.
    std::vector<Address> ipv6_addresses = {};
    bool operator==(const Reservation&) const = default;
};

inline ExternalEndpoint external_endpoint(const Reservation& row) {
    return {row.internal.protocol, row.external_port, row.external_address};
}

/// Where NAT66 translates from and to; nothing where it does not.
inline std::optional<Address> nat66_host(const Reservation& row) {
    if (!row.nat66) return std::nullopt;
    if (const auto* address = std::get_if<Address>(&row.internal.host)) return *address;
    if (row.nat66_place >= row.ipv6_addresses.size()) return std::nullopt;
    return row.ipv6_addresses[row.nat66_place];
}

template <>
struct TextForm<Filtering> {
    static constexpr std::string_view allowed =
        "\"address-dependent\", \"address-and-port-dependent\" or \"endpoint-independent\"";
    static std::optional<Filtering> parse(std::string_view text);
    static std::string format(const Filtering& filtering);
};

template <>
struct TextForm<ExternalAddress> {
    static constexpr std::string_view allowed =
        "an IPv4 address of a WAN, or \"any\" for all of them";
    static std::optional<ExternalAddress> parse(std::string_view text);
    static std::string format(const ExternalAddress& address);
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
