// SPDX-License-Identifier: GPL-2.0-or-later
#include "types/key.hpp"

#include <algorithm>

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

}  // namespace

bool PublicKey::is_low_order() const {
    PublicKey::Bytes agreed{};
    constexpr PublicKey::Bytes anybody{1};  // clamped by the multiplication
    return crypto_scalarmult(agreed.data(), anybody.data(), bytes_.data()) != 0;
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
