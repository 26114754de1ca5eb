// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/batch.hpp"

#include <cstring>
#include <stdexcept>
#include <utility>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>

#include "netlink/message.hpp"

namespace porthole::netlink {
namespace {

nlmsghdr* message_at(std::vector<std::byte>& bytes, std::size_t offset) {
    return static_cast<nlmsghdr*>(static_cast<void*>(bytes.data() + offset));
}

void wipe(std::span<std::byte> bytes) {
    if (!bytes.empty()) explicit_bzero(bytes.data(), bytes.size());
}

std::string batch_name(const std::string& first_command, std::size_t commands) {
    if (commands == 1) return first_command;
    return first_command + " and " + std::to_string(commands - 1) + " more";
}

}  // namespace

void FinalizedBatch::renumber(std::uint32_t first) {
    last_acknowledged_ += first - first_sequence_;
    first_sequence_ = first;
    auto sequence = first;
    for (std::size_t offset = 0; offset < bytes_.size();) {
        auto* message = message_at(bytes_, offset);
        message->nlmsg_seq = sequence++;
        offset += padded(message->nlmsg_len);
    }
}

const std::string& FinalizedBatch::name(std::uint32_t sequence) const {
    return names_.at(sequence - first_sequence_);
}

FinalizedBatch::~FinalizedBatch() {
    if (secret_) wipe(bytes_);
}

// Not filled: that would take longer than all the rest of a small batch.
Batch::Batch() : scratch_(std::make_unique_for_overwrite<Scratch>()) {}

Batch Batch::nfnetlink_transaction(std::uint8_t subsystem) {
    Batch batch;
    batch.transaction_ = true;
    batch.subsystem_ = subsystem;
    batch.append_frame("begin batch", NFNL_MSG_BATCH_BEGIN);
    return batch;
}

Batch Batch::of_one_secret() {
    Batch batch;
    batch.secret_ = true;
    batch.reserve(max_message_bytes);  // growing would leave a copy behind
    return batch;
}

Batch::~Batch() {
    if (!secret_) return;
    wipe(bytes_);
    if (scratch_) wipe(*scratch_);
}

void Batch::add(std::string name, std::uint16_t type, std::uint16_t flags,
                const std::function<void(nlmsghdr*)>& payload) {
    const std::uint16_t acknowledge = transaction_ ? 0 : NLM_F_ACK;
    append(std::move(name), type, flags | acknowledge, payload);
    ++commands_;
}

void Batch::append_frame(std::string name, std::uint16_t type) {
    append(std::move(name), type, 0, [this](nlmsghdr* message) {
        auto* header =
            static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
        header->nfgen_family = AF_UNSPEC;
        header->version = NFNETLINK_V0;
        header->res_id = htons(subsystem_);
    });
}

void Batch::append(std::string name, std::uint16_t type, std::uint16_t flags,
                   const std::function<void(nlmsghdr*)>& payload) {
    auto* message = mnl_nlmsg_put_header(scratch_->data());
    message->nlmsg_type = type;
    message->nlmsg_flags = flags | NLM_F_REQUEST;
    message->nlmsg_seq = static_cast<std::uint32_t>(names_.size() + 1);
    payload(message);
    const auto length = padded(message->nlmsg_len);
    if (length > max_message_bytes) throw std::length_error("netlink message too long: " + name);
    last_message_ = bytes_.size();
    bytes_.insert(bytes_.end(), scratch_->data(), scratch_->data() + length);
    names_.push_back(std::move(name));
}

FinalizedBatch Batch::finalize() && {
    FinalizedBatch batch;
    if (empty()) return batch;
    message_at(bytes_, last_message_)->nlmsg_flags |= NLM_F_ACK;
    batch.last_acknowledged_ = static_cast<std::uint32_t>(names_.size());
    batch.name_ = batch_name(names_[transaction_ ? 1 : 0], commands_);
    if (transaction_) append_frame("end batch", NFNL_MSG_BATCH_END);
    batch.bytes_ = std::move(bytes_);
    batch.secret_ = secret_;
    batch.names_ = std::move(names_);
    return batch;
}

}  // namespace porthole::netlink
