// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/leases.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <map>

namespace porthole {
namespace {

using Fields = std::vector<std::string_view>;

constexpr auto never = Time::max();
constexpr auto already = Time::min();

Fields split(std::string_view text, char separator) {
    Fields fields;
    while (true) {
        const auto end = text.find(separator);
        fields.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return fields;
        text.remove_prefix(end + 1);
    }
}

std::string_view without_suffix(std::string_view text, std::string_view suffix) {
    if (text.ends_with(suffix)) text.remove_suffix(suffix.size());
    return text;
}

std::string_view unquoted(std::string_view text) {
    const bool quoted = text.size() >= 2 && text.starts_with('"') && text.ends_with('"');
    return quoted ? text.substr(1, text.size() - 2) : text;
}

template <typename T>
std::optional<T> number(std::string_view text) {
    T value = 0;
    const auto* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || rest != end) return std::nullopt;
    return value;
}

std::optional<Time> seconds_since_1970(std::string_view text) {
    const auto seconds = number<std::int64_t>(text);
    if (!seconds) return std::nullopt;
    return Time(std::chrono::seconds(*seconds));
}

// Like "2026/11/22" and "22:43:13", UTC.
std::optional<Time> date_and_time(std::string_view date, std::string_view time) {
    if (date.size() != 10 || time.size() != 8) return std::nullopt;
    const auto year = number<std::uint16_t>(date.substr(0, 4));
    const auto month = number<std::uint8_t>(date.substr(5, 2));
    const auto day = number<std::uint8_t>(date.substr(8));
    const auto hour = number<std::uint8_t>(time.substr(0, 2));
    const auto minute = number<std::uint8_t>(time.substr(3, 2));
    const auto second = number<std::uint8_t>(time.substr(6));
    if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
    using namespace std::chrono;
    const auto calendar = std::chrono::year(*year) / *month / *day;
    if (!calendar.ok()) return std::nullopt;
    return sys_days(calendar) + hours(*hour) + minutes(*minute) + seconds(*second);
}

// Of Ethernet: like "02:00:5e:10:00:01", "2:0:5e:10:0:1" or "02005e100001".
std::optional<MacAddress> hardware_address(std::string_view text) {
    std::array<std::uint8_t, 6> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i > 0 && text.starts_with(':')) text.remove_prefix(1);
        const auto* end = text.data() + std::min<std::size_t>(text.size(), 2);
        const auto [rest, error] = std::from_chars(text.data(), end, bytes[i], 16);
        if (error != std::errc()) return std::nullopt;
        text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
    }
    return text.empty() ? MacAddress::from(bytes) : std::nullopt;
}

// Empty if `text` is none. It may have escapes: what servers escape is not in a host name.
std::string host_name(std::string_view text) {
    static constexpr std::string_view characters =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    text = without_suffix(text, ".");
    const bool longer = text.size() > 253;
    const bool others = text.find_first_not_of(characters) != std::string_view::npos;
    return std::string(longer || others ? "" : text);
}

struct Entry {
    std::string_view address;
    std::optional<MacAddress> mac = std::nullopt;
    std::string_view name = {};
    Time until = already;
};

class LeaseFile {
  public:
    explicit LeaseFile(Time now) : now_(now) {}

    void read(std::string_view line);
    [[nodiscard]] const std::map<Address, Lease>& leases() const { return leases_; }

  private:
    void take(const Entry& entry);
    void read_kea(std::string_view line);
    void read_dnsmasq(const Fields& fields);
    void read_odhcpd(const Fields& fields);
    void read_isc(const Fields& fields);
    void read_isc_statement(const Fields& fields);

    Time now_;
    std::map<Address, Lease> leases_;
    Fields columns_;  // of Kea
    // Of ISC dhcpd:
    std::optional<Entry> block_;
    bool active_ = true;
    std::size_t nested_ = 0;  // open blocks within the block
};

// Each line tells its format, but for the rows of Kea: those follow a header.
void LeaseFile::read(std::string_view line) {
    if (line.starts_with("address,")) columns_ = split(line, ',');
    if (!columns_.empty()) return read_kea(line);
    auto fields = split(line, ' ');
    std::erase(fields, "");
    if (fields.empty()) return;
    if (fields[0] == "#") return read_odhcpd(fields);
    if (seconds_since_1970(fields[0])) return read_dnsmasq(fields);
    read_isc(fields);
}

void LeaseFile::take(const Entry& entry) {
    const auto address = TextForm<Address>::parse(entry.address);
    if (!address || !address->is_unicast()) return;
    if (entry.until > now_) {
        leases_.insert_or_assign(*address, Lease{*address, entry.mac, host_name(entry.name)});
    } else {
        leases_.erase(*address);
    }
}

// Versions differ in their columns. Every change of a lease is a row.
void LeaseFile::read_kea(std::string_view line) {
    const auto row = split(line, ',');
    if (row.size() != columns_.size()) return;
    const auto value = [&](std::string_view column) {
        const auto found = std::ranges::find(columns_, column) - columns_.begin();
        const auto i = static_cast<std::size_t>(found);
        return i < row.size() ? row[i] : std::string_view();
    };
    const auto type = value("lease_type");
    const auto state = value("state");
    const auto expires = seconds_since_1970(value("expire"));
    if (!expires || (!type.empty() && type != "0" && type != "1")) return;
    const bool given = (state.empty() || state == "0") && value("valid_lifetime") != "0";
    take({value("address"), hardware_address(value("hwaddr")), value("hostname"),
          given ? *expires : already});
}

// Expiry, MAC address or IAID, address, name, client identifier. No IAID looks like a MAC address.
void LeaseFile::read_dnsmasq(const Fields& fields) {
    if (fields.size() != 5) return;
    const auto until = fields[0] == "0" ? never : seconds_since_1970(fields[0]);
    take({fields[2], hardware_address(fields[1]), fields[3], until.value_or(already)});
}

// "#", interface, MAC address or DUID, "ipv4" or IAID, name, expiry, number, length, addresses.
// Old versions write any name as it is, even with spaces: only what is behind it can be trusted.
void LeaseFile::read_odhcpd(const Fields& fields) {
    auto first = fields.size();
    while (first > 0 && fields[first - 1].find('/') != std::string_view::npos) --first;
    if (first < 8) return;
    const auto until = fields[first - 3] == "-1" ? never : seconds_since_1970(fields[first - 3]);
    if (!until) return;
    const bool ipv4 = fields[3] == "ipv4";
    const auto mac = ipv4 ? hardware_address(fields[2]) : std::nullopt;
    const auto name = first == 8 && fields[4] != "-" ? fields[4] : "";
    const std::string_view whole = ipv4 ? "/32" : "/128";
    for (auto i = first; i < fields.size(); ++i) {
        if (fields[i].ends_with(whole)) take({without_suffix(fields[i], whole), mac, name, *until});
    }
}

// As dhcpd writes it: every statement on a line of its own, and a line ends behind a brace.
void LeaseFile::read_isc(const Fields& fields) {
    const bool opens = fields.back() == "{";
    const bool closes = fields.front() == "}";
    if (opens && fields.size() == 3 && (fields[0] == "lease" || fields[0] == "iaaddr")) {
        block_ = Entry{.address = fields[1]};
        active_ = true;
        nested_ = 0;
    } else if (!block_ || (opens && closes)) {
        return;
    } else if (opens) {
        ++nested_;
    } else if (closes && nested_ > 0) {
        --nested_;
    } else if (closes) {
        if (!active_) block_->until = already;
        take(*block_);
        block_.reset();
    } else if (nested_ == 0) {
        read_isc_statement(fields);
    }
}

void LeaseFile::read_isc_statement(const Fields& fields) {
    const auto field = [&](std::size_t i) {
        return i < fields.size() ? without_suffix(fields[i], ";") : "";
    };
    if (field(0) == "ends" && field(1) == "never") {
        block_->until = never;
    } else if (field(0) == "ends" && field(1) == "epoch") {
        block_->until = seconds_since_1970(field(2)).value_or(already);
    } else if (field(0) == "ends") {
        block_->until = date_and_time(field(2), field(3)).value_or(already);
    } else if (field(0) == "binding" && field(1) == "state") {
        active_ = field(2) == "active";
    } else if (field(0) == "hardware" && field(1) == "ethernet") {
        block_->mac = hardware_address(field(2));
    } else if (field(0) == "client-hostname") {
        block_->name = unquoted(field(1));
    }
}

}  // namespace

std::vector<Lease> parse_leases(std::string_view text, Time now) {
    LeaseFile file(now);
    for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
        file.read(without_suffix(text.substr(0, end), "\r"));
        text.remove_prefix(end + 1);
    }
    std::vector<Lease> leases;
    for (const auto& [address, lease] : file.leases()) leases.push_back(lease);
    return leases;
}

}  // namespace porthole
