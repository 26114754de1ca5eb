// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <variant>

#include "types/reservation.hpp"
#include "types/wireguard.hpp"

// How people describe a tunnel: what wg-quick(8) has in its files.
namespace porthole {

/// A host name, or an address with a zone, that an address is to be found for, and the port there.
struct NamedPlace {
    std::string host;
    Port port;
    auto operator<=>(const NamedPlace&) const = default;
};

/// Where a peer is to be found.
using EndpointSetting = std::variant<Place, NamedPlace>;

/// An address of an interface and the length of its network's prefix.
struct InterfaceAddress {
    Address address;
    unsigned prefix_length = 0;
    auto operator<=>(const InterfaceAddress&) const = default;
};

/// Which routing table gets the routes to allowed IPs.
struct RouteTable {
    enum class Choice : std::uint8_t { automatic, off, number };
    Choice choice = Choice::automatic;
    std::uint32_t number = 0;  ///< with Choice::number
    bool operator==(const RouteTable&) const = default;
};

/// The address of a name server, or a search domain.
class DnsEntry {
  public:
    [[nodiscard]] const std::string& text() const { return text_; }
    auto operator<=>(const DnsEntry&) const = default;

  private:
    friend struct TextForm<DnsEntry>;
    explicit DnsEntry(std::string_view text) : text_(text) {}
    std::string text_;
};

/// What the MTU of a tunnel can be, in bytes (wg_setup() in the kernel's device.c).
constexpr std::uint32_t least_mtu = 576;
constexpr std::uint32_t most_mtu = 65455;

/// Of a peer that is described without one: a NAT forgets a flow after 30 s, and retries cost
/// nothing.
constexpr Keepalive default_keepalive{5};

struct PeerSettings {
    PublicKey public_key;
    Comment name = {};  ///< for people; wg-quick(8) has none
    std::optional<PresharedKey> preshared_key = std::nullopt;
    std::optional<EndpointSetting> endpoint = std::nullopt;
    Keepalive keepalive{0};
    std::vector<Network> allowed_ips = {};  ///< sorted, each once
    bool operator==(const PeerSettings&) const = default;
};

struct TunnelSettings {
    std::optional<PrivateKey> private_key = std::nullopt;
    std::optional<Port> listen_port = std::nullopt;  ///< nothing: the kernel chooses one
    std::uint32_t fwmark = 0;                        ///< 0: none
    std::vector<InterfaceAddress> addresses = {};
    std::optional<std::uint32_t> mtu = std::nullopt;  ///< in bytes; nothing: from the path
    std::vector<std::string> dns = {};                ///< servers and search domains
    RouteTable table = {};
    std::uint32_t metric = 0;  ///< of the routes; wg-quick(8) has none
    std::vector<PeerSettings> peers = {};
    bool operator==(const TunnelSettings&) const = default;
};

template <>
struct TextForm<EndpointSetting> {
    static constexpr std::string_view allowed =
        "a host and a port like \"gw.example.net:51820\", \"203.0.113.9:51820\" or "
        "\"[2001:db8::9]:51820\"";
    static std::optional<EndpointSetting> parse(std::string_view text);
    static std::string format(const EndpointSetting& endpoint);
};

template <>
struct TextForm<InterfaceAddress> {
    static constexpr std::string_view allowed =
        "an address like \"10.9.0.1/24\"; without a prefix length, of one host";
    static std::optional<InterfaceAddress> parse(std::string_view text);
    static std::string format(const InterfaceAddress& address);
};

template <>
struct TextForm<DnsEntry> {
    static constexpr std::string_view allowed = "addresses of servers and search domains";
    static std::optional<DnsEntry> parse(std::string_view text);
    static std::string format(const DnsEntry& entry) { return entry.text(); }
};

template <>
struct TextForm<RouteTable> {
    static constexpr std::string_view allowed =
        "\"auto\", \"off\" or a number from 1 to 4294967295";
    static std::optional<RouteTable> parse(std::string_view text);
    static std::string format(const RouteTable& table);
};

}  // namespace porthole
