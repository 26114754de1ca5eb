// SPDX-License-Identifier: GPL-2.0-or-later
#include "wg/messages.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/wireguard.h>
#include <netinet/in.h>

#include "netlink/generic.hpp"

namespace porthole::wg {
namespace {

using Payload = std::optional<std::span<const std::byte>>;

// A nest's length is 16 bits, and all peers of a message are in one.
constexpr std::size_t most_bytes = 48UL * 1024;
// Behind what is checked last: the ends of nests, and a peer's head with key, endpoint and times.
constexpr std::size_t head_bytes = 256;
constexpr std::size_t allowed_ip_bytes = 64;

bool is_full(const nlmsghdr* message, std::size_t wanted) {
    return message->nlmsg_len + wanted > most_bytes;
}

void put(nlmsghdr* message, std::uint16_t type, std::span<const std::uint8_t> bytes) {
    mnl_attr_put(message, type, bytes.size(), bytes.data());
}

void put_endpoint(nlmsghdr* message, const PeerEndpoint& endpoint) {
    const auto bytes = endpoint.place.address.bytes();
    const auto port = htons(endpoint.place.port.value());
    if (endpoint.place.address.family() == Family::ipv4) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = port;
        std::memcpy(&address.sin_addr, bytes.data(), bytes.size());
        mnl_attr_put(message, WGPEER_A_ENDPOINT, sizeof address, &address);
        return;
    }
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = port;
    address.sin6_scope_id = endpoint.scope;
    std::memcpy(&address.sin6_addr, bytes.data(), bytes.size());
    mnl_attr_put(message, WGPEER_A_ENDPOINT, sizeof address, &address);
}

void put_allowed_ip(nlmsghdr* message, const Network& network) {
    auto* nest = mnl_attr_nest_start(message, 0);
    const bool ipv4 = network.address().family() == Family::ipv4;
    mnl_attr_put_u16(message, WGALLOWEDIP_A_FAMILY, ipv4 ? AF_INET : AF_INET6);
    put(message, WGALLOWEDIP_A_IPADDR, network.address().bytes());
    mnl_attr_put_u8(message, WGALLOWEDIP_A_CIDR_MASK,
                    static_cast<std::uint8_t>(network.prefix_length()));
    mnl_attr_nest_end(message, nest);
}

// What comes with a peer's key in the first message about it, and not in those that go on.
void put_head(nlmsghdr* message, const PeerChange& peer) {
    std::uint32_t flags = 0;
    if (peer.remove) flags |= WGPEER_F_REMOVE_ME;
    if (peer.update_only) flags |= WGPEER_F_UPDATE_ONLY;
    if (peer.replace_allowed_ips) flags |= WGPEER_F_REPLACE_ALLOWEDIPS;
    if (flags != 0) mnl_attr_put_u32(message, WGPEER_A_FLAGS, flags);
    if (peer.preshared_key) put(message, WGPEER_A_PRESHARED_KEY, peer.preshared_key->bytes());
    if (peer.endpoint) put_endpoint(message, *peer.endpoint);
    if (peer.keepalive) {
        mnl_attr_put_u16(message, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, peer.keepalive->count());
    }
}

// Where the next message goes on.
struct Position {
    std::size_t peer = 0;
    std::size_t allowed_ip = 0;
};

// The peers from there on, as many as there is room for.
void put_peers(nlmsghdr* message, const std::vector<PeerChange>& peers, Position& next) {
    if (next.peer == peers.size()) return;
    auto* all = mnl_attr_nest_start(message, WGDEVICE_A_PEERS);
    while (next.peer != peers.size() && !is_full(message, head_bytes)) {
        const auto& peer = peers[next.peer];
        auto* nest = mnl_attr_nest_start(message, 0);
        put(message, WGPEER_A_PUBLIC_KEY, peer.public_key.bytes());
        if (next.allowed_ip == 0) {
            put_head(message, peer);
        } else if (peer.update_only) {
            mnl_attr_put_u32(message, WGPEER_A_FLAGS, WGPEER_F_UPDATE_ONLY);
        }
        auto* list = mnl_attr_nest_start(message, WGPEER_A_ALLOWEDIPS);
        while (next.allowed_ip != peer.allowed_ips.size() && !is_full(message, allowed_ip_bytes)) {
            put_allowed_ip(message, peer.allowed_ips[next.allowed_ip++]);
        }
        mnl_attr_nest_end(message, list);
        mnl_attr_nest_end(message, nest);
        if (next.allowed_ip != peer.allowed_ips.size()) break;  // it goes on
        next = {next.peer + 1, 0};
    }
    mnl_attr_nest_end(message, all);
}

std::span<const std::uint8_t> as_numbers(std::span<const std::byte> bytes) {
    return {static_cast<const std::uint8_t*>(static_cast<const void*>(bytes.data())), bytes.size()};
}

// Nothing if there is none, or one of another size.
std::optional<std::span<const std::uint8_t, Secret::size>> key_bytes(const Payload& payload) {
    if (!payload || payload->size() != Secret::size) return std::nullopt;
    return as_numbers(*payload).first<Secret::size>();
}

std::optional<PublicKey> public_key_from(const Payload& payload) {
    const auto bytes = key_bytes(payload);
    if (!bytes) return std::nullopt;
    PublicKey::Bytes key{};
    std::ranges::copy(*bytes, key.begin());
    return PublicKey(key);
}

// A peer without one has one of zeros.
std::optional<PresharedKey> preshared_key_from(const Payload& payload) {
    const auto bytes = key_bytes(payload);
    if (!bytes) return std::nullopt;
    auto key = PresharedKey::from(*bytes);
    return key == PresharedKey::none() ? std::nullopt : std::optional(std::move(key));
}

template <typename T>
std::optional<T> structure_from(const Payload& payload) {
    T value{};
    if (!payload || payload->size() != sizeof value) return std::nullopt;
    std::memcpy(&value, payload->data(), sizeof value);
    return value;
}

std::optional<PeerEndpoint> endpoint_from(const Payload& payload) {
    std::array<std::uint8_t, 16> bytes{};
    std::size_t length = 4;
    std::uint16_t port = 0;
    std::uint32_t scope = 0;
    if (const auto ipv4 = structure_from<sockaddr_in>(payload)) {
        std::memcpy(bytes.data(), &ipv4->sin_addr, length);
        port = ntohs(ipv4->sin_port);
    } else if (const auto ipv6 = structure_from<sockaddr_in6>(payload)) {
        length = bytes.size();
        std::memcpy(bytes.data(), &ipv6->sin6_addr, length);
        port = ntohs(ipv6->sin6_port);
        scope = ipv6->sin6_scope_id;
    }
    const auto address = Address::from_bytes(std::span(bytes).first(length));
    const auto checked_port = Port::from(port);
    if (!address || !checked_port) return std::nullopt;
    return PeerEndpoint{{*address, *checked_port}, scope};
}

// __kernel_timespec; zeros if there was no handshake.
std::chrono::sys_time<std::chrono::nanoseconds> handshake_from(const Payload& payload) {
    struct Timespec {
        std::int64_t seconds;
        std::int64_t nanoseconds;
    };
    constexpr std::int64_t year_9999 = 253'402'300'799;  // in 64 bits of nanoseconds: until 2262
    const auto time = structure_from<Timespec>(payload).value_or(Timespec{});
    const auto seconds = std::clamp<std::int64_t>(time.seconds, 0, year_9999 / 32);
    return std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::seconds(seconds)) +
           std::chrono::nanoseconds(std::clamp<std::int64_t>(time.nanoseconds, 0, 999'999'999));
}

std::optional<Network> allowed_ip_from(const netlink::Attributes& attributes) {
    const auto bytes = attributes.payload(WGALLOWEDIP_A_IPADDR);
    const auto length = attributes.u8(WGALLOWEDIP_A_CIDR_MASK);
    if (!bytes || !length) return std::nullopt;
    const auto address = Address::from_bytes(as_numbers(*bytes));
    return address ? Network::from(*address, *length) : std::nullopt;
}

}  // namespace

std::vector<netlink::FinalizedBatch> encode(std::uint16_t family, const InterfaceName& name,
                                            const DeviceChange& change) {
    std::vector<netlink::FinalizedBatch> messages;
    Position next;
    const auto text = to_text(name);
    do {
        auto batch = netlink::Batch::of_one_secret();
        batch.add("configure WireGuard interface " + text, family, 0, [&](nlmsghdr* message) {
            netlink::put_generic_header(message, WG_CMD_SET_DEVICE, WG_GENL_VERSION);
            mnl_attr_put_strz(message, WGDEVICE_A_IFNAME, text.c_str());
            if (messages.empty()) {
                if (change.private_key) {
                    put(message, WGDEVICE_A_PRIVATE_KEY, change.private_key->bytes());
                }
                if (change.listen_port) {
                    mnl_attr_put_u16(message, WGDEVICE_A_LISTEN_PORT, *change.listen_port);
                }
                if (change.fwmark) mnl_attr_put_u32(message, WGDEVICE_A_FWMARK, *change.fwmark);
            }
            put_peers(message, change.peers, next);
        });
        messages.push_back(std::move(batch).finalize());
    } while (next.peer != change.peers.size());
    return messages;
}

bool DeviceDecoder::take(const nlmsghdr* message) {
    const auto attributes = netlink::Attributes::of(message, netlink::generic_header_bytes);
    if (!attributes) return false;
    // Only the first part has what concerns the interface itself.
    auto& device = state_.device;
    if (const auto key = attributes->payload(WGDEVICE_A_PRIVATE_KEY)) {
        const auto bytes = key_bytes(key);
        if (!bytes) return false;
        device.private_key = PrivateKey::from(*bytes);
    }
    if (const auto port = attributes->u16(WGDEVICE_A_LISTEN_PORT)) device.listen_port = *port;
    if (const auto mark = attributes->u32(WGDEVICE_A_FWMARK)) device.fwmark = *mark;
    const auto peers = attributes->nested(WGDEVICE_A_PEERS);
    if (!peers) return !attributes->payload(WGDEVICE_A_PEERS);
    return peers->for_each_nested(
        [this](const netlink::Attributes& peer) { return take_peer(peer); });
}

bool DeviceDecoder::take_peer(const netlink::Attributes& attributes) {
    const auto key = public_key_from(attributes.payload(WGPEER_A_PUBLIC_KEY));
    if (!key) return false;
    auto& peers = state_.device.peers;
    // What did not fit the message before goes on in this one.
    if (peers.empty() || peers.back().public_key != *key) {
        auto& peer = peers.emplace_back(WireGuardPeer{.public_key = *key});
        peer.preshared_key = preshared_key_from(attributes.payload(WGPEER_A_PRESHARED_KEY));
        peer.endpoint = endpoint_from(attributes.payload(WGPEER_A_ENDPOINT));
        peer.keepalive =
            Keepalive(attributes.u16(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL).value_or(0));
        state_.activity.push_back({*key,
                                   handshake_from(attributes.payload(WGPEER_A_LAST_HANDSHAKE_TIME)),
                                   attributes.u64(WGPEER_A_RX_BYTES).value_or(0),
                                   attributes.u64(WGPEER_A_TX_BYTES).value_or(0)});
    }
    const auto list = attributes.nested(WGPEER_A_ALLOWEDIPS);
    if (!list) return !attributes.payload(WGPEER_A_ALLOWEDIPS);
    return list->for_each_nested([&peer = peers.back()](const netlink::Attributes& allowed) {
        const auto network = allowed_ip_from(allowed);
        if (network) peer.allowed_ips.push_back(*network);
        return network.has_value();
    });
}

// The kernel has peers in the order in which they came, and allowed IPs in that of its tree.
WireGuardState DeviceDecoder::finish() && {
    for (auto& peer : state_.device.peers) std::ranges::sort(peer.allowed_ips);
    std::ranges::sort(state_.device.peers, {}, &WireGuardPeer::public_key);
    std::ranges::sort(state_.activity, {}, &PeerActivity::public_key);
    return std::move(state_);
}

}  // namespace porthole::wg
