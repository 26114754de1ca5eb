// SPDX-License-Identifier: GPL-2.0-or-later
#include "wg/keys.hpp"

#include <new>
#include <stdexcept>

#include <sodium.h>

namespace porthole {
namespace wg {
namespace {

constexpr int variant = sodium_base64_VARIANT_ORIGINAL;
constexpr std::size_t encoded_size = sodium_base64_ENCODED_LEN(key_bytes, variant);  // with the NUL

void require_sodium() {
    if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be initialised");
}

std::string encode(const std::uint8_t* bytes) {
    std::string text(encoded_size, '\0');
    sodium_bin2base64(text.data(), text.size(), bytes, key_bytes, variant);
    text.pop_back();
    return text;
}

// True if `text` is exactly one key.
bool decode(std::string_view text, std::uint8_t* bytes) {
    std::size_t length = 0;
    return text.size() + 1 == encoded_size &&
           sodium_base642bin(bytes, key_bytes, text.data(), text.size(), nullptr, &length, nullptr,
                             variant) == 0 &&
           length == key_bytes;
}

}  // namespace

void PrivateKey::Wipe::operator()(std::uint8_t* bytes) const { sodium_free(bytes); }

PrivateKey::PrivateKey() {
    require_sodium();
    bytes_.reset(static_cast<std::uint8_t*>(sodium_malloc(key_bytes)));
    if (!bytes_) throw std::bad_alloc();
}

PrivateKey PrivateKey::generate() {
    PrivateKey key;
    auto* bytes = key.bytes_.get();
    randombytes_buf(bytes, key_bytes);
    bytes[0] &= 248U;
    bytes[31] = static_cast<std::uint8_t>((bytes[31] & 127U) | 64U);
    return key;
}

PrivateKey PrivateKey::read(std::string_view field, std::string_view base64) {
    PrivateKey key;
    if (!decode(base64, key.bytes_.get())) {
        throw InvalidArgument("invalid " + std::string(field) +
                              ": expected a WireGuard private key: 32 bytes in base64");
    }
    return key;
}

PublicKey PrivateKey::public_key() const {
    PublicKey::Bytes bytes{};
    crypto_scalarmult_base(bytes.data(), bytes_.get());
    return PublicKey(bytes);
}

std::string PrivateKey::reveal() const { return encode(bytes_.get()); }

}  // namespace wg

std::optional<wg::PublicKey> TextForm<wg::PublicKey>::parse(std::string_view text) {
    wg::PublicKey::Bytes bytes{};
    if (!wg::decode(text, bytes.data())) return std::nullopt;
    return wg::PublicKey(bytes);
}

std::string TextForm<wg::PublicKey>::format(const wg::PublicKey& key) {
    return wg::encode(key.bytes().data());
}

}  // namespace porthole
