// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/late_refusals.hpp"

#include <utility>

#include <systemd/sd-bus.h>

#include "dbus/errors.hpp"
#include "dbus/limits.hpp"
#include "types/error.hpp"

namespace porthole::dbus {
void LateRefusals::Unref::operator()(sd_bus_message* refusal) const {
    sd_bus_message_unref(refusal);
}

void LateRefusals::put(sd_bus_message* call, const std::string& whose, const std::string& message,
                       Time when) {
    if (sd_bus_message_get_expect_reply(call) <= 0) return;
    const auto waiting = counts_.find(whose);
    const auto count = waiting != counts_.end() ? waiting->second : 0;
    if (count >= limits::late_refusals) return;
    sd_bus_message* refusal = nullptr;
    // Not the call itself, which may be large.
    const auto made = sd_bus_message_new_method_errorf(
        call, &refusal, name_of(porthole::Refusal::busy).c_str(), "%s", message.c_str());
    if (made < 0) return;
    // Not all at once, as who made them would make as many again at once.
    when += count * limits::between_late_refusals;
    late_.emplace(when, Late{Refusal(refusal), whose});
    ++counts_[whose];
}

void LateRefusals::send(Time now) {
    while (!late_.empty() && late_.begin()->first <= now) {
        const auto late = late_.extract(late_.begin());
        const auto& [refusal, whose] = late.mapped();
        // Who has left does not hear it.
        sd_bus_send(nullptr, refusal.get(), nullptr);
        const auto count = counts_.find(whose);
        if (--count->second == 0) counts_.erase(count);
    }
}

std::optional<LateRefusals::Time> LateRefusals::next() const {
    return late_.empty() ? std::nullopt : std::optional(late_.begin()->first);
}

}  // namespace porthole::dbus
