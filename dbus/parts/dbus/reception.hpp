// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "dbus/authorization.hpp"
#include "dbus/call_limits.hpp"
#include "dbus/clients.hpp"
#include "dbus/late_refusals.hpp"
#include "dbus/newcomers.hpp"
#include "dbus/stall.hpp"
#include "dbus/unread.hpp"

struct sd_bus;
struct sd_bus_message;
struct sd_bus_slot;

namespace porthole::dbus {

/// What a call passes before it is done, and all that is remembered of the clients. Every call is
/// seen before anything of it is unpacked, and one that is over a limit is answered here: that
/// takes less than anything that it asks for.
class Reception {
  public:
    /// Throws sdbus::Error if the bus does not let us see who calls.
    explicit Reception(sdbus::IConnection& connection);
    Reception(const Reception&) = delete;
    Reception& operator=(const Reception&) = delete;
    Reception(Reception&&) = delete;
    Reception& operator=(Reception&&) = delete;
    ~Reception() = default;

    /// As those of Admission, for the call that is being handled.
    void read(const std::string& client, Admission::Call call);
    void change(const std::string& client, Question question, Admission::Call call);
    /// Whose a client is that may do what it has asked for.
    [[nodiscard]] uid_t user_of(const std::string& client) const;

    /// To be called after each message: what takes long is paid for, and so are large answers.
    void handled();
    /// Answers calls that were over a limit, as far as it is time for that; until when there is
    /// none to answer.
    std::optional<TokenBucket::Time> refuse_late();
    /// Whether the bus has to take something before another call is served. Then, for how long it
    /// has taken nothing.
    std::optional<Stall::Time::duration> held_up();
    /// What is on its way to the bus, which the kernel keeps for it, in the kernel's bytes.
    [[nodiscard]] int untaken_bytes() const;
    [[nodiscard]] Unread& unread() { return unread_; }

  private:
    bool let_through(sd_bus_message* call);
    /// Which the kernel does not keep for the bus yet, as it has no room.
    [[nodiscard]] std::uint64_t unsent_messages() const;
    void let_wait(sd_bus_message* call, const std::string& client);
    void begin(uid_t user);
    Admission::Call paid_by(const std::string& client, Admission::Call call);
    void leave(const std::string& name);

    struct Unref {
        void operator()(sd_bus_slot* slot) const;
    };

    sd_bus* bus_;
    Clients clients_;
    Newcomers newcomers_;
    CallLimits limits_;
    Unread unread_;
    LateRefusals late_refusals_;
    Stall stall_;
    Authorization authorization_;
    std::optional<uid_t> caller_;       ///< whose call is being handled, if it is to be paid for
    std::chrono::nanoseconds begun_{};  ///< that call, in the processor's time
    int untaken_before_ = 0;
    std::uint64_t unsent_before_ = 0;
    std::size_t bytes_ = 0;  ///< that the call brings which is being handled; not counted for root
    std::unique_ptr<sd_bus_slot, Unref> filter_;
};

}  // namespace porthole::dbus
