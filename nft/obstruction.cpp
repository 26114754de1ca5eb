// SPDX-License-Identifier: GPL-2.0-or-later
#include "obstruction.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <new>
#include <optional>

#include <arpa/inet.h>
#include <libnftnl/chain.h>

#include "elements.hpp"
#include "message.hpp"
#include "set_dump.hpp"

namespace porthole::nft {
namespace {

// A packet is on its way through the gateway for far less than this.
constexpr std::chrono::milliseconds on_its_way{1000};

// protocol . … . port, protocol and port in four bytes each
std::optional<ProtocolPort> ends_of_key(std::span<const std::uint8_t> key, std::size_t length) {
    if (key.size() != length) return std::nullopt;
    std::uint16_t number = 0;
    std::memcpy(&number, &key[length - 4], sizeof(number));
    const auto port = Port::from(ntohs(number));
    if (!port) return std::nullopt;
    return ProtocolPort{Protocol{key[0]}, *port};
}

// protocol . external port
std::optional<ProtocolPort> decode_port(std::span<const std::uint8_t> key) {
    return ends_of_key(key, 8);
}

// protocol . host . port
std::optional<Endpoint> decode_pinhole(std::span<const std::uint8_t> key) {
    const auto ends = ends_of_key(key, 24);
    if (!ends) return std::nullopt;
    return Endpoint{*Address::from_bytes(key.subspan(4, 16)), ends->protocol, ends->port};
}

template <typename T>
std::vector<T> list_waiting(netlink::Connection& connection, const char* set,
                            std::optional<T> (*decode)(std::span<const std::uint8_t>)) {
    std::vector<T> found;
    dump_set(
        connection, set,
        [&](const DumpedElement& element) {
            const auto decoded = decode(element.key);
            const bool waits = element.expires < undelivered_lifetime - on_its_way;
            if (decoded && waits) found.push_back(*decoded);
        },
        [&found] { found.clear(); });
    std::ranges::sort(found);
    return found;
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
    static const std::map<std::uint32_t, std::string> names{
        {NFPROTO_INET, "inet "}, {NFPROTO_IPV4, "ip "}, {NFPROTO_IPV6, "ip6 "}};
    const auto name = names.find(family);
    const bool drops = has(NFTNL_CHAIN_HOOKNUM, NF_INET_FORWARD) &&
                       has(NFTNL_CHAIN_POLICY, NF_DROP) && name != names.end();
    if (!drops) return std::nullopt;
    return name->second + nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TABLE) + " " +
           nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_NAME);
}

}  // namespace

std::vector<ProtocolPort> list_undelivered(netlink::Connection& connection, const char* set) {
    return list_waiting(connection, set, decode_port);
}

std::vector<Endpoint> list_undelivered_pinholes(netlink::Connection& connection) {
    return list_waiting(connection, sets::undelivered_pinholes, decode_pinhole);
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
