// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/tunnels.hpp"

namespace porthole {

/// The use cases of the tunnels that the configuration file asks for: origin `static`. One whose
/// name somebody else's tunnel has is refused (tunnel_exists). Which port one has that names none
/// is in the store; keys are in files, and what these say holds.
class StaticTunnels {
  public:
    /// `directory`: where key files are that are not named by an absolute path. The references must
    /// outlive it.
    StaticTunnels(Gateway& gateway, Tunnels& tunnels, std::filesystem::path directory);

    /// Makes the static tunnels what the file says, as a difference. What cannot be had stays as it
    /// was, and warnings() has why. To be called once, after the gateway and the tunnels were
    /// started.
    void start(const std::vector<StaticTunnel>& wanted);
    /// Takes over a new configuration, what it says of the gateway included, as a difference, or
    /// throws and keeps the one that holds: InvalidArgument, Refused, KernelFailure,
    /// StorageFailure.
    void reload(Configuration configuration);

    /// One line for everything that start() could not do.
    [[nodiscard]] const std::vector<std::string>& warnings() const { return refused_; }

  private:
    using Step = std::function<void()>;
    using Attempt = std::function<void(const Step&)>;

    [[nodiscard]] std::vector<Tunnel> current() const;
    Tunnel with_keys(const StaticTunnel& wanted, std::size_t index);
    PrivateKey read_or_make(const std::filesystem::path& file, const std::string& field);
    // Makes the static tunnels these, each step by way of `attempt`.
    void make(std::vector<Tunnel> wanted, const Attempt& attempt);
    void make_or_take_back(std::vector<Tunnel> wanted);
    void put(Tunnel wanted);

    Gateway& gateway_;
    Tunnels& tunnels_;
    std::filesystem::path directory_;
    std::vector<std::filesystem::path> made_;  // key files, since the last change
    std::vector<std::string> refused_;
};

}  // namespace porthole
