// SPDX-License-Identifier: GPL-2.0-or-later
#include "options.hpp"

#include <array>

#include <fmt/format.h>
#include <getopt.h>

namespace porthole {
namespace {

constexpr auto default_configuration = "/etc/porthole/porthole.toml";
constexpr int usage_error = 2;
constexpr auto help = R"(Keeps the ports of WireGuard and other peers behind this gateway's NAT.

Usage: portholed [--config FILE] [--state DIR] [--check-config]

  --config FILE    the configuration file [{}]
  --state DIR      where reservations are kept [{}]
  --check-config   say what is wrong with the configuration file, and exit
  --version        say which version this is, and exit
  --help           print this, and exit
)";

// What getopt_long returns for the options, all of them long.
enum Option { unknown = '?', config = 1, state, check_config, version, print_help };
constexpr std::array long_options{
    option{"config", required_argument, nullptr, config},
    option{"state", required_argument, nullptr, state},
    option{"check-config", no_argument, nullptr, check_config},
    option{"version", no_argument, nullptr, version},
    option{"help", no_argument, nullptr, print_help},
    option{nullptr, 0, nullptr, 0},
};

}  // namespace

std::optional<Options> read_options(int argc, char** argv, int& exit_status) {
    Options options;
    exit_status = 0;
    while (true) {
        switch (getopt_long(argc, argv, "", long_options.data(), nullptr)) {
            case config:
                options.configuration = optarg;
                break;
            case state:
                options.state = optarg;
                break;
            case check_config:
                options.check_configuration = true;
                break;
            case version:
                fmt::print("{}\n", PORTHOLE_VERSION);
                return std::nullopt;
            case print_help:
                fmt::print(help, default_configuration, options.state.string());
                return std::nullopt;
            case -1:
                if (optind == argc) return options;
                fmt::print(stderr, "portholed: unexpected argument \"{}\"; see --help\n",
                           argv[optind]);
                exit_status = usage_error;
                return std::nullopt;
            case unknown:
            default:  // it has said what is wrong
                exit_status = usage_error;
                return std::nullopt;
        }
    }
}

Configuration read_configuration(const Options& options) {
    if (options.configuration) return read_configuration(*options.configuration);
    if (!std::filesystem::exists(default_configuration)) return {};
    return read_configuration(std::filesystem::path(default_configuration));
}

}  // namespace porthole
