// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/neighbour_table.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "netlink/message.hpp"

namespace porthole::netlink {
namespace {

std::span<const std::uint8_t> octets(std::span<const std::byte> bytes) {
    return {static_cast<const std::uint8_t*>(static_cast<const void*>(bytes.data())), bytes.size()};
}

// The kernel counts in hundredths of a second there, whatever its clock does (USER_HZ).
std::chrono::seconds confirmed_ago(const Attributes& attributes) {
    constexpr std::uint32_t per_second = 100;
    const auto payload = attributes.payload(NDA_CACHEINFO);
    nda_cacheinfo info{};
    if (!payload || payload->size() < sizeof(info)) return {};
    std::memcpy(&info, payload->data(), sizeof(info));
    return std::chrono::seconds(info.ndm_confirmed / per_second);
}

ndmsg& put_header(nlmsghdr* message, const LinkNeighbour& wanted) {
    auto& header = *static_cast<ndmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ndmsg)));
    header.ndm_family = wanted.address.family() == Family::ipv4 ? AF_INET : AF_INET6;
    header.ndm_ifindex = wanted.link_index;
    const auto bytes = wanted.address.bytes();
    mnl_attr_put(message, NDA_DST, bytes.size(), bytes.data());
    return header;
}

}  // namespace

std::optional<Neighbour> decode_neighbour(const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWNEIGH) return std::nullopt;
    const auto attributes = Attributes::of(message, sizeof(ndmsg));
    if (!attributes) return std::nullopt;
    const auto& header = *static_cast<const ndmsg*>(mnl_nlmsg_get_payload(message));
    const auto address_bytes = attributes->payload(NDA_DST);
    const auto mac_bytes = attributes->payload(NDA_LLADDR);
    std::array<std::uint8_t, 6> mac{};
    constexpr unsigned unknown = NUD_INCOMPLETE | NUD_FAILED | NUD_NOARP;
    if (!address_bytes || !mac_bytes || mac_bytes->size() != mac.size() ||
        (header.ndm_state & unknown) != 0) {
        return std::nullopt;
    }
    std::ranges::copy(octets(*mac_bytes), mac.begin());
    const auto address = Address::from_bytes(octets(*address_bytes));
    const auto unicast_mac = MacAddress::from(mac);
    if (!address || !unicast_mac) return std::nullopt;
    return Neighbour{header.ndm_ifindex, *address, *unicast_mac,
                     (header.ndm_state & (NUD_REACHABLE | NUD_PERMANENT)) != 0,
                     confirmed_ago(*attributes)};
}

NeighbourTable::NeighbourTable() : NeighbourTable(std::make_unique<Socket>(NETLINK_ROUTE)) {}

NeighbourTable::NeighbourTable(std::unique_ptr<Transport> transport)
    : connection_(std::move(transport)) {}

std::vector<Neighbour> NeighbourTable::read() {
    std::vector<Neighbour> found;
    connection_.dump(
        "list neighbours", RTM_GETNEIGH,
        [](nlmsghdr* message) { mnl_nlmsg_put_extra_header(message, sizeof(ndmsg)); },
        [&found](const nlmsghdr* message) {
            if (const auto neighbour = decode_neighbour(message)) found.push_back(*neighbour);
        },
        [&found] { found.clear(); });
    return found;
}

// An entry that has a MAC address is asked whether that still holds. One that has none, or is not
// there yet, is resolved as if a packet were waiting for it (neigh_add of the kernel's
// neighbour.c).
void NeighbourTable::probe(const LinkNeighbour& wanted) {
    const auto execute = [&](std::uint16_t state, std::uint8_t flags, std::uint16_t request) {
        Batch batch;
        batch.add("ask neighbour " + to_text(wanted.address), RTM_NEWNEIGH, request,
                  [&](nlmsghdr* message) {
                      auto& header = put_header(message, wanted);
                      header.ndm_state = state;
                      header.ndm_flags = flags;
                  });
        connection_.execute(std::move(batch).finalize());
    };
    try {
        execute(NUD_PROBE, 0, NLM_F_REPLACE);
    } catch (const BatchFailure&) {
        execute(NUD_NONE, NTF_USE, NLM_F_CREATE | NLM_F_REPLACE);
    }
}

NeighbourMonitor::NeighbourMonitor() : socket_(NETLINK_ROUTE) {}

void NeighbourMonitor::listen(bool wanted) {
    if (wanted == listening_) return;
    wanted ? socket_.join(RTNLGRP_NEIGH) : socket_.leave(RTNLGRP_NEIGH);
    listening_ = wanted;
}

bool NeighbourMonitor::changed() {
    bool changed = false;
    const bool complete =
        receive_all(socket_, buffer_, [&changed](const nlmsghdr*) { changed = true; });
    return changed || !complete;
}

}  // namespace porthole::netlink
