// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "netlink/batch.hpp"
#include "netlink/transport.hpp"
#include "types/error.hpp"

namespace porthole::netlink {

/// One command that the kernel refused.
struct CommandFailure {
    std::string command;  ///< its name in the batch
    int error = 0;        ///< errno, positive
    std::string detail;   ///< the extended acknowledgement's text, may be empty
    /// Where in the message the offending attribute starts, in bytes; 0: the kernel did not say.
    std::uint32_t offset = 0;
    bool operator==(const CommandFailure&) const = default;
};

/// One or more commands of a batch failed. what() tells of the first one.
class BatchFailure : public KernelFailure {
  public:
    explicit BatchFailure(std::vector<CommandFailure> failures);
    /// In the order of the kernel's answers; never empty.
    [[nodiscard]] const std::vector<CommandFailure>& failures() const { return failures_; }

  private:
    std::vector<CommandFailure> failures_;
};

/// Requests and their answers over one transport. The kernel works on a request within send(), so
/// all answers are there afterwards: nothing here ever waits, and an answer that is missing is an
/// error, not a hang.
class Connection {
  public:
    explicit Connection(std::unique_ptr<Transport> transport);
    /// Wipes what the kernel has answered when each call here returns: it has secrets in it.
    void wipe_answers() { wipes_ = true; }

    /// Sends the batch and reads all answers. Throws BatchFailure if the kernel refused a command
    /// or an acknowledgement is missing (ENOBUFS if answers were dropped, EBADMSG otherwise).
    /// `answer` is handed what the kernel answers besides acknowledgements.
    void execute(
        FinalizedBatch batch,
        const std::function<void(const nlmsghdr*)>& answer = [](const nlmsghdr*) {});

    /// Sends one dump request and hands each message of the answer to `each`. A dump that the
    /// kernel marks as interrupted is asked for again from the start, `restart` being called
    /// first, at most `max_attempts` times. Throws KernelFailure (EINTR after the last attempt).
    void dump(const std::string& name, std::uint16_t type,
              const std::function<void(nlmsghdr*)>& payload,
              const std::function<void(const nlmsghdr*)>& each,
              const std::function<void()>& restart);
    static constexpr int max_attempts = 10;

    /// What it speaks over. The kernel may announce things there, too.
    [[nodiscard]] Transport& transport() const { return *transport_; }

  private:
    // False: what was dumped changed meanwhile.
    bool dump_once(FinalizedBatch& request, const std::function<void(const nlmsghdr*)>& each);
    std::span<const std::byte> next_part(const std::string& name);
    std::unique_ptr<Transport> transport_;
    ReceiveBuffer buffer_;
    bool wipes_ = false;
    std::uint32_t next_sequence_ = 1;
};

}  // namespace porthole::netlink
