// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <memory>
#include <set>

#include "core/resolver.hpp"

namespace porthole::resolver {

/// Asks the name servers of resolv.conf, and /etc/hosts, by c-ares: in the network namespace of the
/// thread that asks.
class AresResolver : public Resolver {
  public:
    /// `configuration` is read at the first question, and again when it has changed: a gateway's
    /// changes with its uplink. Throws std::system_error.
    explicit AresResolver(std::filesystem::path configuration = "/etc/resolv.conf");
    ~AresResolver() override;
    AresResolver(const AresResolver&) = delete;
    AresResolver& operator=(const AresResolver&) = delete;
    AresResolver(AresResolver&&) = delete;
    AresResolver& operator=(AresResolver&&) = delete;

    void resolve(const std::string& host) override;
    [[nodiscard]] int descriptor() const override { return descriptor_; }
    [[nodiscard]] std::optional<std::chrono::milliseconds> timeout() const override;
    [[nodiscard]] std::vector<Resolution> take() override;

  private:
    class Channel;
    std::filesystem::path configuration_;
    std::filesystem::file_time_type version_;  ///< of the file, as the channel was made from it
    int descriptor_;                           ///< an epoll one, with all of the channel's in it
    std::set<std::string> asked_;              ///< and not taken yet
    std::vector<Resolution> finished_;
    std::unique_ptr<Channel> channel_;
};

}  // namespace porthole::resolver
