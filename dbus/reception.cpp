// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/reception.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sdbus-c++/Error.h>
#include <sys/ioctl.h>
#include <systemd/sd-bus.h>

#include "dbus/call_size.hpp"
#include "dbus/errors.hpp"
#include "dbus/limits.hpp"
#include "dbus/message.hpp"
#include "dbus/names.hpp"
#include "types/error.hpp"
#include "types/processor_time.hpp"

namespace porthole::dbus {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uid_t root = 0;  // whose calls are neither counted nor measured

std::string_view view_of(const char* text) { return text != nullptr ? text : ""; }

std::string_view method_of(sd_bus_message* call) {
    return view_of(sd_bus_message_get_member(call));
}

std::size_t most_text(sd_bus_message* call) {
    return method_of(call) == "Import" ? limits::file_bytes : limits::text_bytes;
}

// Also one that is refused is wiped then.
bool brings_key(sd_bus_message* call) {
    return method_of(call) == "Import" || method_of(call) == "Join";
}

// Signals reach us from whoever sends them to us: where they are said to come from does not count
// (sd-bus compares names of services with nothing).
bool is_forged(sd_bus_message* signal) {
    return view_of(sd_bus_message_get_interface(signal)) == bus_name &&
           view_of(sd_bus_message_get_sender(signal)) != bus_name;
}

// Who cannot be told must not keep others from being told.
void refuse(sd_bus_message* call, const char* error, const std::string& message) {
    sd_bus_reply_method_errorf(call, error, "%s", message.c_str());
}

}  // namespace

Reception::Reception(sdbus::IConnection& connection)
    : bus_(bus_of(connection)),
      clients_(connection, [this](const std::string& name) { leave(name); }),
      unread_(connection),
      authorization_(connection, clients_) {
    const auto see = [](sd_bus_message* message, void* reception, sd_bus_error* /*error*/) {
        return static_cast<Reception*>(reception)->let_through(message) ? 0 : 1;
    };
    sd_bus_slot* slot = nullptr;
    const auto result = sd_bus_add_filter(bus_, &slot, see, this);
    if (result < 0) throw sdbus::createError(-result, "cannot look at calls");
    filter_.reset(slot);
}

void Reception::Unref::operator()(sd_bus_slot* slot) const { sd_bus_slot_unref(slot); }

bool Reception::let_through(sd_bus_message* call) {
    bytes_ = 0;
    if (sd_bus_message_is_signal(call, nullptr, nullptr) > 0) return !is_forged(call);
    if (sd_bus_message_is_method_call(call, nullptr, nullptr) <= 0) return true;
    if (brings_key(call)) sd_bus_message_sensitive(call);
    const auto* name = sd_bus_message_get_sender(call);
    if (name == nullptr) return true;
    const std::string sender(name);
    try {
        return guarded([&] {
            const auto client = clients_.find(sender);
            if (!client) {
                let_wait(call, sender);
                return false;
            }
            if (client->user == root) return true;
            const auto now = Clock::now();
            unread_.look(now);
            const auto hearing = unread_.hearing(sender, now);
            if (hearing == Hearing::deaf) return false;
            if (hearing == Hearing::unknown) {
                late_refusals_.put(call, sender, "the bus does not say yet whether you read",
                                   now + limits::refused_after);
                return false;
            }
            if (!limits_.admit(client->user, now)) {
                // Nothing is thrown: there may be very many of these.
                const auto excess = limits_.excess(client->user, now);
                late_refusals_.put(call, fmt::format("user {}", client->user), excess.message,
                                   std::max(excess.until, now + limits::refused_after));
                return false;
            }
            begin(client->user);
            bytes_ = size_of(call, most_text(call));
            return true;
        });
    } catch (const sdbus::Error& error) {
        refuse(call, error.getName().c_str(), error.getMessage());
        return false;
    }
}

// Nothing is done for a client before the bus has said whose it is, and nothing is answered at
// once: then its calls are received again, before anything else that the bus sends.
void Reception::let_wait(sd_bus_message* call, const std::string& client) {
    constexpr auto newcomers = "newcomers";
    const auto refuse_late = [this](sd_bus_message* refused, const std::string& why) {
        late_refusals_.put(refused, newcomers, why, Clock::now() + limits::refused_after);
    };
    if (newcomers_.expect(client)) {
        try {
            clients_.identify(client, [this, client, refuse_late](const auto& credentials,
                                                                  const std::string& reason) {
                for (const auto& kept : newcomers_.take(client)) {
                    if (!credentials) {
                        refuse_late(kept.get(), "the bus does not say who you are: " + reason);
                    } else if (sd_bus_enqueue_for_read(bus_, kept.get()) < 0) {
                        refuse_late(kept.get(), "there is no room for the call");
                    }
                }
            });
        } catch (...) {
            newcomers_.take(client);
            throw;
        }
    }
    if (!newcomers_.keep(call, client)) {
        refuse_late(call,
                    "the bus is being asked whose you are, and too many calls wait until then");
    }
}

void Reception::begin(uid_t user) {
    caller_ = user;
    begun_ = processor_time();
    untaken_before_ = untaken_bytes();
    unsent_before_ = unsent_messages();
}

void Reception::handled() {
    if (!caller_) return;
    const TokenBucket::Seconds took = processor_time() - begun_;
    const auto calls = took / limits::time_of_a_call;
    const bool unknown = unsent_before_ > 0 && unsent_messages() > unsent_before_;
    const auto answer = unknown ? limits::bytes_where_unknown : untaken_bytes() - untaken_before_;
    const auto bytes = answer - limits::bytes_of_a_call;
    if (calls > 1 || bytes > 0) {
        limits_.charge(*caller_, std::max(0.0, calls - 1), std::max(0, bytes), Clock::now());
    }
    caller_.reset();
}

std::optional<TokenBucket::Time> Reception::refuse_late() {
    late_refusals_.send(Clock::now());
    return late_refusals_.next();
}

void Reception::read(const std::string& client, Admission::Call call) {
    authorization_.admission().read(client, paid_by(client, std::move(call)), bytes_);
}

void Reception::change(const std::string& client, Question question, Admission::Call call) {
    authorization_.admission().change(client, question, paid_by(client, std::move(call)), bytes_);
}

// A call that has waited is done while another message is handled.
Admission::Call Reception::paid_by(const std::string& client, Admission::Call call) {
    return [this, client, call = std::move(call)](const Denial& denial) {
        const auto known = clients_.find(client);
        if (caller_ || !known || known->user == root) return call(denial);
        begin(known->user);
        call(denial);
        handled();
    };
}

uid_t Reception::user_of(const std::string& client) const {
    const auto known = clients_.find(client);
    if (!known) throw Refused(Refusal::access_denied, "the bus does not say who you are");
    return known->user;
}

std::optional<Stall::Time::duration> Reception::held_up() {
    pollfd socket{sd_bus_get_fd(bus_), POLLOUT, 0};
    if (unsent_messages() == 0 || poll(&socket, 1, 0) != 0) {
        stall_.end();
        return std::nullopt;
    }
    return stall_.lasts(untaken_bytes(), Clock::now());
}

std::uint64_t Reception::unsent_messages() const {
    std::uint64_t messages = 0;
    return sd_bus_get_n_queued_write(bus_, &messages) >= 0 ? messages : 0;
}

int Reception::untaken_bytes() const {
    int bytes = 0;
    return ioctl(sd_bus_get_fd(bus_), SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

void Reception::leave(const std::string& name) {
    newcomers_.take(name);
    unread_.forget(name);
    authorization_.leave(name);
}

}  // namespace porthole::dbus
