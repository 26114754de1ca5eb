// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <linux/netlink.h>

namespace porthole::netlink {

/// A batch that is complete. Only Batch::finalize() makes one, and only such a one can be sent.
class FinalizedBatch {
  public:
    /// The messages, numbered from 1 in `nlmsg_seq` until renumber() is called.
    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
    /// Gives the messages the sequence numbers from `first` on.
    void renumber(std::uint32_t first);
    /// Whether one of the messages has this sequence number.
    [[nodiscard]] bool contains(std::uint32_t sequence) const {
        return sequence - first_sequence_ < names_.size();
    }
    /// What the message with this sequence number does, in words. It must be one of the batch's.
    [[nodiscard]] const std::string& name(std::uint32_t sequence) const;
    /// What the whole batch does, in words: its first command, and how many follow.
    [[nodiscard]] const std::string& name() const { return name_; }
    /// The sequence number of the last message that asks for an acknowledgement.
    [[nodiscard]] std::uint32_t last_acknowledged() const { return last_acknowledged_; }
    /// How many messages there are; those that frame a transaction count.
    [[nodiscard]] std::size_t size() const { return names_.size(); }

    FinalizedBatch(FinalizedBatch&&) noexcept = default;
    FinalizedBatch& operator=(FinalizedBatch&&) noexcept = default;
    FinalizedBatch(const FinalizedBatch&) = delete;
    FinalizedBatch& operator=(const FinalizedBatch&) = delete;
    /// Wipes secrets.
    ~FinalizedBatch();

  private:
    friend class Batch;
    FinalizedBatch() = default;
    std::vector<std::byte> bytes_;
    bool secret_ = false;
    std::vector<std::string> names_;
    std::string name_;
    std::uint32_t first_sequence_ = 1;
    std::uint32_t last_acknowledged_ = 0;
};

/// Commands that go to the kernel in one datagram. Every command has a name, so that an error can
/// say which one failed.
class Batch {
  public:
    /// Messages that the kernel takes one by one (rtnetlink, generic netlink, ctnetlink).
    Batch();
    /// Messages that a subsystem of nfnetlink takes as one transaction: all or none.
    static Batch nfnetlink_transaction(std::uint8_t subsystem);
    /// One message that has secrets in it: no memory that it was in keeps them.
    static Batch of_one_secret();
    Batch(Batch&&) noexcept = default;
    Batch& operator=(Batch&&) noexcept = default;
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;
    ~Batch();

    /// Appends a command. `payload` writes what follows the header, with the mnl_ or nftnl_
    /// functions; it has `max_message_bytes` of room. NLM_F_REQUEST and the sequence number are
    /// set here; `flags` has the rest.
    void add(std::string name, std::uint16_t type, std::uint16_t flags,
             const std::function<void(nlmsghdr*)>& payload);
    [[nodiscard]] bool empty() const { return commands_ == 0; }
    /// Room for so many bytes of messages in all: growing to a large batch takes time.
    void reserve(std::size_t bytes) { bytes_.reserve(bytes); }

    /// Closes the batch. Of an nfnetlink transaction only the last command asks for an
    /// acknowledgement: the kernel answers in order and reports every failure unasked, so this one
    /// answer proves the batch, however large it is. A batch without commands has no messages.
    FinalizedBatch finalize() &&;

    /// The most that one command may take, header included: a netlink attribute is below 64 KiB.
    static constexpr std::size_t max_message_bytes = 128UL * 1024;

  private:
    void append(std::string name, std::uint16_t type, std::uint16_t flags,
                const std::function<void(nlmsghdr*)>& payload);
    void append_frame(std::string name, std::uint16_t type);
    std::vector<std::byte> bytes_;
    std::vector<std::string> names_;
    using Scratch = std::array<std::byte, max_message_bytes>;
    std::unique_ptr<Scratch> scratch_;  // libmnl and libnftnl do not check for room
    std::size_t last_message_ = 0;      // its offset in bytes_
    std::size_t commands_ = 0;
    bool transaction_ = false;
    bool secret_ = false;
    std::uint8_t subsystem_ = 0;
};

}  // namespace porthole::netlink
