// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <optional>

#include "types/secret.hpp"

namespace porthole {

/// What is in a file that nobody else may read. Nothing if there is no such file; throws
/// StorageFailure if it cannot be read or has more than `most_secret_file_bytes`.
std::optional<SecretText> read_secret_file(const std::filesystem::path& file);
constexpr std::size_t most_secret_file_bytes = 1UL << 20U;

/// Puts the text into the file, which only its owner can read: all of it, even after a power cut,
/// or nothing. Throws StorageFailure.
void write_secret_file(const std::filesystem::path& file, std::string_view text);

}  // namespace porthole
