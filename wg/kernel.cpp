// SPDX-License-Identifier: GPL-2.0-or-later
#include "wg/kernel.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>

#include "netlink/generic.hpp"
#include "netlink/socket.hpp"

namespace porthole::wg {
namespace {

std::string reading(const InterfaceName& name) {
    return "read WireGuard interface " + to_text(name);
}

}  // namespace

Kernel::Kernel() : Kernel(std::make_unique<netlink::Socket>(NETLINK_GENERIC)) {}

Kernel::Kernel(std::unique_ptr<netlink::Transport> transport) : connection_(std::move(transport)) {
    connection_.wipe_answers();
}

// Each time until it is there: the module may be installed meanwhile.
std::uint16_t Kernel::family() {
    if (!family_) family_ = netlink::find_generic_family(connection_, WG_GENL_NAME);
    if (!family_) throw_without_wireguard();
    return *family_;
}

void throw_without_wireguard() {
    throw Refused(
        Refusal::unsupported,
        "this kernel has no WireGuard: load the module wireguard (modprobe wireguard), or "
        "install it (OpenWrt: kmod-wireguard; other systems: a kernel from 5.6 on with "
        "CONFIG_WIREGUARD)");
}

WireGuardState Kernel::read(const InterfaceName& name) {
    DeviceDecoder decoder;
    bool understood = true;
    connection_.dump(
        reading(name), family(),
        [&name](nlmsghdr* message) {
            netlink::put_generic_header(message, WG_CMD_GET_DEVICE, WG_GENL_VERSION);
            mnl_attr_put_strz(message, WGDEVICE_A_IFNAME, name.text().c_str());
        },
        [&](const nlmsghdr* part) { understood = decoder.take(part) && understood; },
        [&] {
            decoder.restart();
            understood = true;
        });
    if (!understood) throw KernelFailure(reading(name), EBADMSG, "it cannot be understood");
    return std::move(decoder).finish();
}

// What comes behind a message that was refused must not be done, so each waits for its answer.
void Kernel::send(const InterfaceName& name, const DeviceChange& change) {
    if (change.empty()) return;
    for (auto& message : encode(family(), name, change)) connection_.execute(std::move(message));
}

void Kernel::apply(const InterfaceName& name, const WireGuardDevice& from,
                   const WireGuardDevice& to) {
    require_consistent(to);
    attempt(name, difference(from, to), [&] { return difference(read(name).device, from); });
}

void Kernel::change_peer(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                         const std::optional<WireGuardPeer>& to, bool say_endpoint) {
    auto known = from;
    if (say_endpoint && known && to && to->endpoint) known->endpoint.reset();
    attempt(name, difference(known, to), [&] { return way_back(name, from, to); });
}

void Kernel::take_peer_back(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                            const std::optional<WireGuardPeer>& to) {
    send(name, way_back(name, from, to));
}

DeviceChange Kernel::way_back(const InterfaceName& name, const std::optional<WireGuardPeer>& from,
                              const std::optional<WireGuardPeer>& to) {
    const auto state = read(name);
    const auto& peers = state.device.peers;
    const auto peer =
        std::ranges::find(peers, (from ? from : to)->public_key, &WireGuardPeer::public_key);
    if (peer == peers.end()) return difference(std::nullopt, from);
    auto before = from;
    if (before) {
        const auto& activity = state.activity.at(static_cast<std::size_t>(peer - peers.begin()));
        // An endpoint that was learnt is no part of the change, and to have none is worth no
        // session: the kernel forgets it with the peer alone.
        const bool session = activity.last_handshake.time_since_epoch().count() != 0;
        const bool stays = to && from->endpoint == to->endpoint;
        if (stays || (session && !before->endpoint)) before->endpoint = peer->endpoint;
    }
    return difference(std::optional(*peer), before);
}

void Kernel::attempt(const InterfaceName& name, const DeviceChange& change,
                     const std::function<DeviceChange()>& way_back) {
    try {
        send(name, change);
    } catch (const KernelFailure& refusal) {
        try {
            send(name, way_back());
        } catch (const Error& failure) {
            throw KernelFailure(
                "configure WireGuard interface " + to_text(name), refusal.code(),
                std::string("a part of it is done, and cannot be taken back: ") + failure.what());
        }
        throw;
    }
}

}  // namespace porthole::wg
