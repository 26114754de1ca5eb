// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

namespace porthole::cli {

/// What could be the next word of a command line, and what it is, for people.
struct Candidate {
    std::string word;
    std::string description = {};
};

/// What could stand where a command line that is being typed ends.
struct Completion {
    std::string begun;                   ///< of the word that is wanted
    std::vector<Candidate> candidates;   ///< words that do not depend on the service
    std::vector<std::string> kinds;      ///< what else, as help calls it: "HOST", "ID", "FILE", …
    std::vector<std::string> commands;   ///< that were given: "tunnel", "peer", "set"
    std::vector<std::string> arguments;  ///< the last one's that were given, options left out
};

}  // namespace porthole::cli
