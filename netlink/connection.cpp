// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/connection.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include <libmnl/libmnl.h>

#include "netlink/message.hpp"

namespace porthole::netlink {
namespace {

constexpr int largest_errno = 4095;  // MAX_ERRNO of the kernel

// What NLMSG_ERROR or NLMSG_DONE says.
struct Verdict {
    int error = 0;  // errno, positive; 0: an acknowledgement
    std::string detail;
    std::uint32_t offset = 0;
};

// How much comes before the attributes of an extended acknowledgement: the error and, in
// NLMSG_ERROR, the request that it is about, in full unless NLM_F_CAPPED is set.
std::size_t bytes_before_attributes(const nlmsghdr* message) {
    if (message->nlmsg_type == NLMSG_DONE) return sizeof(int);
    if ((message->nlmsg_flags & NLM_F_CAPPED) != 0) return sizeof(nlmsgerr);
    const auto* report = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
    return sizeof(int) + std::max<std::size_t>(report->msg.nlmsg_len, sizeof(nlmsghdr));
}

// Nothing if the message is another one or too short to say anything.
std::optional<Verdict> decode_verdict(const nlmsghdr* message) {
    const auto size = mnl_nlmsg_get_payload_len(message);
    const bool is_report = message->nlmsg_type == NLMSG_ERROR && size >= sizeof(nlmsgerr);
    const bool is_end = message->nlmsg_type == NLMSG_DONE && size >= sizeof(int);
    if (!is_report && !is_end) return std::nullopt;
    Verdict verdict;
    int error = 0;
    std::memcpy(&error, mnl_nlmsg_get_payload(message), sizeof(error));
    verdict.error = -std::clamp(error, -largest_errno, 0);
    if ((message->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return verdict;
    if (const auto attributes = Attributes::of(message, bytes_before_attributes(message))) {
        verdict.detail = attributes->text(NLMSGERR_ATTR_MSG);
        verdict.offset = attributes->u32(NLMSGERR_ATTR_OFFS).value_or(0);
    }
    return verdict;
}

// A dump that was given up, or a failure that nobody read, must not be taken for the answer to
// what is sent next.
void discard_stale_answers(Transport& transport, std::span<std::byte> buffer) {
    receive_all(transport, buffer, [](const nlmsghdr*) {});
}

// Wipes the buffer, if there is one, at the end of its life.
class Wipe {
  public:
    explicit Wipe(ReceiveBuffer* buffer) : buffer_(buffer) {}
    ~Wipe() {
        if (buffer_ != nullptr) buffer_->wipe();
    }
    Wipe(const Wipe&) = delete;
    Wipe& operator=(const Wipe&) = delete;
    Wipe(Wipe&&) = delete;
    Wipe& operator=(Wipe&&) = delete;

  private:
    ReceiveBuffer* buffer_;
};

}  // namespace

BatchFailure::BatchFailure(std::vector<CommandFailure> failures)
    : KernelFailure(failures.front().command, failures.front().error, failures.front().detail),
      failures_(std::move(failures)) {}

Connection::Connection(std::unique_ptr<Transport> transport) : transport_(std::move(transport)) {}

void Connection::execute(FinalizedBatch batch, const std::function<void(const nlmsghdr*)>& answer) {
    if (batch.size() == 0) return;
    const Wipe wipe{wipes_ ? &buffer_ : nullptr};
    batch.renumber(next_sequence_);
    next_sequence_ += static_cast<std::uint32_t>(batch.size());

    std::vector<CommandFailure> failures;
    bool acknowledged = false;
    bool complete = true;
    try {
        discard_stale_answers(*transport_, buffer_);
        transport_->send(batch.bytes());
        complete = receive_all(*transport_, buffer_, [&](const nlmsghdr* message) {
            const auto sequence = message->nlmsg_seq;
            if (!batch.contains(sequence)) return;
            if (message->nlmsg_type >= NLMSG_MIN_TYPE) return answer(message);
            auto verdict = decode_verdict(message);
            if (!verdict) return;
            acknowledged |= sequence == batch.last_acknowledged();
            if (verdict->error == 0) return;
            failures.push_back({batch.name(sequence), verdict->error, std::move(verdict->detail),
                                verdict->offset});
        });
    } catch (const std::system_error& error) {
        failures.push_back({batch.name(), error.code().value(), {}, 0});
    }
    if (failures.empty() && !complete) {
        failures.push_back({batch.name(), ENOBUFS, "the kernel dropped answers", 0});
    }
    if (failures.empty() && !acknowledged) {
        failures.push_back({batch.name(), EBADMSG, "the kernel did not answer", 0});
    }
    if (!failures.empty()) throw BatchFailure(std::move(failures));
}

void Connection::dump(const std::string& name, std::uint16_t type,
                      const std::function<void(nlmsghdr*)>& payload,
                      const std::function<void(const nlmsghdr*)>& each,
                      const std::function<void()>& restart) {
    const Wipe wipe{wipes_ ? &buffer_ : nullptr};
    Batch batch;
    batch.add(name, type, NLM_F_DUMP, payload);
    auto request = std::move(batch).finalize();
    for (int attempt = 1; !dump_once(request, each); ++attempt) {
        if (attempt == max_attempts) {
            throw KernelFailure(name, EINTR, "changed while it was read, every time");
        }
        restart();
    }
}

bool Connection::dump_once(FinalizedBatch& request,
                           const std::function<void(const nlmsghdr*)>& each) {
    const auto& name = request.name();
    const auto sequence = next_sequence_++;
    request.renumber(sequence);

    bool interrupted = false;
    std::optional<Verdict> end;
    const auto take = [&](const nlmsghdr* message) {
        if (message->nlmsg_seq != sequence || end) return;
        interrupted |= (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (message->nlmsg_type >= NLMSG_MIN_TYPE) {
            if (!interrupted) each(message);
            return;
        }
        auto verdict = decode_verdict(message);
        const bool is_end = message->nlmsg_type == NLMSG_DONE || (verdict && verdict->error != 0);
        if (is_end) end = std::move(verdict).value_or(Verdict{});
    };
    try {
        discard_stale_answers(*transport_, buffer_);
        transport_->send(request.bytes());
    } catch (const std::system_error& error) {
        throw KernelFailure(name, error.code().value(), {});
    }
    while (!end) {
        const auto datagram = next_part(name);
        if (!for_each_message(datagram, take)) throw KernelFailure(name, EBADMSG, "cut short");
    }
    if (end->error != 0 && end->error != EINTR) throw KernelFailure(name, end->error, end->detail);
    return !interrupted && end->error == 0;
}

// The kernel makes each part while it hands over the one before.
std::span<const std::byte> Connection::next_part(const std::string& name) {
    try {
        const auto size = transport_->receive(buffer_);
        if (size > 0) return std::span<std::byte>(buffer_).first(size);
    } catch (const std::system_error& error) {
        throw KernelFailure(name, error.code().value(), {});
    }
    throw KernelFailure(name, EBADMSG, "the answer has no end");
}

}  // namespace porthole::netlink
