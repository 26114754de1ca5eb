// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <map>
#include <vector>

#include "core/claims.hpp"
#include "core/firewall.hpp"
#include "types/interfaces.hpp"
#include "types/reservation.hpp"
#include "types/tunnel.hpp"

namespace porthole {

/// A reservation that the configuration file asks for: origin `static`.
struct StaticReservation {
    Endpoint internal;
    Port external_port;
    std::optional<Filtering> filtering;  ///< nothing: the default
    Comment comment;
    ExternalAddress external_address = {};
    bool operator==(const StaticReservation&) const = default;
};

/// A tunnel that the configuration file asks for: origin `static`. Files are relative to the state
/// directory.
struct StaticTunnel {
    InterfaceName name;
    TunnelSettings settings;                                         ///< without keys
    std::filesystem::path private_key_file;                          ///< made if it is missing
    std::map<PublicKey, std::filesystem::path> preshared_key_files;  ///< of peers that have one
    bool operator==(const StaticTunnel&) const = default;
};

/// Where dnsmasq, odhcpd, ISC dhcpd and Kea keep their leases, on Debian, Fedora and OpenWrt.
std::vector<std::filesystem::path> default_lease_files();

/// The configuration file. A default-constructed one is what holds when there is no file.
struct Configuration {
    std::optional<std::vector<InterfaceName>> wan_interfaces;  ///< nothing: found by default routes
    std::optional<std::vector<InterfaceName>> lan_interfaces;  ///< nothing: found by address
    bool masquerade = false;
    bool nat66 = false;  ///< IPv6 is translated, too
    /// Of both families; of one that none is named of: the LANs' private networks.
    std::optional<std::vector<Network>> nat_sources;
    std::vector<Network> nat_exempt;
    PortRange pool = default_pool;
    std::chrono::seconds udp_timeout = default_udp_timeout;  ///< of reserved ports' flows
    ClaimPolicy claims;
    std::vector<std::filesystem::path> lease_files = default_lease_files();
    std::vector<StaticReservation> reservations;
    std::vector<StaticTunnel> tunnels;
    bool operator==(const Configuration&) const = default;
};

/// One thing that is wrong with a configuration file.
struct ConfigurationError {
    unsigned line = 0;    ///< from 1; 0: the file as a whole
    unsigned column = 0;  ///< from 1
    std::string key;      ///< dotted, with the index of arrays: "reservation[1].port"; may be empty
    std::string message;  ///< what was found and what is allowed
    bool operator==(const ConfigurationError&) const = default;
};

/// The file cannot be used. what() has one line for each error: "FILE:LINE:COLUMN: KEY: MESSAGE".
class ConfigurationInvalid : public InvalidArgument {
  public:
    ConfigurationInvalid(const std::string& file, std::vector<ConfigurationError> errors);
    [[nodiscard]] const std::vector<ConfigurationError>& errors() const { return errors_; }

  private:
    std::vector<ConfigurationError> errors_;
};

/// Reads TOML. `file` names the text in messages. Throws ConfigurationInvalid with all errors.
Configuration parse_configuration(std::string_view text, const std::string& file);

/// Reads the file. Throws ConfigurationInvalid, also where it cannot be read.
Configuration read_configuration(const std::filesystem::path& file);

}  // namespace porthole
