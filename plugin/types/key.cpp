// SPDX-License-Identifier: GPL-2.0-or-later
#include "types/key.hpp"

#include <algorithm>
#include <array>

#include <sodium.h>

namespace porthole {
namespace {

constexpr int variant = sodium_base64_VARIANT_ORIGINAL;
constexpr std::size_t encoded_size = sodium_base64_ENCODED_LEN(Secret::size, variant);  // with NUL

// True if `text` is exactly one key.
bool decode(std::string_view text, Secret::Bytes bytes) {
    // libsodium takes some bytes beyond ASCII for digits.
    const bool is_ascii = std::ranges::all_of(text, [](char c) { return c > 0; });
    std::size_t length = 0;
    return is_ascii && text.size() + 1 == encoded_size &&
           sodium_base642bin(bytes.data(), bytes.size(), text.data(), text.size(), nullptr, &length,
                             nullptr, variant) == 0 &&
           length == bytes.size();
}

Secret read_secret(std::string_view field, std::string_view base64, std::string_view what) {
    return Secret([&](Secret::Bytes bytes) {
        if (decode(base64, bytes)) return;
        std::string message = "invalid ";
        message.append(field).append(": expected ").append(what).append(": 32 bytes in base64");
        throw InvalidArgument(message);
    });
}

Secret copy(std::span<const std::uint8_t, Secret::size> from) {
    return Secret([from](Secret::Bytes bytes) { std::ranges::copy(from, bytes.begin()); });
}

void encode(const Secret& secret, SecretText& to) {
    to.append(encoded_size, [&secret](std::span<char> room) {
        sodium_bin2base64(room.data(), room.size(), secret.bytes().data(), Secret::size, variant);
        return encoded_size - 1;
    });
}

const Secret& zeros() {
    static const Secret all([](Secret::Bytes) {});
    return all;
}

Secret random_secret() {
    return Secret([](Secret::Bytes bytes) { randombytes_buf(bytes.data(), bytes.size()); });
}

constexpr PublicKey::Bytes near_p(std::uint8_t least_byte) {
    PublicKey::Bytes bytes{};
    bytes.fill(0xFF);
    bytes.front() = least_byte;
    bytes.back() = 0x7F;
    return bytes;
}

// All of 255 bits that are the u-coordinate of a point whose order divides 8 modulo p, 2^255 - 19,
// on the curve or its twist: 0, 1, two of order 8, -1, and 0 and 1 once more.
constexpr std::array<PublicKey::Bytes, 7> low_order{
    PublicKey::Bytes{0},
    PublicKey::Bytes{1},
    PublicKey::Bytes{0xE0, 0xEB, 0x7A, 0x7C, 0x3B, 0x41, 0xB8, 0xAE, 0x16, 0x56, 0xE3,
                     0xFA, 0xF1, 0x9F, 0xC4, 0x6A, 0xDA, 0x09, 0x8D, 0xEB, 0x9C, 0x32,
                     0xB1, 0xFD, 0x86, 0x62, 0x05, 0x16, 0x5F, 0x49, 0xB8, 0x00},
    PublicKey::Bytes{0x5F, 0x9C, 0x95, 0xBC, 0xA3, 0x50, 0x8C, 0x24, 0xB1, 0xD0, 0xB1,
                     0x55, 0x9C, 0x83, 0xEF, 0x5B, 0x04, 0x44, 0x5C, 0xC4, 0x58, 0x1C,
                     0x8E, 0x86, 0xD8, 0x22, 0x4E, 0xDD, 0xD0, 0x9F, 0x11, 0x57},
    near_p(0xEC),
    near_p(0xED),
    near_p(0xEE)};

}  // namespace

// Not by an agreement, which takes 0.1 ms: tunnels have thousands of peers.
bool PublicKey::is_low_order() const {
    auto u = bytes_;
    u.back() &= 0x7FU;  // as X25519 does
    return std::ranges::find(low_order, u) != low_order.end();
}

PrivateKey PrivateKey::generate() { return PrivateKey(random_secret()); }

PrivateKey::PrivateKey(const Secret& secret)
    : secret_([&secret](Secret::Bytes bytes) {
          std::ranges::copy(secret.bytes(), bytes.begin());
          if (secret == zeros()) return;
          bytes.front() &= 248U;
          bytes.back() = static_cast<std::uint8_t>((bytes.back() & 127U) | 64U);
      }) {}

PrivateKey PrivateKey::none() { return PrivateKey(zeros()); }

PrivateKey PrivateKey::read(std::string_view field, std::string_view base64) {
    return PrivateKey(read_secret(field, base64, "a WireGuard private key"));
}

PrivateKey PrivateKey::from(std::span<const std::uint8_t, Secret::size> bytes) {
    return PrivateKey(copy(bytes));
}

PublicKey PrivateKey::public_key() const {
    PublicKey::Bytes key{};
    crypto_scalarmult_base(key.data(), bytes().data());
    return PublicKey(key);
}

void PrivateKey::reveal(SecretText& to) const { encode(secret_, to); }

PresharedKey PresharedKey::generate() { return PresharedKey(random_secret()); }

PresharedKey PresharedKey::none() { return PresharedKey(zeros()); }

PresharedKey PresharedKey::read(std::string_view field, std::string_view base64) {
    return PresharedKey(read_secret(field, base64, "a WireGuard preshared key"));
}

PresharedKey PresharedKey::from(std::span<const std::uint8_t, Secret::size> bytes) {
    return PresharedKey(copy(bytes));
}

void PresharedKey::reveal(SecretText& to) const { encode(secret_, to); }

std::optional<PublicKey> TextForm<PublicKey>::parse(std::string_view text) {
    PublicKey::Bytes bytes{};
    if (!decode(text, bytes)) return std::nullopt;
    return PublicKey(bytes);
}

std::string TextForm<PublicKey>::format(const PublicKey& key) {
    std::string text(encoded_size, '\0');
    sodium_bin2base64(text.data(), text.size(), key.bytes().data(), Secret::size, variant);
    text.pop_back();
    return text;
}

}  // namespace porthole
