// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/sock_diag.hpp"

#include <array>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "netlink/socket.hpp"

namespace porthole::netlink {
namespace {

// An unconnected UDP socket is in the state that TCP calls closed.
constexpr std::uint32_t states_of(Protocol protocol) {
    return 1U << static_cast<unsigned>(protocol == Protocol::udp ? TCP_CLOSE : TCP_LISTEN);
}

}  // namespace

std::optional<Listener> decode_listener(const nlmsghdr* message, Protocol protocol) {
    if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
        mnl_nlmsg_get_payload_len(message) < sizeof(inet_diag_msg)) {
        return std::nullopt;
    }
    const auto& socket = *static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(message));
    const auto port = Port::from(ntohs(socket.id.idiag_sport));
    const std::size_t length = socket.idiag_family == AF_INET ? 4 : 16;
    const auto* bytes =
        static_cast<const std::uint8_t*>(static_cast<const void*>(&socket.id.idiag_src));
    const auto address = Address::from_bytes({bytes, length});
    if (!port || !address) return std::nullopt;
    return Listener{{protocol, *port}, *address, socket.idiag_inode == 0};
}

ListenerReader::ListenerReader() : ListenerReader(std::make_unique<Socket>(NETLINK_SOCK_DIAG)) {}

ListenerReader::ListenerReader(std::unique_ptr<Transport> transport)
    : connection_(std::move(transport)) {}

std::vector<Listener> ListenerReader::read() {
    std::vector<Listener> found;
    for (const auto protocol : {Protocol::udp, Protocol::tcp}) {
        for (const int family : {AF_INET, AF_INET6}) {
            const auto before = static_cast<std::ptrdiff_t>(found.size());
            connection_.dump(
                "list the sockets of " + to_text(protocol), SOCK_DIAG_BY_FAMILY,
                [&](nlmsghdr* message) {
                    auto* request = static_cast<inet_diag_req_v2*>(
                        mnl_nlmsg_put_extra_header(message, sizeof(inet_diag_req_v2)));
                    request->sdiag_family = static_cast<std::uint8_t>(family);
                    request->sdiag_protocol = static_cast<std::uint8_t>(protocol);
                    request->idiag_states = states_of(protocol);
                },
                [&](const nlmsghdr* message) {
                    if (const auto socket = decode_listener(message, protocol)) {
                        found.push_back(*socket);
                    }
                },
                [&] { found.erase(found.begin() + before, found.end()); });
        }
    }
    return found;
}

}  // namespace porthole::netlink
