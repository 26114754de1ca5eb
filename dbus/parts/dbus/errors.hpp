// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <exception>
#include <utility>

#include <sdbus-c++/Error.h>

namespace porthole::dbus {

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

}  // namespace porthole::dbus
