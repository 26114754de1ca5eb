// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/qr_code.hpp"

#include <cerrno>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <system_error>

#include <qrencode.h>

namespace porthole::cli {
namespace {

struct Free {
    void operator()(QRcode* code) const { QRcode_free(code); }
};

constexpr int quiet_zone = 4;  // modules

bool is_dark(const QRcode& code, int row, int column) {
    if (row < 0 || column < 0 || row >= code.width || column >= code.width) return false;
    return (code.data[row * code.width + column] & 1U) != 0;
}

}  // namespace

std::string qr_code(std::string_view text) {
    // As bytes: letters and digits alone would take less room, but files have more than these.
    const auto* bytes = static_cast<const std::uint8_t*>(static_cast<const void*>(text.data()));
    const std::unique_ptr<QRcode, Free> code(
        QRcode_encodeData(static_cast<int>(text.size()), bytes, 0, QR_ECLEVEL_L));
    if (!code) {
        throw std::runtime_error(errno == ERANGE
                                     ? "it is too long for a QR code"
                                     : "QR code: " + std::generic_category().message(errno));
    }
    std::string drawn;
    for (int row = -quiet_zone; row < code->width + quiet_zone; row += 2) {
        drawn += "\033[30;107m";  // black on white
        for (int column = -quiet_zone; column < code->width + quiet_zone; ++column) {
            const bool upper = is_dark(*code, row, column);
            const bool lower = is_dark(*code, row + 1, column);
            drawn += upper && lower ? "\u2588" : upper ? "\u2580" : lower ? "\u2584" : " ";
        }
        drawn += "\033[0m\n";
    }
    return drawn;
}

}  // namespace porthole::cli
