// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/invitation.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <span>

#include <sodium.h>

#include "types/sorted.hpp"

namespace porthole {
namespace {

constexpr std::string_view invitation_prefix = "porthole-invitation-1:";
constexpr std::string_view answer_prefix = "porthole-answer-1:";
constexpr int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
constexpr std::size_t longest_line = 32768;
constexpr std::size_t checksum_bytes = crypto_generichash_BYTES_MIN;

using Hash = std::array<std::uint8_t, 32>;

const std::uint8_t* bytes_of(std::string_view text) {
    return static_cast<const std::uint8_t*>(static_cast<const void*>(text.data()));
}

void hash(std::span<std::uint8_t> to, std::string_view text, std::span<const std::uint8_t> key) {
    crypto_generichash(to.data(), to.size(), bytes_of(text), text.size(), key.data(), key.size());
}

// For people, not against them.
std::string checksum_of(std::string_view text) {
    std::array<std::uint8_t, checksum_bytes> sum{};
    hash(sum, text, {});
    return {sum.begin(), sum.end()};
}

template <std::size_t Size>
std::string hexadecimal(const std::array<std::uint8_t, Size>& bytes) {
    std::string text(Size * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
    text.pop_back();
    return text;
}

// Bytes beyond ASCII, and '%', as in RFC 3986 section 2.1.
std::string escaped(std::string_view text) {
    std::string result;
    for (const char c : text) {
        if (c >= ' ' && c < 127 && c != '%') {
            result += c;
        } else {
            result += '%' + hexadecimal(std::array{static_cast<std::uint8_t>(c)});
        }
    }
    return result;
}

template <typename T>
std::string joined(const std::vector<T>& values) {
    std::string text;
    for (const auto& value : values) text += (text.empty() ? "" : " ") + to_text(value);
    return text;
}

std::string line(std::string_view word, std::string_view value) {
    return std::string(word).append(" ").append(value).append("\n");
}

std::string text_of(const Ticket& ticket) {
    return line("nonce", hexadecimal(ticket.nonce)) +
           line("until", std::to_string(ticket.until.time_since_epoch().count())) +
           line("addresses", joined(ticket.addresses)) +
           line("name", escaped(to_text(ticket.name)));
}

std::string text_of(const Site& site) {
    auto text = line("key", to_text(site.key)) + line("networks", joined(site.networks));
    if (site.endpoint) text += line("endpoint", to_text(*site.endpoint));
    return text;
}

// All but the tag.
std::string text_of(const Answer& answer) {
    return text_of(answer.site) + line("to", to_text(answer.to)) + text_of(answer.ticket);
}

SecretText armoured(std::string_view prefix, std::string_view payload) {
    SecretText whole(payload);
    whole.append(checksum_of(payload));
    SecretText text(prefix);
    const auto size = sodium_base64_encoded_len(whole.view().size(), variant);  // with NUL
    text.append(size, [&](std::span<char> room) {
        sodium_bin2base64(room.data(), room.size(), bytes_of(whole.view()), whole.view().size(),
                          variant);
        return size - 1;
    });
    return text;
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

[[noreturn]] void refuse(const char* problem) {
    throw InvalidArgument(std::string("invalid line: ") + problem +
                          "; expected the whole line as \"portholectl tunnel invite\" or "
                          "\"portholectl tunnel join\" has printed it");
}

SecretText payload_of(std::string_view prefix, std::string_view text) {
    text = trimmed(text);
    if (!text.starts_with(prefix)) refuse("it does not begin like one");
    text.remove_prefix(prefix.size());
    if (text.empty()) refuse("it was cut or altered");
    if (text.size() > longest_line) refuse("it is too long");
    // libsodium takes some bytes beyond ASCII for digits.
    if (!std::ranges::all_of(text, [](char c) { return c > 0; })) refuse("it was altered");
    SecretText whole;
    whole.append(text.size(), [&](std::span<char> room) {
        std::size_t size = 0;
        const char* end = nullptr;
        auto* bytes = static_cast<std::uint8_t*>(static_cast<void*>(room.data()));
        const bool decoded = sodium_base642bin(bytes, room.size(), text.data(), text.size(),
                                               nullptr, &size, &end, variant) == 0 &&
                             end == text.data() + text.size();
        return decoded ? size : 0;
    });
    const auto all = whole.view();
    if (all.size() < checksum_bytes) refuse("it was cut or altered");
    const auto payload = all.substr(0, all.size() - checksum_bytes);
    if (all.substr(payload.size()) != checksum_of(payload)) refuse("it was cut or altered");
    return SecretText(payload);
}

// Takes the lines of a payload apart, and knows in the end whether one is left over.
class Reader {
  public:
    explicit Reader(std::string_view payload) {
        // What is wrong with a value repeats it: to a terminal, and over a bus that wants UTF-8.
        if (!std::ranges::all_of(payload,
                                 [](char c) { return c == '\n' || (c >= ' ' && c < 127); })) {
            refuse("it cannot be understood");
        }
        while (!payload.empty()) {
            const auto end = payload.find('\n');
            const auto each = payload.substr(0, end);
            const auto blank = each.find(' ');
            if (end == std::string_view::npos || blank == std::string_view::npos ||
                !values_.emplace(each.substr(0, blank), each.substr(blank + 1)).second) {
                refuse("it cannot be understood");
            }
            payload.remove_prefix(end + 1);
        }
    }

    std::optional<std::string_view> any(std::string_view word) {
        const auto found = values_.find(word);
        if (found == values_.end()) return std::nullopt;
        const auto value = found->second;
        values_.erase(found);
        return value;
    }
    std::string_view text(std::string_view word) {
        const auto value = any(word);
        if (!value) refuse("a part of it is missing");
        return *value;
    }
    template <typename T>
    std::vector<T> list(std::string_view word) {
        std::vector<T> values;
        auto rest = text(word);
        while (!rest.empty()) {
            const auto end = std::min(rest.find(' '), rest.size());
            values.push_back(parse<T>(word, rest.substr(0, end)));
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        return values;
    }
    template <std::size_t Size>
    std::array<std::uint8_t, Size> bytes(std::string_view word) {
        const auto digits = text(word);
        std::array<std::uint8_t, Size> value{};
        std::size_t size = 0;
        const char* end = nullptr;
        if (sodium_hex2bin(value.data(), Size, digits.data(), digits.size(), nullptr, &size,
                           &end) != 0 ||
            size != Size || end != digits.data() + digits.size()) {
            refuse("it cannot be understood");
        }
        return value;
    }
    Comment name(std::string_view word) {
        std::string name;
        auto rest = text(word);
        while (!rest.empty()) {
            const auto size = std::min<std::size_t>(rest[0] == '%' ? 3 : 1, rest.size());
            name += size == 1 ? rest[0] : byte_of(rest.substr(1, size - 1));
            rest.remove_prefix(size);
        }
        auto value = TextForm<Comment>::parse(name);
        if (!value) refuse("it cannot be understood");
        return *std::move(value);
    }
    Time time(std::string_view word) {
        const auto digits = text(word);
        std::uint32_t seconds = 0;
        const auto [end, error] = std::from_chars(digits.begin(), digits.end(), seconds);
        if (error != std::errc() || end != digits.end()) refuse("it cannot be understood");
        return Time(std::chrono::seconds(seconds));
    }
    void finish() const {
        if (!values_.empty()) refuse("it has a part that this version does not know");
    }

  private:
    static char byte_of(std::string_view digits) {
        unsigned value = 0;
        const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value, 16);
        if (error != std::errc() || digits.size() != 2 || end != digits.end()) {
            refuse("it cannot be understood");
        }
        return static_cast<char>(value);
    }

    std::map<std::string_view, std::string_view> values_;
};

Ticket read_ticket(Reader& reader) {
    return {.nonce = reader.bytes<sizeof(Ticket::nonce)>("nonce"),
            .until = reader.time("until"),
            .addresses = reader.list<InterfaceAddress>("addresses"),
            .name = reader.name("name")};
}

Site read_site(Reader& reader) {
    Site site{.key = parse<PublicKey>("key", reader.text("key"))};
    site.networks = reader.list<Network>("networks");
    sort_unique(site.networks);
    if (const auto endpoint = reader.any("endpoint")) {
        site.endpoint = parse<EndpointSetting>("endpoint", *endpoint);
    }
    return site;
}

}  // namespace

PresharedKey preshared_key_of(const PrivateKey& key, const Ticket& ticket) {
    const auto text = "porthole invitation\n" + text_of(ticket);
    Secret secret([&](Secret::Bytes bytes) { hash(bytes, text, key.bytes()); });
    return PresharedKey::from(secret.bytes());
}

Hash tag_of(const Answer& answer, const PresharedKey& preshared_key) {
    Hash tag{};
    hash(tag, "porthole answer\n" + text_of(answer), preshared_key.bytes());
    return tag;
}

SecretText encode(const Invitation& invitation) {
    SecretText payload(text_of(invitation.site));
    payload.append("secret ");
    invitation.preshared_key.reveal(payload);
    payload.append("\n");
    payload.append(text_of(invitation.ticket));
    return armoured(invitation_prefix, payload.view());
}

std::string encode(const Answer& answer) {
    const auto payload = text_of(answer) + line("tag", hexadecimal(answer.tag));
    return std::string(armoured(answer_prefix, payload).view());
}

bool is_answer(std::string_view line) { return trimmed(line).starts_with(answer_prefix); }

Invitation parse_invitation(std::string_view line) {
    const auto payload = payload_of(invitation_prefix, line);
    Reader reader(payload.view());
    Invitation invitation{.site = read_site(reader),
                          .preshared_key = PresharedKey::read("secret", reader.text("secret")),
                          .ticket = read_ticket(reader)};
    reader.finish();
    return invitation;
}

Answer parse_answer(std::string_view line) {
    const auto payload = payload_of(answer_prefix, line);
    Reader reader(payload.view());
    Answer answer{.site = read_site(reader),
                  .to = parse<PublicKey>("to", reader.text("to")),
                  .ticket = read_ticket(reader),
                  .tag = reader.bytes<sizeof(Answer::tag)>("tag")};
    reader.finish();
    return answer;
}

}  // namespace porthole
