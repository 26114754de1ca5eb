// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/leases.hpp"

namespace porthole {

/// The lease files of DHCP servers, as far as they are there.
class LeaseReader {
  public:
    /// What the files say at `now`: they are only read when they have changed, or a minute ago. A
    /// file that cannot be read, or that anybody could have written, has no leases, and one line in
    /// the log says so.
    [[nodiscard]] std::vector<Lease> read(const std::vector<std::filesystem::path>& files,
                                          Time now);

  private:
    struct File {
        std::string version;  // of it and its parts, by stat(2)
        Time read = never;
        bool failed = false;
        std::vector<Lease> leases;
    };
    std::map<std::filesystem::path, File> files_;
};

}  // namespace porthole
