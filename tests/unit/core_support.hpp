// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>

#include <gmock/gmock.h>

#include "core/firewall.hpp"
#include "core/reservations.hpp"

namespace porthole {

// How GoogleTest prints values; the name is GoogleTest's.
// NOLINTBEGIN(readability-identifier-naming)
inline void PrintTo(const Reservation& row, std::ostream* out) {
    *out << number(row.id) << ": " << to_text(row.internal.host) << ' '
         << to_text(row.internal.protocol) << ' ' << to_text(row.internal.port) << " <-> "
         << to_text(row.external_port) << ' ' << to_text(row.origin) << ' '
         << to_text(row.filtering) << " \"" << to_text(row.comment) << '"';
    if (row.expires != never) *out << " expires " << row.expires.time_since_epoch().count();
}
inline void PrintTo(const Mapping& mapping, std::ostream* out) {
    *out << to_text(mapping.protocol) << ' ' << (mapping.host ? to_text(*mapping.host) : "away")
         << ':' << to_text(mapping.internal_port) << " <-> " << to_text(mapping.external_port);
}
inline void PrintTo(const Port& port, std::ostream* out) { *out << to_text(port); }
inline void PrintTo(const Network& network, std::ostream* out) { *out << to_text(network); }
inline void PrintTo(const Address& address, std::ostream* out) { *out << to_text(address); }
inline void PrintTo(const InterfaceName& name, std::ostream* out) { *out << name.text(); }
// NOLINTEND(readability-identifier-naming)

namespace support {

constexpr Time now{std::chrono::seconds(1'700'000'000)};

inline Port port(std::uint64_t value) { return Port::from(value).value(); }

inline Endpoint endpoint(std::string_view host, std::uint64_t internal_port,
                         Protocol protocol = Protocol::udp) {
    return {parse<HostKey>("host", host), protocol, port(internal_port)};
}

inline Comment comment(std::string_view text) { return parse<Comment>("comment", text); }

template <typename T>
std::vector<T> all(std::initializer_list<std::string_view> texts) {
    std::vector<T> values;
    for (const auto text : texts) values.push_back(parse<T>("value", text));
    return values;
}

/// Matches a call that is refused for `reason` with a message that contains `text`.
inline auto is_refused(Refusal reason, const std::string& text) {
    using namespace ::testing;
    return Throws<Refused>(AllOf(Property("reason", &Refused::reason, reason),
                                 Property("what", &Refused::what, HasSubstr(text))));
}

/// A directory of one's own, removed with all that is in it.
class TemporaryDirectory {
  public:
    TemporaryDirectory() {
        auto name = (std::filesystem::temp_directory_path() / "porthole-unit-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
        path_ = name;
    }
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    TemporaryDirectory(TemporaryDirectory&&) = delete;
    TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] std::filesystem::path operator/(std::string_view name) const {
        return path_ / name;
    }

  private:
    std::filesystem::path path_;
};

inline std::string read_file(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator(stream), {}};
}

inline void write_file(const std::filesystem::path& file, std::string_view bytes) {
    std::ofstream stream(file, std::ios::binary);
    if (!(stream << bytes << std::flush)) throw std::runtime_error("write " + file.string());
}

}  // namespace support
}  // namespace porthole
