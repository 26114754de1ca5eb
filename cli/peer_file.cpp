// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/peer_file.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace porthole::cli {
namespace {

std::string endpoint(const PeerSettings& peer) {
    return peer.endpoint ? to_text(*peer.endpoint) : std::string();
}

std::vector<std::string> allowed_ips(const PeerSettings& peer) {
    std::vector<std::string> texts;
    for (const auto& network : peer.allowed_ips) texts.push_back(to_text(network));
    return texts;
}

// Not in the order of the file or of the service, which means nothing.
bool same(std::vector<std::string> left, std::vector<std::string> right) {
    std::ranges::sort(left);
    std::ranges::sort(right);
    return left == right;
}

const PeerRow* row_of(const PeerSettings& peer, const std::vector<PeerRow>& present) {
    const auto row = std::ranges::find(present, to_text(peer.public_key), &PeerRow::public_key);
    return row == present.end() ? nullptr : &*row;
}

std::vector<std::string> changed_keys(const PeerRow& row, const PeerSettings& peer) {
    std::vector<std::string> keys;
    if (row.endpoint != endpoint(peer)) keys.emplace_back("endpoint");
    if (!same(row.allowed_ips, allowed_ips(peer))) keys.emplace_back("allowed-ips");
    if (row.keepalive != peer.keepalive.count()) keys.emplace_back("keepalive");
    if (row.preshared_key != peer.preshared_key.has_value()) keys.emplace_back("preshared-key");
    return keys;
}

}  // namespace

PeerDifference peer_difference(const std::vector<PeerRow>& present,
                               const std::vector<PeerSettings>& wanted) {
    PeerDifference difference;
    for (const auto& peer : wanted) {
        const auto key = to_text(peer.public_key);
        const auto* row = row_of(peer, present);
        if (row == nullptr) {
            difference.added.push_back(key);
            continue;
        }
        if (auto keys = changed_keys(*row, peer); !keys.empty()) {
            difference.changed.push_back({key, std::move(keys)});
        }
        if (row->preshared_key && peer.preshared_key) difference.uncertain.push_back(key);
    }
    for (const auto& row : present) {
        const auto stays = std::ranges::any_of(wanted, [&](const PeerSettings& peer) {
            return to_text(peer.public_key) == row.public_key;
        });
        if (!stays) difference.removed.push_back(row.public_key);
    }
    return difference;
}

std::vector<Dictionary> to_wire(const std::vector<PeerRow>& present,
                                const std::vector<PeerSettings>& wanted) {
    std::vector<Dictionary> peers;
    for (const auto& peer : wanted) {
        SecretText preshared_key;
        if (peer.preshared_key) peer.preshared_key->reveal(preshared_key);
        const auto* row = row_of(peer, present);
        peers.push_back({{"public-key", to_text(peer.public_key)},
                         {"name", row != nullptr ? row->name : std::string()},
                         {"preshared-key", std::string(preshared_key.view())},
                         {"endpoint", endpoint(peer)},
                         {"keepalive", peer.keepalive.count()},
                         {"allowed-ips", allowed_ips(peer)}});
    }
    return peers;
}

Json to_json(const PeerDifference& difference) {
    auto changed = Json::array();
    for (const auto& [key, keys] : difference.changed) {
        changed.push_back({{"public-key", key}, {"keys", keys}});
    }
    return {{"added", difference.added}, {"changed", changed}, {"removed", difference.removed}};
}

std::string difference_text(const PeerDifference& difference) {
    std::string text;
    for (const auto& key : difference.added) text += fmt::format("+ {}\n", key);
    for (const auto& [key, keys] : difference.changed) {
        text += fmt::format("~ {}  {}\n", key, fmt::join(keys, ", "));
    }
    for (const auto& key : difference.removed) text += fmt::format("- {}\n", key);
    return text.empty() ? "nothing to do\n" : text;
}

}  // namespace porthole::cli
