// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

namespace porthole {

/// 32 bytes that are secret: in memory that is neither swapped out nor part of a core dump (where
/// the limit on locked memory allows it), shared by its copies and wiped with the last of them.
class Secret {
  public:
    static constexpr std::size_t size = 32;
    using Bytes = std::span<std::uint8_t, size>;

    /// `write` fills the bytes, which are zeros before. It may throw.
    explicit Secret(const std::function<void(Bytes)>& write);
    [[nodiscard]] std::span<const std::uint8_t, size> bytes() const {
        return std::span<const std::uint8_t, size>(bytes_.get(), size);
    }
    /// Takes as long wherever they differ.
    bool operator==(const Secret& other) const;

  private:
    std::shared_ptr<std::uint8_t> bytes_;
};

/// Text that has secrets in it, in memory like a Secret's.
class SecretText {
  public:
    SecretText() = default;
    explicit SecretText(std::string_view text) { append(text); }
    [[nodiscard]] std::string_view view() const { return {text_.get(), size_}; }
    /// Throws std::bad_alloc.
    void append(std::string_view text);
    /// Appends as many bytes as `write` says that it has written into the room of `most` bytes.
    void append(std::size_t most, const std::function<std::size_t(std::span<char>)>& write);

  private:
    struct Wipe {
        void operator()(char* text) const;
    };
    std::unique_ptr<char, Wipe> text_;
    std::size_t size_ = 0;
    std::size_t room_ = 0;
};

}  // namespace porthole
