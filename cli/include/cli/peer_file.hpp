// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "cli/output.hpp"
#include "types/tunnel.hpp"

namespace porthole::cli {

/// What has to be done for the peers of a tunnel to be those of a file.
struct PeerDifference {
    struct Changed {
        std::string public_key;
        std::vector<std::string> keys;  ///< what is other than it was, by the names of the contract
    };
    std::vector<std::string> added;  ///< by their public keys, like those below
    std::vector<Changed> changed;
    std::vector<std::string> removed;
    /// Peers with a preshared key before and after: nobody can say whether it is the same one.
    std::vector<std::string> uncertain;
};

PeerDifference peer_difference(const std::vector<PeerRow>& present,
                               const std::vector<PeerSettings>& wanted);

/// The peers of a file as Tunnel.SetPeers takes them: with every value, as a file that leaves one
/// out means that there is none. Their names alone stay, as such files have no place for them.
std::vector<Dictionary> to_wire(const std::vector<PeerRow>& present,
                                const std::vector<PeerSettings>& wanted);

/// With the keys "added", "changed" and "removed".
Json to_json(const PeerDifference& difference);

/// A line for everything: "+" added, "~" changed, "-" removed.
std::string difference_text(const PeerDifference& difference);

}  // namespace porthole::cli
