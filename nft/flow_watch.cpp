// SPDX-License-Identifier: GPL-2.0-or-later
#include "nft/flow_watch.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <netinet/ip.h>

#include "netlink/message.hpp"
#include "netlink/socket.hpp"
#include "skeleton.hpp"

namespace porthole::nft {
namespace {

constexpr std::uint16_t log_type(unsigned message) {
    return static_cast<std::uint16_t>(NFNL_SUBSYS_ULOG << 8U | message);
}

// A command about the table's group.
void configure(netlink::Batch& batch, std::string name,
               const std::function<void(nlmsghdr*)>& attributes) {
    batch.add(std::move(name), log_type(NFULNL_MSG_CONFIG), 0, [&attributes](nlmsghdr* message) {
        auto* header =
            static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
        header->nfgen_family = AF_UNSPEC;
        header->version = NFNETLINK_V0;
        header->res_id = htons(watch_group);
        attributes(message);
    });
}

netlink::FinalizedBatch bind_group() {
    const auto number = std::to_string(watch_group);
    netlink::Batch batch;
    configure(batch, "listen to NFLOG group " + number, [](nlmsghdr* message) {
        nfulnl_msg_config_cmd command{};
        command.command = NFULNL_CFG_CMD_BIND;
        mnl_attr_put(message, NFULA_CFG_CMD, sizeof(command), &command);
    });
    configure(batch, "configure NFLOG group " + number, [](nlmsghdr* message) {
        constexpr std::uint32_t headers = 64;  // the rule asks for no more
        nfulnl_msg_config_mode mode{};
        mode.copy_range = htonl(headers);
        mode.copy_mode = NFULNL_COPY_PACKET;
        mnl_attr_put(message, NFULA_CFG_MODE, sizeof(mode), &mode);
        mnl_attr_put_u16(message, NFULA_CFG_FLAGS, htons(NFULNL_CFG_F_SEQ));
        constexpr std::uint32_t longest_wait = 1;  // in hundredths of a second
        mnl_attr_put_u32(message, NFULA_CFG_TIMEOUT, htonl(longest_wait));
    });
    return std::move(batch).finalize();
}

// Whatever kind of packet it is about.
std::optional<std::uint32_t> sequence_of(const nlmsghdr* message) {
    if (message->nlmsg_type != log_type(NFULNL_MSG_PACKET)) return std::nullopt;
    const auto attributes = netlink::Attributes::of(message, sizeof(nfgenmsg));
    const auto sequence = attributes ? attributes->u32(NFULA_SEQ) : std::nullopt;
    if (!sequence) return std::nullopt;
    return ntohl(*sequence);
}

std::uint16_t u16_at(std::span<const std::byte> bytes, std::size_t offset) {
    std::uint16_t value = 0;
    std::memcpy(&value, bytes.data() + offset, sizeof(value));
    return ntohs(value);
}

// Where the header of a packet says what.
struct Header {
    std::size_t bytes;
    std::size_t protocol;  // offsets
    std::size_t source;
    std::size_t address_bytes;
};

// RFC 791
std::optional<Header> ipv4_header(std::span<const std::byte> packet) {
    constexpr Header shortest{20, 9, 12, 4};
    if (packet.size() < shortest.bytes) return std::nullopt;
    auto header = shortest;
    header.bytes = (std::to_integer<std::size_t>(packet[0]) & 0xFU) * 4;
    const bool later_fragment = (u16_at(packet, 6) & IP_OFFMASK) != 0;
    const bool usable = header.bytes >= shortest.bytes && !later_fragment;
    return usable ? std::optional(header) : std::nullopt;
}

// The source of a packet that begins with its IP header. Of IPv6 (RFC 8200), only without
// extensions: nobody tells more by them than whose port it is.
std::optional<Sighting> source_of(std::span<const std::byte> packet) {
    if (packet.empty()) return std::nullopt;
    const auto version = std::to_integer<unsigned>(packet[0]) >> 4U;
    const auto header = version == 4   ? ipv4_header(packet)
                        : version == 6 ? std::optional(Header{40, 6, 8, 16})
                                       : std::nullopt;
    if (!header || packet.size() < header->bytes + 2) return std::nullopt;
    const auto protocol = Protocol{std::to_integer<std::uint8_t>(packet[header->protocol])};
    if (protocol != Protocol::udp && protocol != Protocol::tcp) return std::nullopt;
    std::array<std::uint8_t, 16> address{};
    std::memcpy(address.data(), packet.data() + header->source, header->address_bytes);
    const auto port = Port::from(u16_at(packet, header->bytes));
    if (!port) return std::nullopt;
    return Sighting{*Address::from_bytes(std::span(address).first(header->address_bytes)), protocol,
                    *port};
}

}  // namespace

std::optional<LoggedPacket> decode_logged_packet(const nlmsghdr* message) {
    if (message->nlmsg_type != log_type(NFULNL_MSG_PACKET)) return std::nullopt;
    const auto attributes = netlink::Attributes::of(message, sizeof(nfgenmsg));
    if (!attributes) return std::nullopt;
    const auto packet = attributes->payload(NFULA_PAYLOAD);
    const auto sequence = attributes->u32(NFULA_SEQ);
    const auto from = packet ? source_of(*packet) : std::nullopt;
    if (!from || !sequence) return std::nullopt;
    return LoggedPacket{*from, ntohl(*sequence)};
}

FlowWatch::FlowWatch() : FlowWatch(std::make_unique<netlink::Socket>(NETLINK_NETFILTER)) {}

FlowWatch::FlowWatch(std::unique_ptr<netlink::Transport> transport)
    : connection_(std::move(transport)) {
    connection_.execute(bind_group());
}

Sightings FlowWatch::take() {
    Sightings result;
    const bool complete =
        netlink::receive_all(connection_.transport(), buffer_, [&](const nlmsghdr* message) {
            const auto sequence = sequence_of(message);
            if (!sequence) return;
            // A gap: the kernel counts what it could not deliver, too.
            if (last_ && *sequence != *last_ + 1) result.lost = true;
            last_ = sequence;
            if (const auto packet = decode_logged_packet(message)) {
                result.seen.push_back(packet->from);
            }
        });
    result.lost |= !complete;
    std::ranges::sort(result.seen);
    result.seen.erase(std::unique(result.seen.begin(), result.seen.end()), result.seen.end());
    return result;
}

}  // namespace porthole::nft
