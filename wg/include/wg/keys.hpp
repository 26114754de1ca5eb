// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>

#include "types/text.hpp"

namespace porthole {

namespace wg {

constexpr std::size_t key_bytes = 32;

/// A Curve25519 public key. Its text form is base64, as wg(8) prints it.
class PublicKey {
  public:
    using Bytes = std::array<std::uint8_t, key_bytes>;
    explicit PublicKey(const Bytes& bytes) : bytes_(bytes) {}
    [[nodiscard]] const Bytes& bytes() const { return bytes_; }
    auto operator<=>(const PublicKey&) const = default;

  private:
    Bytes bytes_;
};

/// A Curve25519 private key, in memory that is never swapped out and is wiped when it is freed.
/// It has no text form that could slip into a log: reveal() is the one way to write it.
class PrivateKey {
  public:
    /// From the kernel's random numbers, clamped as RFC 7748 section 5 asks.
    static PrivateKey generate();
    /// Reads base64, as wg(8) does. Throws InvalidArgument, which names `field` and never repeats
    /// the value.
    static PrivateKey read(std::string_view field, std::string_view base64);

    [[nodiscard]] PublicKey public_key() const;
    /// The key in base64. The caller keeps it secret.
    [[nodiscard]] std::string reveal() const;

  private:
    struct Wipe {
        void operator()(std::uint8_t* bytes) const;
    };
    PrivateKey();
    std::unique_ptr<std::uint8_t, Wipe> bytes_;
};

}  // namespace wg

template <>
struct TextForm<wg::PublicKey> {
    static constexpr std::string_view allowed = "a WireGuard public key: 32 bytes in base64";
    static std::optional<wg::PublicKey> parse(std::string_view text);
    static std::string format(const wg::PublicKey& key);
};

}  // namespace porthole
