// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdlib>

#include "wg/quick_file.hpp"

// What is read is what is written again. What is refused is refused with a line number, and the
// message is text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace porthole;
    const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
    try {
        const auto settings = wg::parse_quick_file(text);
        if (wg::parse_quick_file(wg::format_quick_file(settings).view()) != settings) std::abort();
    } catch (const InvalidArgument& error) {
        if (!std::string_view(error.what()).starts_with("line ")) std::abort();
    }
    return 0;
}
