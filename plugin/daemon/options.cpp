// SPDX-License-Identifier: GPL-2.0-or-later
#include "options.hpp"

#include <CLI/CLI.hpp>

namespace porthole {
namespace {

constexpr auto default_configuration = "/etc/porthole/porthole.toml";
constexpr int usage_error = 2;

}  // namespace

std::optional<Options> read_options(int argc, char** argv, int& exit_status) {
    Options options;
    CLI::App app("Keeps the ports of WireGuard and other peers behind this gateway's NAT.");
    app.set_version_flag("--version", PORTHOLE_VERSION);
    app.add_option("--config", options.configuration, "The configuration file")
        ->type_name("FILE")
        ->default_str(default_configuration);
    app.add_option("--state", options.state, "Where reservations are kept")
        ->type_name("DIR")
        ->capture_default_str();
    app.add_flag("--check-config", options.check_configuration,
                 "Say what is wrong with the configuration file, and exit");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        exit_status = app.exit(error) == 0 ? 0 : usage_error;
        return std::nullopt;
    }
    return options;
}

Configuration read_configuration(const Options& options) {
    if (options.configuration) return read_configuration(*options.configuration);
    if (!std::filesystem::exists(default_configuration)) return {};
    return read_configuration(std::filesystem::path(default_configuration));
}

}  // namespace porthole
