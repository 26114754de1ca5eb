// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdlib>
#include <vector>

#include "netlink/message.hpp"
#include "wg/messages.hpp"

// A dump in any number of messages. What it says of an interface can be said to the kernel, and
// comes out of that as it was.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace porthole;
    // Netlink's alignment, and its exact size: the address sanitizer sees every byte beyond.
    const std::vector<std::uint8_t> bytes(data, data + size);
    wg::DeviceDecoder decoder;
    bool understood = true;
    netlink::for_each_message(std::as_bytes(std::span(bytes)), [&](const nlmsghdr* message) {
        understood = decoder.take(message) && understood;
    });
    const auto state = std::move(decoder).finish();
    if (state.activity.size() != state.device.peers.size()) std::abort();
    if (!understood) return 0;
    wg::DeviceDecoder again;
    const auto name = parse<InterfaceName>("interface", "wg0");
    for (const auto& message : wg::encode(29, name, wg::difference({}, state.device))) {
        netlink::for_each_message(message.bytes(), [&](const nlmsghdr* part) {
            if (!again.take(part)) std::abort();
        });
    }
    return 0;
}
