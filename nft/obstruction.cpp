// SPDX-License-Identifier: GPL-2.0-or-later
#include "obstruction.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include <arpa/inet.h>
#include <libnftnl/chain.h>

#include "elements.hpp"
#include "message.hpp"
#include "set_dump.hpp"

namespace porthole::nft {
namespace {

// A packet is on its way through the gateway for far less than this.
constexpr std::chrono::milliseconds on_its_way{1000};

// protocol . external port, each in four bytes
std::optional<ProtocolPort> decode_key(std::span<const std::uint8_t> key) {
    constexpr std::size_t length = 8;
    if (key.size() != length) return std::nullopt;
    std::uint16_t number = 0;
    std::memcpy(&number, &key[4], sizeof(number));
    const auto port = Port::from(ntohs(number));
    if (!port) return std::nullopt;
    return ProtocolPort{Protocol{key[0]}, *port};
}

// Nothing for a chain that lets through what no rule speaks of, or that sees other packets.
std::optional<std::string> decode_forward_policy(const nlmsghdr* message) {
    const std::unique_ptr<nftnl_chain, Free<nftnl_chain_free>> chain(nftnl_chain_alloc());
    if (!chain) throw std::bad_alloc();
    if (nftnl_chain_nlmsg_parse(message, chain.get()) < 0) return std::nullopt;
    const auto family = nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_FAMILY);
    const auto has = [&chain](std::uint16_t attribute, std::uint32_t value) {
        return nftnl_chain_is_set(chain.get(), attribute) &&
               nftnl_chain_get_u32(chain.get(), attribute) == value;
    };
    const bool drops = has(NFTNL_CHAIN_HOOKNUM, NF_INET_FORWARD) &&
                       has(NFTNL_CHAIN_POLICY, NF_DROP) &&
                       (family == NFPROTO_INET || family == NFPROTO_IPV4);
    if (!drops) return std::nullopt;
    return std::string(family == NFPROTO_INET ? "inet " : "ip ") +
           nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TABLE) + " " +
           nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_NAME);
}

}  // namespace

std::vector<ProtocolPort> list_undelivered(netlink::Connection& connection) {
    std::vector<ProtocolPort> ports;
    dump_set(
        connection, sets::undelivered,
        [&ports](const DumpedElement& element) {
            const auto port = decode_key(element.key);
            const bool waits = element.expires < undelivered_lifetime - on_its_way;
            if (port && waits) ports.push_back(*port);
        },
        [&ports] { ports.clear(); });
    std::ranges::sort(ports);
    return ports;
}

std::vector<std::string> list_forward_policies(netlink::Connection& connection) {
    std::vector<std::string> chains;
    connection.dump(
        "list chains", NFNL_SUBSYS_NFTABLES << 8U | NFT_MSG_GETCHAIN,
        [](nlmsghdr* message) {
            put_header(message);
            static_cast<nfgenmsg*>(mnl_nlmsg_get_payload(message))->nfgen_family = NFPROTO_UNSPEC;
        },
        [&chains](const nlmsghdr* message) {
            if (auto chain = decode_forward_policy(message)) chains.push_back(*std::move(chain));
        },
        [&chains] { chains.clear(); });
    std::ranges::sort(chains);
    return chains;
}

}  // namespace porthole::nft
