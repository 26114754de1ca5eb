// SPDX-License-Identifier: GPL-2.0-or-later
#include "timeouts.hpp"

#include <array>
#include <memory>
#include <new>
#include <span>

#include <libnftnl/object.h>

#include "chains.hpp"
#include "message.hpp"

namespace porthole::nft {
namespace {

constexpr auto reserved_udp = "reserved-udp";
constexpr auto reserved_tcp = "reserved-tcp";

void add_timeout(netlink::Batch& batch, const char* name, Protocol protocol,
                 std::span<const std::uint32_t> seconds) {
    const std::unique_ptr<nftnl_obj, Free<nftnl_obj_free>> object(nftnl_obj_alloc());
    if (!object) throw std::bad_alloc();
    nftnl_obj_set_str(object.get(), NFTNL_OBJ_TABLE, table_name);
    nftnl_obj_set_str(object.get(), NFTNL_OBJ_NAME, name);
    nftnl_obj_set_u32(object.get(), NFTNL_OBJ_TYPE, NFT_OBJECT_CT_TIMEOUT);
    nftnl_obj_set_u16(object.get(), NFTNL_OBJ_CT_TIMEOUT_L3PROTO, NFPROTO_IPV4);
    nftnl_obj_set_u8(object.get(), NFTNL_OBJ_CT_TIMEOUT_L4PROTO,
                     static_cast<std::uint8_t>(protocol));
    nftnl_obj_set_data(object.get(), NFTNL_OBJ_CT_TIMEOUT_ARRAY, seconds.data(),
                       static_cast<std::uint32_t>(seconds.size_bytes()));
    add_message(
        batch, std::string(add_timeout_command) + name, NFT_MSG_NEWOBJ, NLM_F_CREATE,
        [&object](nlmsghdr* message) { nftnl_obj_nlmsg_build_payload(message, object.get()); });
}

}  // namespace

void add_timeouts(netlink::Batch& batch, std::chrono::seconds udp) {
    const auto seconds = static_cast<std::uint32_t>(udp.count());
    add_timeout(batch, reserved_udp, Protocol::udp, std::array{seconds, seconds});
    // RFC 5382 REQ-5: four minutes for what is opening or closing. The rest is as the kernel has
    // it.
    constexpr std::uint32_t transitory = 240;
    constexpr std::uint32_t established = 432'000;
    constexpr std::uint32_t close = 10;
    constexpr std::uint32_t not_acknowledged = 300;
    // SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE, SYN_SENT2,
    // RETRANS, UNACK (enum tcp_conntrack of the kernel)
    add_timeout(batch, reserved_tcp, Protocol::tcp,
                std::array{transitory, transitory, established, transitory, transitory, transitory,
                           transitory, close, transitory, not_acknowledged, not_acknowledged});
}

std::string set_timeout(Rule& rule, const Shape& shape, Protocol protocol) {
    if (!shape.udp_timeout) return {};
    const auto* const name = protocol == Protocol::udp ? reserved_udp : reserved_tcp;
    rule.ct_timeout(name);
    return "ct timeout set \"" + std::string(name) + "\" ";
}

// Each of them leaves flows of the other protocol alone.
std::string set_timeouts(Rule& rule, const Shape& shape) {
    std::string text;
    for (const auto protocol : reservable_protocols) text += set_timeout(rule, shape, protocol);
    return text;
}

}  // namespace porthole::nft
