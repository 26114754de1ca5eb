// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/configuration.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "configuration_reader.hpp"
#include "tunnel_configuration.hpp"

namespace porthole {

template <>
struct TextForm<std::filesystem::path> {
    static constexpr std::string_view allowed = "a path that begins with \"/\"";
    static std::optional<std::filesystem::path> parse(std::string_view text) {
        if (!text.starts_with('/')) return std::nullopt;
        return text;
    }
};

namespace {

// What nat.ipv6 says.
enum class Ipv6Treatment : std::uint8_t { pinholes, nat66 };

}  // namespace

template <>
struct TextForm<Ipv6Treatment> {
    static constexpr std::string_view allowed = "\"pinholes\" or \"nat66\"";
    static std::optional<Ipv6Treatment> parse(std::string_view text) {
        if (text == "pinholes") return Ipv6Treatment::pinholes;
        if (text == "nat66") return Ipv6Treatment::nat66;
        return std::nullopt;
    }
};

namespace {

std::string lines_of(const std::string& file, const std::vector<ConfigurationError>& errors) {
    std::string text;
    for (const auto& error : errors) {
        if (!text.empty()) text += '\n';
        text += file;
        if (error.line > 0) text += fmt::format(":{}:{}", error.line, error.column);
        if (!error.key.empty()) text += ": " + error.key;
        text += ": " + error.message;
    }
    return text;
}

void read_interfaces(ConfigurationReader& reader, const toml::table& root, Configuration& result) {
    if (const auto* wan = reader.table(root, "wan")) {
        reader.only(*wan, "wan", {"interfaces"});
        const auto no_problem = [](const InterfaceName&) { return std::string(); };
        result.wan_interfaces = reader.list<InterfaceName>(*wan, "wan", "interfaces", no_problem);
    }
    if (const auto* lan = reader.table(root, "lan")) {
        reader.only(*lan, "lan", {"interfaces"});
        const auto wans = result.wan_interfaces.value_or(std::vector<InterfaceName>{});
        const auto wan_too = [&wans](const InterfaceName& name) {
            if (std::ranges::count(wans, name) == 0) return std::string();
            return fmt::format("\"{}\" is in wan.interfaces too: expected one of the two",
                               name.text());
        };
        result.lan_interfaces = reader.list<InterfaceName>(*lan, "lan", "interfaces", wan_too);
    }
}

void read_hosts(ConfigurationReader& reader, const toml::table& root, Configuration& result) {
    const auto* hosts = reader.table(root, "hosts");
    if (hosts == nullptr) return;
    reader.only(*hosts, "hosts", {"lease-files"});
    const auto no_problem = [](const std::filesystem::path&) { return std::string(); };
    auto files = reader.list<std::filesystem::path>(*hosts, "hosts", "lease-files", no_problem);
    if (files) result.lease_files = *std::move(files);
}

void read_nat(ConfigurationReader& reader, const toml::table& root, Configuration& result) {
    const auto* nat = reader.table(root, "nat");
    if (nat == nullptr) return;
    reader.only(*nat, "nat", {"masquerade", "ipv6", "udp-timeout", "pool", "sources", "exempt"});
    reader.boolean(*nat, "nat", "masquerade", result.masquerade);
    result.nat66 = reader.text<Ipv6Treatment>(*nat, "nat", "ipv6") == Ipv6Treatment::nat66;
    const auto not_ipv4 = [](const Network& network) {
        if (network.address().family() == Family::ipv4) return std::string();
        return fmt::format("invalid \"{}\": expected an IPv4 network", to_text(network));
    };
    const auto not_translated = [&](const Network& network) {
        auto problem = result.nat66 ? std::string() : not_ipv4(network);
        return problem.empty() ? problem : problem + "; IPv6 ones take nat.ipv6 = \"nat66\"";
    };
    result.pool = reader.text<PortRange>(*nat, "nat", "pool").value_or(result.pool);
    // RFC 4787 REQ-5: not less than two minutes.
    constexpr std::int64_t least_seconds = 120;
    constexpr std::int64_t most_seconds = 86400;
    if (const auto timeout =
            reader.number(*nat, "nat", "udp-timeout", most_seconds, least_seconds)) {
        result.udp_timeout = std::chrono::seconds(*timeout);
    }
    result.nat_sources = reader.list<Network>(*nat, "nat", "sources", not_translated);
    if (result.nat_sources && result.nat_sources->empty()) result.nat_sources.reset();
    result.nat_exempt =
        reader.list<Network>(*nat, "nat", "exempt", not_ipv4).value_or(std::vector<Network>{});
}

bool overlap(const PortRange& a, const PortRange& b) {
    return a.first() <= b.last() && b.first() <= a.last();
}

// The ranges of claims, the pool, and the ranges themselves are apart.
void check_ranges(ConfigurationReader& reader, const toml::table& root,
                  const Configuration& configuration) {
    const auto& claims = configuration.claims;
    if (!claims.enabled) return;
    const auto keep_apart = [&](const char* key, const PortRange& range, const PortRange& other,
                                std::string_view other_name) {
        if (!overlap(range, other)) return;
        // Where one of them stands; defaults stand nowhere.
        toml::source_position at = root.source().begin;
        for (const auto& place : {std::pair("nat", "pool"), std::pair("auto", key)}) {
            if (const auto node = root[place.first][place.second]) at = node.node()->source().begin;
        }
        reader.fail(at, ConfigurationReader::join("auto", key),
                    fmt::format("invalid \"{}\": expected a range apart from {} ({})",
                                to_text(range), other_name, to_text(other)));
    };
    keep_apart("ports", claims.ports, configuration.pool, "nat.pool");
    keep_apart("alternates", claims.alternates, configuration.pool, "nat.pool");
    keep_apart("alternates", claims.alternates, claims.ports, "auto.ports");
}

void read_auto(ConfigurationReader& reader, const toml::table& root, Configuration& result) {
    const auto* table = reader.table(root, "auto");
    if (table == nullptr) return;
    auto& claims = result.claims;
    reader.only(*table, "auto",
                {"enabled", "ports", "alternates", "idle-days", "limit", "limit-per-mac"});
    reader.boolean(*table, "auto", "enabled", claims.enabled);
    claims.ports = reader.text<PortRange>(*table, "auto", "ports").value_or(claims.ports);
    claims.alternates =
        reader.text<PortRange>(*table, "auto", "alternates").value_or(claims.alternates);
    constexpr std::int64_t most_days = 3650;
    constexpr std::int64_t most_claims = 65535;
    if (const auto days = reader.number(*table, "auto", "idle-days", most_days)) {
        claims.idle = std::chrono::days(*days);
    }
    const auto limit = [&](std::string_view key, std::size_t& value) {
        if (const auto number = reader.number(*table, "auto", key, most_claims)) {
            value = static_cast<std::size_t>(*number);
        }
    };
    limit("limit", claims.limit);
    limit("limit-per-mac", claims.limit_per_mac);
}

std::optional<StaticReservation> read_reservation(ConfigurationReader& reader, bool nat66,
                                                  const toml::table& table,
                                                  const std::string& path) {
    reader.only(
        table, path,
        {"host", "protocol", "port", "external-port", "external-address", "filtering", "comment"});
    reader.require(table, path, {"host", "protocol", "port"});
    const auto host = reader.text<HostKey>(table, path, "host");
    const auto protocol = reader.text<Protocol>(table, path, "protocol");
    const auto port = reader.port(table, path, "port");
    const auto external_port = reader.port(table, path, "external-port");
    const auto external_address = reader.text<ExternalAddress>(table, path, "external-address");
    const auto filtering = reader.text<Filtering>(table, path, "filtering");
    const auto comment = reader.text<Comment>(table, path, "comment");
    const bool ipv6 = host && protocol && port && is_ipv6({*host, *protocol, *port});
    const auto fail = [&](const char* key, const std::string& given, const std::string& expected) {
        reader.fail(table.get(key)->source().begin, ConfigurationReader::join(path, key),
                    fmt::format("invalid {}: expected {}", given, expected));
    };
    if (ipv6 && !nat66 && external_port && external_port != port) {
        fail("external-port", to_text(*external_port),
             to_text(*port) + ", the port inside: what IPv6 hosts send is not translated");
        return std::nullopt;
    }
    if (ipv6 && external_address && !external_address->is_any()) {
        fail("external-address", to_text(*external_address), "\"any\" for an IPv6 host");
        return std::nullopt;
    }
    const bool wrong_external_port = !external_port && table.contains("external-port");
    if (!host || !protocol || !port || wrong_external_port) return std::nullopt;
    return StaticReservation{{*host, *protocol, *port},
                             external_port.value_or(*port),
                             filtering,
                             comment.value_or(Comment()),
                             external_address.value_or(ExternalAddress())};
}

void read_reservations(ConfigurationReader& reader, const toml::table& root,
                       Configuration& result) {
    std::map<Endpoint, unsigned> endpoints;  // with the line of each
    std::map<ExternalEndpoint, unsigned> outside;
    // Who has a port on any address has it on all. Returns the line of whoever has it before.
    const auto take = [&outside](const ExternalEndpoint& wanted, unsigned line) {
        const ExternalEndpoint any{wanted.protocol, wanted.port};
        auto taken = outside.find(any);
        if (taken == outside.end()) taken = outside.lower_bound(wanted);
        const bool free =
            taken == outside.end() || taken->first.protocol != wanted.protocol ||
            taken->first.port != wanted.port ||
            (taken->first != wanted && !wanted.address.is_any() && !taken->first.address.is_any());
        const auto before = free ? std::nullopt : std::optional(taken->second);
        outside.emplace(wanted, line);
        return before;
    };
    reader.tables(root, "", "reservation", [&](const toml::table& table, const std::string& path) {
        const auto row = read_reservation(reader, result.nat66, table, path);
        if (!row) return;
        const auto at = table.source().begin;
        const auto [same, new_endpoint] = endpoints.emplace(row->internal, at.line);
        if (!new_endpoint) {
            reader.fail(
                at, path,
                fmt::format("the same host, protocol and port as in line {}", same->second));
        }
        const auto protocol = row->internal.protocol;
        result.reservations.push_back(*row);
        if (is_ipv6(row->internal)) return;  // who shows what is up to the LANs' networks
        const auto taken = take({protocol, row->external_port, row->external_address}, at.line);
        if (new_endpoint && taken) {
            reader.fail(at, ConfigurationReader::join(path, "external-port"),
                        fmt::format("external port {}/{} belongs to the reservation in line {}",
                                    to_text(row->external_port), to_text(protocol), *taken));
        }
        if (result.pool.contains(row->external_port)) {
            reader.fail(
                at, ConfigurationReader::join(path, "external-port"),
                fmt::format("external port {} is in nat.pool ({}), which cannot be reserved",
                            to_text(row->external_port), to_text(result.pool)));
        }
    });
}

}  // namespace

std::vector<std::filesystem::path> default_lease_files() {
    return {"/tmp/dhcp.leases",
            "/tmp/hosts/odhcpd",
            "/var/lib/misc/dnsmasq.leases",
            "/var/lib/dnsmasq/dnsmasq.leases",
            "/var/lib/dhcp/dhcpd.leases",
            "/var/lib/dhcp/dhcpd6.leases",
            "/var/lib/dhcpd/dhcpd.leases",
            "/var/lib/dhcpd/dhcpd6.leases",
            "/var/lib/kea/kea-leases4.csv",
            "/var/lib/kea/kea-leases6.csv"};
}

ConfigurationInvalid::ConfigurationInvalid(const std::string& file,
                                           std::vector<ConfigurationError> errors)
    : InvalidArgument(lines_of(file, errors)), errors_(std::move(errors)) {}

Configuration parse_configuration(std::string_view text, const std::string& file) {
    toml::table root;
    try {
        root = toml::parse(text, file);
    } catch (const toml::parse_error& error) {
        const auto at = error.source().begin;
        throw ConfigurationInvalid(file,
                                   {{at.line, at.column, "", std::string(error.description())}});
    }
    ConfigurationReader reader;
    Configuration result;
    reader.only(root, "", {"wan", "lan", "hosts", "nat", "auto", "reservation", "tunnel"});
    read_interfaces(reader, root, result);
    read_hosts(reader, root, result);
    read_nat(reader, root, result);
    read_auto(reader, root, result);
    check_ranges(reader, root, result);
    read_reservations(reader, root, result);
    read_tunnels(reader, root, result);
    auto errors = reader.take_errors();
    if (!errors.empty()) throw ConfigurationInvalid(file, std::move(errors));
    return result;
}

Configuration read_configuration(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    std::ostringstream text;
    // Of a directory, only reading fails.
    if (stream.peek() != std::ifstream::traits_type::eof()) text << stream.rdbuf();
    if (stream.fail()) {
        const auto reason = std::generic_category().message(errno);
        throw ConfigurationInvalid(file.string(), {{0, 0, "", "cannot be read: " + reason}});
    }
    return parse_configuration(text.str(), file.string());
}

}  // namespace porthole
