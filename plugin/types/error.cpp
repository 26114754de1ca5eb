// SPDX-License-Identifier: GPL-2.0-or-later
#include "types/error.hpp"

#include <system_error>

namespace porthole {
namespace {

std::string joined(std::initializer_list<std::string_view> parts) {
    std::string text;
    for (const auto part : parts) text += part;
    return text;
}

std::string kernel_message(std::string_view command, int error, std::string_view detail) {
    auto text = joined({command, ": ", std::generic_category().message(error)});
    if (!detail.empty()) text += joined({" (", detail, ")"});
    return text;
}

}  // namespace

InvalidArgument::InvalidArgument(std::string_view argument, std::string_view value,
                                 std::string_view allowed)
    : Error(joined({"invalid ", argument, " \"", value, "\": expected ", allowed})) {}

KernelFailure::KernelFailure(std::string_view command, int error, std::string_view detail)
    : Error(kernel_message(command, error, detail)), code_(error) {}

StorageFailure::StorageFailure(std::string_view action, std::string_view detail)
    : Error(joined({action, ": ", detail})) {}

}  // namespace porthole
