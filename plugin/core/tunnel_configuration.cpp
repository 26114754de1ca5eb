// SPDX-License-Identifier: GPL-2.0-or-later
#include "tunnel_configuration.hpp"

#include <limits>
#include <map>
#include <utility>

#include "core/vault.hpp"
#include "types/sorted.hpp"

namespace porthole {
namespace {

// The name of a file that holds one key.
struct KeyFile {
    std::filesystem::path path;
};

constexpr std::int64_t most_32_bits = std::numeric_limits<std::uint32_t>::max();

}  // namespace

template <>
struct TextForm<KeyFile> {
    static constexpr std::string_view allowed =
        "the name of a file, but not of \"secrets.key\", which opens the database";
    static std::optional<KeyFile> parse(std::string_view text) {
        const std::filesystem::path path(text);
        const bool names_a_file = path.has_filename() && path.filename() != "." &&
                                  path.filename() != ".." &&
                                  text.find('\0') == std::string_view::npos;
        if (!names_a_file || path.filename() == Vault::file_name) return std::nullopt;
        return KeyFile{path};
    }
};

namespace {

class TunnelReader {
  public:
    TunnelReader(ConfigurationReader& reader, Configuration& result)
        : reader_(reader), result_(result) {}

    void read(const toml::table& table, const std::string& path) {
        reader_.only(table, path,
                     {"name", "listen-port", "private-key-file", "addresses", "mtu", "fwmark",
                      "table", "metric", "peer"});
        reader_.require(table, path, {"name"});
        const auto name = read_name(table, path);
        const auto key_file = read_private_key_file(table, path, name);
        auto settings = read_settings(table, path);
        std::map<PublicKey, std::filesystem::path> preshared_key_files;
        keys_.clear();
        owners_.clear();
        reader_.tables(table, path, "tunnel.peer",
                       [&](const toml::table& peer, const std::string& peer_path) {
                           const auto preshared_key_file =
                               reader_.text<KeyFile>(peer, peer_path, "preshared-key-file");
                           auto peer_settings = read_peer(peer, peer_path);
                           if (!peer_settings) return;
                           if (preshared_key_file) {
                               preshared_key_files.emplace(peer_settings->public_key,
                                                           preshared_key_file->path);
                           }
                           settings.peers.push_back(*std::move(peer_settings));
                       });
        if (!name || !key_file) return;
        result_.tunnels.push_back(
            {*name, std::move(settings), key_file->path, std::move(preshared_key_files)});
    }

  private:
    std::optional<InterfaceName> read_name(const toml::table& table, const std::string& path) {
        auto name = reader_.text<InterfaceName>(table, path, "name");
        if (!name) return name;
        const auto& node = *table.get("name");
        const auto key = ConfigurationReader::join(path, "name");
        // The kernel would put a number in its place.
        if (name->text().find('%') != std::string::npos) {
            reader_.refused(node, key, name->text(), "the name of an interface without '%'");
            return std::nullopt;
        }
        const auto [first, is_new] = names_.emplace(*name, table.source().begin.line);
        if (!is_new) {
            reader_.refused(
                node, key, name->text(),
                fmt::format("a name other than that of the tunnel in line {}", first->second));
        }
        return name;
    }

    std::optional<KeyFile> read_private_key_file(const toml::table& table, const std::string& path,
                                                 const std::optional<InterfaceName>& name) {
        if (table.contains("private-key-file") || !name) {
            return reader_.text<KeyFile>(table, path, "private-key-file");
        }
        const auto usual = name->text() + ".key";
        auto file = TextForm<KeyFile>::parse(usual);
        if (!file) {
            reader_.refused(table, ConfigurationReader::join(path, "private-key-file"), usual,
                            TextForm<KeyFile>::allowed);
        }
        return file;
    }

    TunnelSettings read_settings(const toml::table& table, const std::string& path) {
        TunnelSettings settings;
        settings.listen_port = reader_.port(table, path, "listen-port");
        if (settings.listen_port) require_free(*settings.listen_port, table, path);
        const auto no_problem = [](const InterfaceAddress&) { return std::string(); };
        settings.addresses = reader_.list<InterfaceAddress>(table, path, "addresses", no_problem)
                                 .value_or(std::vector<InterfaceAddress>());
        if (const auto bytes = reader_.number(table, path, "mtu", most_mtu, least_mtu)) {
            settings.mtu = static_cast<std::uint32_t>(*bytes);
        }
        settings.fwmark = read_32_bits(table, path, "fwmark");
        settings.table = read_route_table(table, path);
        settings.metric = read_32_bits(table, path, "metric");
        return settings;
    }

    void require_free(Port port, const toml::table& table, const std::string& path) {
        const auto refuse = [&](const std::string& owner) {
            reader_.refused(*table.get("listen-port"),
                            ConfigurationReader::join(path, "listen-port"), to_text(port),
                            "a port that is not " + owner);
        };
        const auto [first, is_new] = ports_.emplace(port, table.source().begin.line);
        if (!is_new) refuse(fmt::format("that of the tunnel in line {}", first->second));
        for (const auto& row : result_.reservations) {
            const bool has_it = row.internal.protocol == Protocol::udp &&
                                row.external_port == port && !is_ipv6(row.internal);
            if (has_it) refuse("reserved for " + to_text(row.internal.host));
        }
    }

    std::uint32_t read_32_bits(const toml::table& table, const std::string& path,
                               std::string_view key) {
        return static_cast<std::uint32_t>(
            reader_.number(table, path, key, most_32_bits, 0).value_or(0));
    }

    RouteTable read_route_table(const toml::table& table, const std::string& path) {
        const auto* node = table.get("table");
        if (node == nullptr || !node->is_integer()) {
            return reader_.text<RouteTable>(table, path, "table").value_or(RouteTable());
        }
        const auto number = reader_.number(table, path, "table", most_32_bits);
        if (!number) return {};
        return {RouteTable::Choice::number, static_cast<std::uint32_t>(*number)};
    }

    std::optional<PeerSettings> read_peer(const toml::table& table, const std::string& path) {
        reader_.only(
            table, path,
            {"public-key", "name", "endpoint", "allowed-ips", "keepalive", "preshared-key-file"});
        reader_.require(table, path, {"public-key"});
        const auto key = read_public_key(table, path);
        const auto name = reader_.text<Comment>(table, path, "name");
        auto endpoint = reader_.text<EndpointSetting>(table, path, "endpoint");
        auto allowed_ips = read_allowed_ips(table, path);
        constexpr std::int64_t most_seconds = std::numeric_limits<Keepalive::rep>::max();
        const auto seconds = reader_.number(table, path, "keepalive", most_seconds, 0);
        if (!key) return std::nullopt;
        return PeerSettings{.public_key = *key,
                            .name = name.value_or(Comment()),
                            .endpoint = std::move(endpoint),
                            .keepalive = seconds ? Keepalive(static_cast<Keepalive::rep>(*seconds))
                                                 : default_keepalive,
                            .allowed_ips = std::move(allowed_ips)};
    }

    std::optional<PublicKey> read_public_key(const toml::table& table, const std::string& path) {
        const auto key = reader_.text<PublicKey>(table, path, "public-key");
        if (!key) return key;
        const auto refuse = [&](std::string_view allowed) {
            reader_.refused(*table.get("public-key"), ConfigurationReader::join(path, "public-key"),
                            to_text(*key), allowed);
        };
        if (key->is_low_order()) refuse("a key that a handshake can succeed with");
        const auto [first, is_new] = keys_.emplace(*key, table.source().begin.line);
        if (!is_new) {
            refuse(fmt::format("a key other than that of the peer in line {}", first->second));
        }
        return key;
    }

    std::vector<Network> read_allowed_ips(const toml::table& table, const std::string& path) {
        const auto problem = [this, &path](const Network& network) {
            const auto [owner, is_new] = owners_.emplace(network, path);
            if (is_new || owner->second == path) return std::string();
            return fmt::format("invalid \"{}\": expected a network that {} has not",
                               to_text(network), owner->second);
        };
        auto networks = reader_.list<Network>(table, path, "allowed-ips", problem)
                            .value_or(std::vector<Network>());
        sort_unique(networks);
        return networks;
    }

    ConfigurationReader& reader_;
    Configuration& result_;
    std::map<InterfaceName, unsigned> names_;  // with the line of whose they are
    std::map<Port, unsigned> ports_;
    std::map<PublicKey, unsigned> keys_;     // of this tunnel's peers
    std::map<Network, std::string> owners_;  // of allowed IPs, by their dotted keys
};

}  // namespace

void read_tunnels(ConfigurationReader& reader, const toml::table& root, Configuration& result) {
    TunnelReader tunnels(reader, result);
    reader.tables(root, "", "tunnel",
                  [&tunnels](const toml::table& table, const std::string& path) {
                      tunnels.read(table, path);
                  });
}

}  // namespace porthole
