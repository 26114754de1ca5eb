// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <compare>
#include <cstdint>

#include "types/secret.hpp"
#include "types/text.hpp"

// WireGuard's keys. Each is 32 bytes, and its text form is base64, as wg(8) prints it. Secret ones
// have no text form that could slip into a log: reveal() is the one way to write them.
namespace porthole {

/// A Curve25519 public key.
class PublicKey {
  public:
    using Bytes = std::array<std::uint8_t, Secret::size>;
    explicit PublicKey(const Bytes& bytes) : bytes_(bytes) {}
    [[nodiscard]] const Bytes& bytes() const { return bytes_; }
    /// One of the few points (RFC 7748 section 6.1) with which every agreement is all zeros: no
    /// handshake succeeds, and the kernel says nothing of it.
    [[nodiscard]] bool is_low_order() const;
    auto operator<=>(const PublicKey&) const = default;

  private:
    Bytes bytes_;
};

/// A Curve25519 private key, clamped as RFC 7748 section 5 asks: of the texts that mean the same
/// key it has the one that the kernel gives back.
class PrivateKey {
  public:
    /// From the kernel's random numbers.
    static PrivateKey generate();
    /// All zeros: what the kernel takes and gives for an interface that has no key.
    static PrivateKey none();
    /// Throws InvalidArgument, which names `field` and never repeats the value.
    static PrivateKey read(std::string_view field, std::string_view base64);
    /// `bytes` as on the wire.
    static PrivateKey from(std::span<const std::uint8_t, Secret::size> bytes);

    [[nodiscard]] PublicKey public_key() const;
    [[nodiscard]] std::span<const std::uint8_t, Secret::size> bytes() const {
        return secret_.bytes();
    }
    /// Appends the key in base64.
    void reveal(SecretText& to) const;
    bool operator==(const PrivateKey&) const = default;

  private:
    explicit PrivateKey(const Secret& secret);
    Secret secret_;
};

/// A key that two peers share besides their own.
class PresharedKey {
  public:
    static PresharedKey generate();
    /// All zeros: what the kernel takes and gives for a peer that has none.
    static PresharedKey none();
    /// Throws InvalidArgument, which names `field` and never repeats the value.
    static PresharedKey read(std::string_view field, std::string_view base64);
    /// `bytes` as on the wire.
    static PresharedKey from(std::span<const std::uint8_t, Secret::size> bytes);

    [[nodiscard]] std::span<const std::uint8_t, Secret::size> bytes() const {
        return secret_.bytes();
    }
    /// Appends the key in base64.
    void reveal(SecretText& to) const;
    bool operator==(const PresharedKey&) const = default;

  private:
    explicit PresharedKey(Secret secret) : secret_(std::move(secret)) {}
    Secret secret_;
};

template <>
struct TextForm<PublicKey> {
    static constexpr std::string_view allowed = "a WireGuard public key: 32 bytes in base64";
    static std::optional<PublicKey> parse(std::string_view text);
    static std::string format(const PublicKey& key);
};

}  // namespace porthole
