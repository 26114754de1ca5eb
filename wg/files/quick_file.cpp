// SPDX-License-Identifier: GPL-2.0-or-later
#include "wg/quick_file.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include <fmt/format.h>

#include "types/sorted.hpp"

namespace porthole::wg {
namespace {

using Text = std::string_view;

constexpr Text blanks = " \t\r\v\f";

Text trimmed(Text text) {
    const auto first = text.find_first_not_of(blanks);
    if (first == Text::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowered(Text text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), lower);
    return result;
}

// Hands each part, without the blanks around it, to `each`. An empty text has none.
template <typename Each>
void split(Text text, char separator, const Each& each) {
    if (trimmed(text).empty()) return;
    for (;;) {
        const auto end = text.find(separator);
        each(trimmed(text.substr(0, end)));
        if (end == Text::npos) return;
        text.remove_prefix(end + 1);
    }
}

template <typename Number>
std::optional<Number> number_from(Text text, int base = 10) {
    Number value = 0;
    const auto [stop, error] = std::from_chars(text.begin(), text.end(), value, base);
    if (error != std::errc() || stop != text.end()) return std::nullopt;
    return value;
}

Keepalive keepalive_from(Text value) {
    if (value == "off") return Keepalive(0);
    if (const auto seconds = number_from<std::uint16_t>(value)) return Keepalive(*seconds);
    throw InvalidArgument("PersistentKeepalive", value, "\"off\" or seconds from 0 to 65535");
}

std::uint32_t mark_from(Text value) {
    if (value == "off") return 0;
    const bool hexadecimal = value.starts_with("0x") || value.starts_with("0X");
    const auto digits = hexadecimal ? value.substr(2) : value;
    if (const auto mark = number_from<std::uint32_t>(digits, hexadecimal ? 16 : 10)) return *mark;
    throw InvalidArgument("FwMark", value, "\"off\" or a number of 32 bits like 51820 or 0xca6c");
}

std::optional<Port> port_from(Text value) {
    if (value == "0") return std::nullopt;
    return parse<Port>("ListenPort", value);
}

std::uint32_t mtu_from(Text value) {
    const auto bytes = number_from<std::uint32_t>(value);
    if (bytes && least_mtu <= *bytes && *bytes <= most_mtu) return *bytes;
    throw InvalidArgument("MTU", value, fmt::format("bytes from {} to {}", least_mtu, most_mtu));
}

Network allowed_ip_from(Text value) {
    const auto address = TextForm<InterfaceAddress>::parse(value);
    const auto network =
        address ? Network::around(address->address, address->prefix_length) : std::nullopt;
    if (network) return *network;
    throw InvalidArgument("AllowedIPs", value, "networks like \"192.168.2.0/24\"");
}

// A peer's key comes in any of its lines.
struct UnfinishedPeer {
    unsigned line = 0;  // of its section
    std::optional<PublicKey> public_key;
    std::optional<PresharedKey> preshared_key;
    std::optional<EndpointSetting> endpoint;
    Keepalive keepalive{0};
    std::vector<Network> allowed_ips;
};

class Reader {
  public:
    TunnelSettings read(Text text) {
        for (line_ = 1; !text.empty(); ++line_) {
            const auto end = text.find('\n');
            take_line(text.substr(0, end));
            text.remove_prefix(end == Text::npos ? text.size() : end + 1);
        }
        end_peer();
        std::ranges::stable_sort(settings_.peers, {}, &PeerSettings::public_key);
        if (!errors_.empty()) throw InvalidArgument(errors_);
        return std::move(settings_);
    }

  private:
    enum class Section : std::uint8_t { none, interface, peer };

    void take_line(Text line) {
        const auto content = trimmed(line.substr(0, line.find('#')));
        if (content.empty()) return;
        try {
            if (content.starts_with('[')) return begin_section(content);
            const auto equals = content.find('=');
            if (equals == Text::npos) {
                throw InvalidArgument(
                    "expected a section like [Peer], or a key, \"=\" and a value");
            }
            take(trimmed(content.substr(0, equals)), trimmed(content.substr(equals + 1)));
        } catch (const InvalidArgument& error) {
            report(line_, error.what());
        }
    }

    void report(unsigned line, Text message) {
        errors_.append(fmt::format("{}line {}: {}", errors_.empty() ? "" : "\n", line, message));
    }

    void begin_section(Text header) {
        end_peer();
        seen_.clear();
        const auto name = lowered(header);
        section_ = Section::none;
        if (name == "[interface]") {
            if (has_interface_) throw InvalidArgument("there is an [Interface] already");
            has_interface_ = true;
            section_ = Section::interface;
        } else if (name == "[peer]") {
            section_ = Section::peer;
            peer_.emplace().line = line_;
        } else {
            skipping_ = true;
            throw InvalidArgument("expected [Interface] or [Peer]");
        }
        skipping_ = false;
    }

    void end_peer() {
        if (!peer_) return;
        auto peer = std::move(*peer_);
        peer_.reset();
        if (!peer.public_key) return report(peer.line, "the peer has no PublicKey");
        if (!keys_.insert(*peer.public_key).second) {
            return report(peer.line, "the peer " + to_text(*peer.public_key) + " is there twice");
        }
        sort_unique(peer.allowed_ips);
        settings_.peers.push_back({.public_key = *peer.public_key,
                                   .preshared_key = std::move(peer.preshared_key),
                                   .endpoint = std::move(peer.endpoint),
                                   .keepalive = peer.keepalive,
                                   .allowed_ips = std::move(peer.allowed_ips)});
    }

    void take(Text key, Text value) {
        if (skipping_) return;
        const auto name = lowered(key);
        const bool known = section_ == Section::interface ? take_of_interface(name, value)
                           : section_ == Section::peer    ? take_of_peer(name, value)
                                                          : false;
        if (known) return;
        if (section_ == Section::none) throw InvalidArgument("it is in no section");
        // A part of a key that went to a line of its own is a secret.
        constexpr std::size_t longest_key = 20;
        const bool is_word = key.size() <= longest_key && std::ranges::all_of(key, [](char c) {
                                 return lower(c) >= 'a' && lower(c) <= 'z';
                             });
        throw InvalidArgument((is_word ? std::string(key) + ": a" : std::string("A")) +
                              " key that is not known in this section");
    }

    bool take_of_interface(const std::string& name, Text value) {
        if (name == "address") {
            split(value, ',', [this](Text each) {
                settings_.addresses.push_back(parse<InterfaceAddress>("Address", each));
            });
            return true;
        }
        if (name == "dns") {
            split(value, ',', [this](Text each) {
                settings_.dns.push_back(parse<DnsEntry>("DNS", each).text());
            });
            return true;
        }
        for (const Text command : {"PreUp", "PostUp", "PreDown", "PostDown"}) {
            if (name != lowered(command)) continue;
            throw InvalidArgument(std::string(command) + ": commands are never run");
        }
        constexpr std::array<Text, 6> once{"privatekey", "listenport", "fwmark",
                                           "mtu",        "table",      "saveconfig"};
        if (std::ranges::find(once, Text(name)) == once.end()) return false;
        require_first(name);
        if (name == "privatekey") {
            auto key = PrivateKey::read("PrivateKey", value);
            if (key != PrivateKey::none()) settings_.private_key = std::move(key);
        }
        if (name == "listenport") settings_.listen_port = port_from(value);
        if (name == "fwmark") settings_.fwmark = mark_from(value);
        if (name == "mtu") settings_.mtu = mtu_from(value);
        if (name == "table") settings_.table = parse<RouteTable>("Table", value);
        // What is learnt is kept anyway.
        if (name == "saveconfig" && value != "true" && value != "false") {
            throw InvalidArgument("SaveConfig", value, "\"true\" or \"false\"");
        }
        return true;
    }

    bool take_of_peer(const std::string& name, Text value) {
        if (name == "allowedips") {
            split(value, ',',
                  [this](Text each) { peer_->allowed_ips.push_back(allowed_ip_from(each)); });
            return true;
        }
        constexpr std::array<Text, 4> once{"publickey", "presharedkey", "endpoint",
                                           "persistentkeepalive"};
        if (std::ranges::find(once, Text(name)) == once.end()) return false;
        require_first(name);
        if (name == "publickey") {
            // A private key is a public key by its form.
            const auto key = TextForm<PublicKey>::parse(value);
            if (!key) {
                throw InvalidArgument("invalid PublicKey: expected " +
                                      std::string(TextForm<PublicKey>::allowed));
            }
            peer_->public_key = key;
        }
        if (name == "presharedkey") {
            auto key = PresharedKey::read("PresharedKey", value);
            if (key != PresharedKey::none()) peer_->preshared_key = std::move(key);
        }
        if (name == "endpoint") peer_->endpoint = parse<EndpointSetting>("Endpoint", value);
        if (name == "persistentkeepalive") peer_->keepalive = keepalive_from(value);
        return true;
    }

    void require_first(const std::string& name) {
        if (!seen_.insert(name).second) throw InvalidArgument(name + ": it is there twice");
    }

    TunnelSettings settings_;
    Section section_ = Section::none;
    bool has_interface_ = false;
    bool skipping_ = false;  // a section that is not known, which is an error already
    unsigned line_ = 0;
    std::set<std::string> seen_;  // keys of this section
    std::optional<UnfinishedPeer> peer_;
    std::set<PublicKey> keys_;
    std::string errors_;
};

template <typename Values>
std::string joined(const Values& values) {
    std::string text;
    for (const auto& value : values) {
        if (!text.empty()) text += ", ";
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>) {
            text += value;
        } else {
            text += to_text(value);
        }
    }
    return text;
}

}  // namespace

TunnelSettings parse_quick_file(std::string_view text) { return Reader().read(text); }

SecretText format_quick_file(const TunnelSettings& settings) {
    SecretText file("[Interface]\n");
    const auto line = [&file](Text key, Text value) {
        file.append(fmt::format("{} = {}\n", key, value));
    };
    const auto secret = [&file](Text key, const auto& value) {
        if (!value) return;
        file.append(key);
        file.append(" = ");
        value->reveal(file);
        file.append("\n");
    };
    secret("PrivateKey", settings.private_key);
    if (settings.listen_port) line("ListenPort", to_text(*settings.listen_port));
    if (settings.fwmark != 0) line("FwMark", fmt::format("{:#x}", settings.fwmark));
    if (!settings.addresses.empty()) line("Address", joined(settings.addresses));
    if (!settings.dns.empty()) line("DNS", joined(settings.dns));
    if (settings.mtu) line("MTU", std::to_string(*settings.mtu));
    if (settings.table != RouteTable{}) line("Table", to_text(settings.table));
    for (const auto& peer : settings.peers) {
        file.append("\n[Peer]\n");
        line("PublicKey", to_text(peer.public_key));
        secret("PresharedKey", peer.preshared_key);
        if (peer.endpoint) line("Endpoint", to_text(*peer.endpoint));
        if (!peer.allowed_ips.empty()) line("AllowedIPs", joined(peer.allowed_ips));
        if (peer.keepalive.count() != 0) {
            line("PersistentKeepalive", std::to_string(peer.keepalive.count()));
        }
    }
    return file;
}

}  // namespace porthole::wg
