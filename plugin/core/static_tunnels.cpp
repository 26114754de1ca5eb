// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/static_tunnels.hpp"

#include <algorithm>
#include <exception>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "core/log.hpp"
#include "core/secret_file.hpp"

namespace porthole {
namespace {

namespace fs = std::filesystem;

// Where a key is to be found, as the configuration file says it and as it is.
struct KeyFile {
    std::string field;
    fs::path named;
    fs::path path;
};

// Nothing if there is no such file.
template <typename Key>
std::optional<Key> read_key(const KeyFile& file) {
    const auto text = read_secret_file(file.path);
    if (!text) return std::nullopt;
    auto line = text->view();
    if (line.ends_with('\n')) line.remove_suffix(1);
    const auto field = fmt::format("{} \"{}\"", file.field, file.named.string());
    auto key = Key::read(field, line);
    if (key != Key::none()) return key;
    throw InvalidArgument("invalid " + field + ": expected a key that is not all zeros");
}

PresharedKey read_preshared_key(const KeyFile& file) {
    if (auto key = read_key<PresharedKey>(file)) return *std::move(key);
    throw InvalidArgument(file.field, file.named.string(),
                          "a file that is there: there is no " + file.path.string());
}

template <typename Action>
auto naming(const std::string& field, const Action& action) {
    try {
        return action();
    } catch (const StorageFailure& failure) {
        throw StorageFailure(field, failure.what());
    }
}

}  // namespace

StaticTunnels::StaticTunnels(Gateway& gateway, Tunnels& tunnels, fs::path directory)
    : gateway_(gateway), tunnels_(tunnels), directory_(std::move(directory)) {}

void StaticTunnels::start(const std::vector<StaticTunnel>& wanted) {
    const auto refuse = [this](const Error& reason) {
        log::error("configuration-refused", "{}", reason.what());
        refused_.emplace_back(reason.what());
    };
    const auto before = current();
    std::vector<Tunnel> complete;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        try {
            complete.push_back(with_keys(wanted[i], i));
        } catch (const Error& error) {
            refuse(error);
            const auto stays = std::ranges::find(before, wanted[i].name, &Tunnel::name);
            if (stays != before.end()) complete.push_back(*stays);
        }
    }
    make(std::move(complete), [&refuse](const Step& step) {
        try {
            step();
        } catch (const Error& error) {
            refuse(error);
        }
    });
}

void StaticTunnels::reload(Configuration configuration) {
    made_.clear();
    try {
        std::vector<Tunnel> wanted;
        for (const auto& tunnel : configuration.tunnels) {
            wanted.push_back(with_keys(tunnel, wanted.size()));
        }
        gateway_.reload(std::move(configuration), [&] { make_or_take_back(std::move(wanted)); });
    } catch (...) {
        std::error_code ignored;
        for (const auto& file : made_) fs::remove(file, ignored);
        throw;
    }
    refused_.clear();
}

void StaticTunnels::make_or_take_back(std::vector<Tunnel> wanted) {
    const auto before = current();
    try {
        make(std::move(wanted), [](const Step& step) { step(); });
    } catch (...) {
        make(before, [](const Step& step) {
            try {
                step();
            } catch (const std::exception& failure) {
                log::error("take-back-failed", "a tunnel is not as it was: {}", failure.what());
            }
        });
        throw;
    }
}

std::vector<Tunnel> StaticTunnels::current() const {
    std::vector<Tunnel> tunnels;
    for (const auto& [name, tunnel] : tunnels_.all()) {
        if (tunnel.origin == Origin::configured) tunnels.push_back(tunnel);
    }
    return tunnels;
}

Tunnel StaticTunnels::with_keys(const StaticTunnel& wanted, std::size_t index) {
    const auto key = fmt::format("tunnel[{}]", index);
    Tunnel tunnel{wanted.name, wanted.settings, Origin::configured};
    auto& peers = tunnel.settings.peers;
    for (std::size_t i = 0; i < peers.size(); ++i) {
        const auto file = wanted.preshared_key_files.find(peers[i].public_key);
        if (file == wanted.preshared_key_files.end()) continue;
        const auto field = fmt::format("{}.peer[{}].preshared-key-file", key, i);
        peers[i].preshared_key = naming(field, [&] {
            return read_preshared_key({field, file->second, directory_ / file->second});
        });
    }
    std::ranges::sort(peers, {}, &PeerSettings::public_key);
    const auto field = key + ".private-key-file";
    tunnel.settings.private_key =
        naming(field, [&] { return read_or_make(wanted.private_key_file, field); });
    return tunnel;
}

PrivateKey StaticTunnels::read_or_make(const fs::path& file, const std::string& field) {
    const auto path = directory_ / file;
    if (auto key = read_key<PrivateKey>({field, file, path})) return *std::move(key);
    auto key = PrivateKey::generate();
    SecretText line;
    key.reveal(line);
    line.append("\n");
    write_secret_file(path, line.view());
    made_.push_back(path);
    return key;
}

void StaticTunnels::make(std::vector<Tunnel> wanted, const Attempt& attempt) {
    // First, as another one may be to have the port.
    for (const auto& tunnel : current()) {
        const bool stays = std::ranges::find(wanted, tunnel.name, &Tunnel::name) != wanted.end();
        if (!stays) attempt([&] { tunnels_.remove(tunnel.name, Origin::configured); });
    }
    // A port that is chosen must not be one that another tunnel names.
    std::stable_partition(wanted.begin(), wanted.end(), [](const Tunnel& tunnel) {
        return tunnel.settings.listen_port.has_value();
    });
    for (const auto& tunnel : wanted) attempt([&] { put(tunnel); });
}

void StaticTunnels::put(Tunnel wanted) {
    const auto& name = wanted.name;
    auto& settings = wanted.settings;
    const auto place = "[[tunnel]] " + to_text(name) + ": ";
    const auto found = tunnels_.all().find(name);
    try {
        if (found == tunnels_.all().end()) {
            tunnels_.create(name, std::move(settings), Origin::configured);
            return;
        }
        const auto& there = found->second;
        if (there.origin != Origin::configured) {
            throw Refused(Refusal::tunnel_exists,
                          "there is a tunnel of this name already, made over D-Bus");
        }
        if (!settings.listen_port) settings.listen_port = there.settings.listen_port;
        if (settings == there.settings) return;
        tunnels_.replace(name, std::move(settings), Origin::configured);
    } catch (const Refused& refused) {
        throw Refused(refused.reason(), place + refused.what());
    } catch (const InvalidArgument& invalid) {
        throw InvalidArgument(place + invalid.what());
    }
}

}  // namespace porthole
