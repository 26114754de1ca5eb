// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "types/key.hpp"

namespace porthole {

/// Seals secrets for the database, so that neither its file nor the memory of SQLite has them in
/// the clear. The key to them is in a file beside it, made when the first secret is sealed.
class Vault {
  public:
    static constexpr std::string_view file_name = "secrets.key";
    using Sealed = std::vector<std::uint8_t>;

    explicit Vault(const std::filesystem::path& directory) : file_(directory / file_name) {}

    /// `context`: what the secret is for; it cannot be opened as anything else. Throws
    /// StorageFailure, also where a secret could not be opened before: a new key would lose it.
    [[nodiscard]] Sealed seal(std::span<const std::uint8_t, Secret::size> secret,
                              std::string_view context);
    /// Throws StorageFailure where the key is missing or another one.
    [[nodiscard]] Secret open(std::span<const std::uint8_t> sealed, std::string_view context);

  private:
    const PresharedKey& key(bool make);
    std::filesystem::path file_;
    std::optional<PresharedKey> key_;  // read at its first use
    bool lost_ = false;                // it is not the one that secrets were sealed with
};

}  // namespace porthole
