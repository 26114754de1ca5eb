// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lab/process.hpp"

namespace porthole::lab {

/// A DNS server, dnsmasq, that knows nothing but what it is told: no other name exists.
class NameServer {
  public:
    /// Answers at `address`, which `where` has. `hosts`: each a name and its addresses, with commas
    /// between. Throws std::runtime_error if it does not start.
    NameServer(const Namespace& where, std::string_view address,
               const std::vector<std::string>& hosts);

  private:
    Process process_;
};

/// For Setting::before_exec: this program alone has `path`, which must live as long, for its
/// /etc/resolv.conf.
std::function<void()> with_resolv_conf(const char* path);

}  // namespace porthole::lab
