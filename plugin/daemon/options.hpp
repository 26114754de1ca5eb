// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <optional>

#include "core/configuration.hpp"

namespace porthole {

/// The command line of portholed.
struct Options {
    std::optional<std::filesystem::path>
        configuration;  ///< nothing: the default file, if it exists
    std::filesystem::path state = "/var/lib/porthole";
    bool check_configuration = false;
};

/// Nothing if there is nothing left to do, as after --help; then `exit_status` is to be used.
std::optional<Options> read_options(int argc, char** argv, int& exit_status);

/// The configuration that the options name. Throws ConfigurationInvalid.
Configuration read_configuration(const Options& options);

}  // namespace porthole
