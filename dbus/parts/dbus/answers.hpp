// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <tuple>
#include <utility>

#include <sdbus-c++/sdbus-c++.h>

#include "core/log.hpp"
#include "dbus/admission.hpp"
#include "dbus/errors.hpp"
#include "dbus/message.hpp"

namespace porthole::dbus {

/// A client that cannot be told must not keep others from being told.
template <typename... Values>
void send_error(const sdbus::Result<Values...>& result, const sdbus::Error& error) {
    try {
        result.returnError(error);
    } catch (const sdbus::Error& failure) {
        log::error("reply-failed", "{}", failure.what());
    }
}

/// Sends what `work` returns or throws.
template <typename... Values, typename Work>
void reply(const sdbus::Result<Values...>& result, const Work& work) {
    try {
        const auto values = guarded([&] { return std::tuple<Values...>(work()); });
        std::apply([&](const auto&... value) { result.returnResults(value...); }, values);
    } catch (const sdbus::Error& error) {
        send_error(result, error);
    }
}

/// A call that does `work` unless that is denied, and answers with what it returns or throws.
template <typename... Values, typename Work>
Admission::Call answer(sdbus::Result<Values...>&& result, Work work) {
    // A std::function wants to be copied, a result must not be.
    auto shared = std::make_shared<sdbus::Result<Values...>>(std::move(result));
    return [shared, work = std::move(work)](const Denial& denial) {
        reply(*shared, [&] {
            if (denial) throw Refused(Refusal::access_denied, *denial);
            return work();
        });
    };
}

/// The same for `work` that hands out secrets: it is given the reply to write them into.
template <typename... Values, typename Work>
Admission::Call secret_answer(sdbus::Result<Values...>&& result, const sdbus::Message& call,
                              Work work) {
    auto shared = std::make_shared<sdbus::Result<Values...>>(std::move(result));
    // What sdbus-c++ handles for an object is a call.
    return [shared, call = static_cast<const sdbus::MethodCall&>(call),
            work = std::move(work)](const Denial& denial) {
        try {
            guarded([&] {
                if (denial) throw Refused(Refusal::access_denied, *denial);
                SecretReply secret(call);
                work(secret);
                secret.send();
            });
        } catch (const sdbus::Error& error) {
            send_error(*shared, error);
        }
    };
}

}  // namespace porthole::dbus
