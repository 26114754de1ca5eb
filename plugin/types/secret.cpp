// SPDX-License-Identifier: GPL-2.0-or-later
#include "types/secret.hpp"

#include <algorithm>
#include <mutex>
#include <new>
#include <stdexcept>
#include <vector>

#include <sodium.h>

namespace porthole {
namespace {

template <typename T>
T* locked_memory(std::size_t bytes) {
    if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be initialised");
    auto* memory = static_cast<T*>(sodium_malloc(bytes));
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}

// Locked memory comes in pages with guards around them, which is much for one secret: thousands of
// peers have one each.
class Pool {
  public:
    std::uint8_t* take() {
        const std::lock_guard lock(mutex_);
        if (free_.empty()) grow();
        auto* slot = free_.back();
        free_.pop_back();
        return slot;
    }

    // Does not throw: there is room for every slot.
    void give_back(std::uint8_t* slot) {
        sodium_memzero(slot, Secret::size);
        const std::lock_guard lock(mutex_);
        free_.push_back(slot);
    }

  private:
    // As many as fit into a page with the canary that libsodium puts before them.
    static constexpr std::size_t slots_of_a_page = 4096 / Secret::size - 1;

    void grow() {
        free_.reserve((pages_.size() + 1) * slots_of_a_page);
        pages_.reserve(pages_.size() + 1);
        pages_.emplace_back(locked_memory<std::uint8_t>(slots_of_a_page * Secret::size));
        auto* page = pages_.back().get();
        sodium_memzero(page, slots_of_a_page * Secret::size);
        for (std::size_t i = 0; i < slots_of_a_page; ++i) free_.push_back(page + i * Secret::size);
    }

    struct Free {
        void operator()(std::uint8_t* page) const { sodium_free(page); }
    };
    std::mutex mutex_;
    std::vector<std::unique_ptr<std::uint8_t, Free>> pages_;
    std::vector<std::uint8_t*> free_;
};

// Whoever has a slot keeps its pool.
std::shared_ptr<Pool> pool() {
    static const auto the_pool = std::make_shared<Pool>();
    return the_pool;
}

std::shared_ptr<std::uint8_t> slot() {
    auto from = pool();
    auto* bytes = from->take();
    return {bytes, [from = std::move(from)](std::uint8_t* used) { from->give_back(used); }};
}

}  // namespace

Secret::Secret(const std::function<void(Bytes)>& write) : bytes_(slot()) {
    write(Bytes(bytes_.get(), size));
}

bool Secret::operator==(const Secret& other) const {
    return sodium_memcmp(bytes_.get(), other.bytes_.get(), size) == 0;
}

void SecretText::Wipe::operator()(char* text) const { sodium_free(text); }

void SecretText::append(std::string_view text) {
    append(text.size(), [text](std::span<char> room) {
        std::ranges::copy(text, room.begin());
        return text.size();
    });
}

void SecretText::append(std::size_t most,
                        const std::function<std::size_t(std::span<char>)>& write) {
    if (most > room_ - size_) {
        constexpr std::size_t page = 4096;
        const auto room = std::max(size_ + most, std::max(2 * room_, page));
        std::unique_ptr<char, Wipe> larger(locked_memory<char>(room));
        std::copy_n(text_.get(), size_, larger.get());
        text_ = std::move(larger);
        room_ = room;
    }
    size_ += write({text_.get() + size_, most});
}

}  // namespace porthole
