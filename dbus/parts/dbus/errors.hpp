// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <exception>
#include <string>
#include <utility>

#include <sdbus-c++/Error.h>

#include "types/error.hpp"

namespace porthole::dbus {

/// The name of the D-Bus error that stands for a refusal.
std::string name_of(Refusal reason);
/// The D-Bus error that stands for `failure`. What is no failure of types/error.hpp is a defect of
/// ours and is logged.
sdbus::Error to_dbus_error(const std::exception_ptr& failure);

/// Does `work`; whatever it throws leaves as sdbus::Error. Every handler goes through here:
/// sdbus-c++ 1.2 never serves its connection again once anything else has left one.
template <typename Work>
decltype(auto) guarded(Work&& work) {
    try {
        return std::forward<Work>(work)();
    } catch (...) {
        throw to_dbus_error(std::current_exception());
    }
}

/// The same for a handler of IConnection::addMatch(): from there sdbus-c++ 1.2 lets everything that
/// is thrown go through sd-bus, so nothing leaves.
template <typename Work>
void contained(Work&& work) {
    try {
        guarded(std::forward<Work>(work));
    } catch (const sdbus::Error&) {  // NOLINT(bugprone-empty-catch)
        // A defect is logged already; else the bus is going, which its connection says.
    }
}

}  // namespace porthole::dbus
