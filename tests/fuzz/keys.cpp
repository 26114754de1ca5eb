// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdlib>

#include "types/key.hpp"

// A key has one text, and whatever is a public key can be read as a secret one.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace porthole;
    const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
    const auto key = TextForm<PublicKey>::parse(text);
    if (key && to_text(*key) != text) std::abort();
    try {
        SecretText revealed;
        PresharedKey::read("key", text).reveal(revealed);
        if (!key || revealed.view() != text) std::abort();
        SecretText clamped;
        PrivateKey::read("key", text).reveal(clamped);
        if (PrivateKey::read("key", clamped.view()) != PrivateKey::read("key", text)) std::abort();
    } catch (const InvalidArgument& error) {
        if (key) std::abort();
        // Whatever it was, the message is the same: it does not repeat a secret.
        constexpr std::string_view message =
            "invalid key: expected a WireGuard preshared key: 32 bytes in base64";
        if (error.what() != message) std::abort();
    }
    if (key) (void)key->is_low_order();
    return 0;
}
