// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/invitation.hpp"

#include <cstdlib>

#include <sodium.h>

namespace {

using namespace porthole;

// With the checksum that no change of single bytes finds.
std::string armoured(std::string_view prefix, std::string_view payload) {
    constexpr int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
    std::string whole(payload);
    whole.resize(whole.size() + crypto_generichash_BYTES_MIN);
    auto* bytes = static_cast<std::uint8_t*>(static_cast<void*>(whole.data()));
    crypto_generichash(bytes + payload.size(), crypto_generichash_BYTES_MIN, bytes, payload.size(),
                       nullptr, 0);
    std::string text(sodium_base64_encoded_len(whole.size(), variant), '\0');
    sodium_bin2base64(text.data(), text.size(), bytes, whole.size(), variant);
    text.pop_back();
    return std::string(prefix) + text;
}

// What is understood is read again as it was, and what is not has one kind of answer.
void read(std::string_view line) {
    try {
        const auto invitation = parse_invitation(line);
        if (parse_invitation(encode(invitation).view()) != invitation) std::abort();
    } catch (const InvalidArgument&) {  // NOLINT(bugprone-empty-catch)
    }
    try {
        const auto answer = parse_answer(line);
        if (parse_answer(encode(answer)) != answer) std::abort();
    } catch (const InvalidArgument&) {  // NOLINT(bugprone-empty-catch)
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
    read(text);
    read(armoured("porthole-invitation-1:", text));
    read(armoured("porthole-answer-1:", text));
    return 0;
}
