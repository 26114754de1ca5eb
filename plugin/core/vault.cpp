// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vault.hpp"

#include <sodium.h>

#include "core/secret_file.hpp"

namespace porthole {
namespace {

constexpr std::size_t nonce_bytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t sealed_bytes =
    nonce_bytes + Secret::size + crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == Secret::size);

const std::uint8_t* bytes_of(std::string_view text) {
    return static_cast<const std::uint8_t*>(static_cast<const void*>(text.data()));
}

}  // namespace

const PresharedKey& Vault::key(bool make) {
    if (make && lost_) {
        throw StorageFailure("seal a secret",
                             "those of the stored tunnels cannot be opened with " + file_.string());
    }
    if (key_) return *key_;
    if (const auto text = read_secret_file(file_)) {
        auto line = text->view();
        if (line.ends_with('\n')) line.remove_suffix(1);
        try {
            return key_.emplace(PresharedKey::read("key", line));
        } catch (const InvalidArgument&) {
            throw StorageFailure("read " + file_.string(), "it holds no key");
        }
    }
    if (!make) {
        lost_ = true;
        throw StorageFailure("read " + file_.string(),
                             "it is missing, and the keys of tunnels are sealed with it");
    }
    auto fresh = PresharedKey::generate();
    SecretText line;
    fresh.reveal(line);
    line.append("\n");
    write_secret_file(file_, line.view());
    return key_.emplace(std::move(fresh));
}

Vault::Sealed Vault::seal(std::span<const std::uint8_t, Secret::size> secret,
                          std::string_view context) {
    Sealed sealed(sealed_bytes);
    randombytes_buf(sealed.data(), nonce_bytes);
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed.data() + nonce_bytes, nullptr, secret.data(),
                                               secret.size(), bytes_of(context), context.size(),
                                               nullptr, sealed.data(), key(true).bytes().data());
    return sealed;
}

Secret Vault::open(std::span<const std::uint8_t> sealed, std::string_view context) {
    const auto& opener = key(false);
    return Secret([&](Secret::Bytes bytes) {
        const bool opened = sealed.size() == sealed_bytes &&
                            crypto_aead_xchacha20poly1305_ietf_decrypt(
                                bytes.data(), nullptr, nullptr, sealed.data() + nonce_bytes,
                                sealed.size() - nonce_bytes, bytes_of(context), context.size(),
                                sealed.data(), opener.bytes().data()) == 0;
        if (!opened) {
            lost_ = true;
            throw StorageFailure("open a secret in the database",
                                 "it was sealed with another key than " + file_.string() + " has");
        }
    });
}

}  // namespace porthole
